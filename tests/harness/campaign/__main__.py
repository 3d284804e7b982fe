"""Command line of the campaign: rounds until so many moments were hit, and a table."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import tests.harness.campaign as campaign
from harness.config import load_config
from harness.experiment.plan import RunSpec, plan
from tests.harness.campaign.calls import MOMENTS, Call, wait_for_moment
from tests.harness.campaign.faults import FAULTS, FULL_DISK, OPTIONS, Target
from tests.harness.campaign.outcomes import Round, outcomes, table

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

HITS, MAX_CALLS = 6, 30
DISK_SIZE = "256m"
"""Size of the file system that is filled; the harness asks for 200 MiB before its first run."""

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

_IN_NAMESPACE = "CAMPAIGN_IN_NAMESPACE"


def play(kind: str, folder: Path, out: Path, specs: Sequence[RunSpec], chance: random.Random) -> Round:
    """Run an experiment to its end, hit at HITS moments at most, and compare it with the undisturbed one."""
    result = Round(kind)
    starts: Counter[str] = Counter()
    options = OPTIONS.get(kind, ())
    for _ in range(MAX_CALLS):
        call = Call(folder, out, *options)
        target = Target(folder, out, call, options)
        is_hit = False
        while result.moments < HITS and wait_for_moment(call, chance.choice(MOMENTS), chance):
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


def enter_namespace() -> None:
    """Continue in a mount namespace of its own, where a tmpfs can be mounted, if the system allows it."""
    flags = "--mount" if os.geteuid() == 0 else "-rm"
    is_tried = _IN_NAMESPACE in os.environ
    if is_tried or shutil.which("unshare") is None:
        return
    if subprocess.run(["unshare", flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        print(f"file systems cannot be mounted here: the kind {FULL_DISK!r} is left out", flush=True)
        return
    os.environ[_IN_NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", flags, sys.executable, "-m", "tests.harness.campaign", *sys.argv[1:]])


def main() -> int:
    """Run the campaign; return 1 if a run was lost or wrong, or a call unclean."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.harness.campaign",
        description=campaign.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("moments", type=int, help="number of moments to hit")
    parser.add_argument("--seed", type=int, default=0, help="seed of kinds and moments")
    parser.add_argument("--kinds", default="", help="kinds to draw from, separated by semicolons; default: all")
    parser.add_argument("--round", type=int, help="only the round of this number")
    arguments = parser.parse_args()
    enter_namespace()
    allowed = [kind for kind in FAULTS if kind != FULL_DISK or _IN_NAMESPACE in os.environ]
    kinds = [kind.strip() for kind in arguments.kinds.split(";") if kind.strip()] or allowed
    if not set(kinds) <= set(allowed):
        parser.error(f"--kinds: expected some of {'; '.join(allowed)}")
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    disk = folder / "disk"
    disk.mkdir()
    if _IN_NAMESPACE in os.environ:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(disk)], check=True)
    (folder / "campaign.yml").write_text(EXPERIMENT)
    specs = plan(load_config(folder / "campaign.yml"))
    first = Call(folder, folder / "undisturbed")
    assert first.end() == 0, first.messages()
    rounds: list[Round] = []
    number = arguments.round or 0
    while sum(one.moments for one in rounds) < arguments.moments:
        chance = random.Random(f"{arguments.seed} {number}")
        kind = chance.choice(kinds)
        print(f"round {number} (--seed {arguments.seed} --round {number}): {kind}", flush=True)
        out = (disk if kind == FULL_DISK else folder) / f"round {number}"
        rounds.append(play(kind, folder, out, specs, chance))
        report(rounds[-1])
        shutil.rmtree(out, ignore_errors=True)
        for text in [*folder.glob("*.out"), *folder.glob("*.err")]:
            text.unlink()
        if arguments.round is not None:
            break
        number += 1
    print(table(rounds), flush=True)
    if _IN_NAMESPACE in os.environ:
        subprocess.run(["umount", str(disk)], check=False)
    shutil.rmtree(folder)
    return int(not all(one.is_good for one in rounds))


def report(one: Round) -> None:
    """Print the runs of a round that are not as they should be, and a line of counts."""
    for label, found in one.runs.items():
        if {"lost", "wrong"} & set(found):
            print(f"  {label}: {', '.join(found)}", flush=True)
    for reason in one.unclean:
        print(f"  unclean: {reason}", flush=True)
    counts = Counter(outcome for found in one.runs.values() for outcome in found)
    continued, restarted = counts["continued"], counts["restarted"]
    print(f"  {one.moments} moments, {continued} runs continued, {restarted} restarted", flush=True)


if __name__ == "__main__":
    sys.exit(main())
