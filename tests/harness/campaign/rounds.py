"""One round of the campaign: an experiment that is hit, called until it is finished, and compared."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.config import load_config
from harness.experiment.plan import RunSpec, plan
from tests.harness.campaign.calls import MOMENTS, Call, wait_for_moment
from tests.harness.campaign.faults import FAULTS, OPTIONS, Target
from tests.harness.campaign.outcomes import Round, outcomes

__all__ = ["play", "undisturbed"]

EXPERIMENT = """\
name: campaign
algorithms: [custom_ppo, custom_a2c, ppo]
environments: {CartPole-v1: {n_timesteps: 6_000}, Pendulum-v1: {n_timesteps: 6_000}}
seeds: 0-1
evaluation: {n_evaluations: 4, n_eval_episodes: 2, n_final_episodes: 5}
statistics: {n_bootstrap: 50}
execution: {checkpoint_interval: 0.1, retries: 1}
hyperparameters:
  ppo: {default: {policy: MlpPolicy, n_envs: 2, n_steps: 128, batch_size: 64, n_epochs: 4, normalize: true}}
  custom_a2c: {default: {policy: MlpPolicy, n_envs: 2, n_steps: 16, normalize: true}}
"""

MAX_CALLS = 30

EXPECTED_CODES = {
    "kill harness": (0, -9),
    "damage files": (0, -9),
    "second harness, one killed": (0, 1, -9),
    "terminate": (0, 143),
    "interrupt": (0, 130),
    "full disk": (0, 1),
    "kill worker": (0, 1),
    "stop worker": (0, 1),
    "second harness": (0, 1),
}
"""Kind -> exit codes of the calls that are hit: killed by SIGKILL, 128 plus a signal, or 1 for failed runs or an error
in one line."""


def undisturbed(folder: Path, n_timesteps: int = 6_000) -> list[RunSpec]:
    """Write the experiment into a folder, run it there without a disturbance, and return its runs."""
    (folder / "campaign.yml").write_text(EXPERIMENT.replace("6_000", str(n_timesteps)), encoding="utf-8")
    call = Call(folder, folder / "undisturbed")
    assert call.end() == 0, call.messages()
    return plan(load_config(folder / "campaign.yml"))


def play(kind: str, folder: Path, out: Path, specs: Sequence[RunSpec], chance: random.Random, hits: int) -> Round:
    """Run an experiment to its end, hit at so many moments at most, and compare it with the undisturbed one."""
    result = Round(kind)
    starts: Counter[str] = Counter()
    options = OPTIONS.get(kind, ())
    for _ in range(MAX_CALLS):
        call = Call(folder, out, *options)
        target = Target(folder, out, call, options)
        is_hit = False
        while result.moments < hits and wait_for_moment(call, chance.choice(MOMENTS), chance):
            is_hit = True
            result.moments += 1
            try:
                FAULTS[kind](target, chance)
            except AssertionError as error:
                result.unclean.append(str(error))
        code = call.end()
        for other in target.others:
            other.end()
        # After a hit, a run may have failed, which the next call repeats.
        expected = EXPECTED_CODES[kind] if is_hit else (0,)
        for one in (call, *target.others):
            starts.update(one.started_runs())
            result.unclean += faults_of(one, EXPECTED_CODES[kind] if one is not call else expected)
        if code == 0 and not is_hit:
            break
    result.runs = outcomes(specs, folder / "undisturbed", out, starts)
    return result


def faults_of(call: Call, expected: Sequence[int]) -> list[str]:
    """Return the reasons why a call that has ended was not clean."""
    found = []
    code, text = call.process.returncode, call.messages()
    if code not in expected:
        found.append(f"exit code {code}, expected {expected}: {text[-500:]}")
    if "Traceback" in text:
        found.append(text[-2000:])
    survivors = call.survivors()
    if survivors:
        found.append(f"processes {survivors} have outlived the harness")
    return found
