"""Every entry of rl_zoo3's ppo.yml and a2c.yml, trained by SB3 and by custom_ppo, and compared bit for bit.

    python -m tests.custom_ppo.zoo_entries                        all of them, and a table in Markdown
    python -m tests.custom_ppo.zoo_entries --only Pendulum Atari  entries whose name holds one of these words

The entries are read as data. What is capped, so that the table takes minutes and not months, is printed above it; all
other hyperparameters, policies, policy_kwargs and wrappers are those of the entry.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import math
import platform
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from gymnasium.error import DependencyNotInstalled

from harness.config.documents import PlacedError, parse_document
from harness.config.entries import check_entry
from harness.config.files import read_text
from harness.config.sources import zoo_folder
from harness.errors import HarnessError
from harness.experiment.plan import RunSpec
from harness.training.envs import check_environment, make_training_env
from harness.training.models import build_model
from tests.custom_ppo.parity import Logged, Outcome, differences, outcome_of

__all__ = ["CAPS", "Caps", "Entry", "Row", "compare", "entries", "markdown"]


@dataclass(frozen=True)
class Caps:
    """Upper limits of the numbers of an entry that is trained."""

    n_updates: int
    """Number of updates, or more for `at_least` if rollouts are short."""
    n_envs: int
    rollout: int
    """Transitions in a rollout, n_steps * n_envs."""
    n_epochs: int
    at_least: int = 0
    """Transitions of all updates together."""

    def n_timesteps(self, rollout: int) -> int:
        """Return the steps to train, given the transitions of one rollout."""
        return rollout * max(self.n_updates, math.ceil(self.at_least / rollout))


CAPS: Mapping[tuple[str, str], Caps] = {
    ("ppo", "MlpPolicy"): Caps(n_updates=5, n_envs=16, rollout=1024, n_epochs=10, at_least=1024),
    ("ppo", "CnnPolicy"): Caps(n_updates=3, n_envs=8, rollout=512, n_epochs=4),
    ("a2c", "MlpPolicy"): Caps(n_updates=100, n_envs=16, rollout=1024, n_epochs=1),
    ("a2c", "CnnPolicy"): Caps(n_updates=40, n_envs=8, rollout=512, n_epochs=1),
}
"""Limits by file and policy."""

OURS: Mapping[str, str] = {"ppo": "custom_ppo", "a2c": "custom_a2c"}
DEFAULTS: Mapping[str, Mapping[str, int]] = {"ppo": {"n_steps": 2048, "n_epochs": 10}, "a2c": {"n_steps": 5}}
"""SB3's defaults, for entries without these numbers."""

STAND_INS: Mapping[str, Sequence[str]] = {
    "default": ("FrozenLake-v1", "InvertedPendulum-v5"),
    "atari": tuple(f"{game}NoFrameskip-v4" for game in ("Pong", "Breakout", "Seaquest")),
    **{f"{name}-v2": (f"{name}-v4",) for name in ("HumanoidStandup", "InvertedDoublePendulum", "Reacher")},
    "InvertedPendulum-v2": ("InvertedPendulum-v4",),
}
"""Environments of entries that serve many, and successors of those that Gymnasium has removed."""

NOWHERE: Mapping[str, str] = {
    f"Minitaur{kind}Env-v0": "PyBullet's environments for Gymnasium (pybullet_envs_gymnasium) have no Minitaur"
    for kind in ("Bullet", "BulletDuck")
}
"""Environments that no package offers any more, with the reason."""


@dataclass(frozen=True)
class Entry:
    """One entry of the zoo in one environment."""

    algo: str
    name: str
    env: str
    hyperparams: Mapping[str, Any]
    """Hyperparameters of the file, with the limits applied."""
    n_timesteps: int
    """Steps that are trained; schedules run from their beginning to their end in them."""


@dataclass(frozen=True)
class Row:
    """Outcome of an entry."""

    entry: Entry
    outcome: str
    """"equal", "not equal" or "not created"."""
    reason: str = ""
    """First difference, or the reason why the environment was not created."""
    engine: str = ""
    n_optimizer_steps: int = 0
    n_compared: int = 0
    """Count of compared numbers: weights, states of the optimiser, logged values."""
    seconds: float = 0.0


def entries(algo: str, caps: Caps | None = None) -> Iterator[Entry]:
    """Return all entries of the algorithm's file in its order, each once for every environment that it serves.

    caps: instead of those in CAPS. Raises ConfigError when the file, or an entry of it, is not accepted.
    """
    path = zoo_folder() / f"{algo}.yml"
    for name, place in parse_document(read_text(path), path.name).root.items():
        problems: list[PlacedError] = []
        hyperparams = check_entry(dict(place.items()), algo, problems)
        if problems:
            raise problems[0]
        hyperparams.pop("n_timesteps")
        limits = caps or CAPS[algo, hyperparams["policy"]]
        capped = _capped(algo, hyperparams, limits)
        n_timesteps = limits.n_timesteps(capped["n_envs"] * capped["n_steps"])
        for env in STAND_INS.get(name, (name,)):
            yield Entry(algo, name, env, capped, n_timesteps)


def _capped(algo: str, hyperparams: Mapping[str, Any], caps: Caps) -> dict[str, Any]:
    capped = {**DEFAULTS[algo], **hyperparams}
    capped["n_envs"] = min(capped.get("n_envs", 1), caps.n_envs)
    capped["n_steps"] = min(capped["n_steps"], caps.rollout // capped["n_envs"])
    if "n_epochs" in capped:
        capped["n_epochs"] = min(capped["n_epochs"], caps.n_epochs)
    return capped


def compare(entry: Entry, ours: str | None = None) -> Row:
    """Train both algorithms, and return whether they are equal, or where they first differ.

    ours: what is compared with SB3's algorithm, "package.module:Class" or a registered name, instead of custom_ppo's.
    """
    if entry.env in NOWHERE:
        return Row(entry, "not created", NOWHERE[entry.env])
    started = time.perf_counter()
    _provide_wrappers()
    try:
        check_environment(entry.env)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, subject = _trained(entry, entry.algo), _trained(entry, ours or OURS[entry.algo])
    except (HarnessError, DependencyNotInstalled) as error:
        return Row(entry, "not created", " ".join(str(error).split()))
    reasons = list(differences(subject, theirs)) if theirs.logs else ["nothing was logged"]
    return Row(
        entry,
        "not equal" if reasons else "equal",
        reasons[0] if reasons else "",
        type(subject.model.agent.engine).__name__.removesuffix("Engine").lower(),
        _optimizer_steps(theirs),
        _size(theirs),
        time.perf_counter() - started,
    )


def _trained(entry: Entry, algo: str) -> Outcome:
    steps = entry.n_timesteps
    spec = RunSpec(algo, algo, entry.env, 0, steps, steps, 1, 1, hyperparams=entry.hyperparams)
    with TemporaryDirectory() as folder:
        env = make_training_env(spec, Path(folder))
        try:
            model, log = build_model(spec, env), Logged()
            model.learn(steps, callback=log, log_interval=None)
            return outcome_of(model, log)
        finally:
            env.close()


def _size(outcome: Outcome) -> int:
    policy = outcome.model.policy
    states = policy.optimizer.state_dict()["state"].values()
    tensors = [*policy.state_dict().values(), *(value for state in states for value in state.values())]
    return sum(torch.as_tensor(tensor).numel() for tensor in tensors) + sum(len(row) for row in outcome.logs)


def _optimizer_steps(outcome: Outcome) -> int:
    states = outcome.model.policy.optimizer.state_dict()["state"].values()
    return max(int(state["step"]) for state in states)


@cache
def _provide_wrappers() -> None:
    """Let rl_zoo3.wrappers be imported without rl_zoo3, which would exchange a wrapper of Gymnasium for its own."""
    name = "rl_zoo3.wrappers"
    spec = importlib.util.spec_from_file_location(name, zoo_folder().parent / "wrappers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module


def markdown(rows: Sequence[Row]) -> str:
    """Return the table, the limits, and the totals."""
    lines = [
        "| file | entry | environment | policy | engine | outcome | steps | optimiser steps | numbers | seconds |",
        "|---|---|---|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        outcome = f"{row.outcome}: {row.reason}" if row.reason else row.outcome
        policy = f"{row.entry.hyperparams['policy']}{', gSDE' if row.entry.hyperparams.get('use_sde') else ''}"
        where = [f"{row.entry.algo}.yml", row.entry.name, row.entry.env, policy]
        counts = (row.entry.n_timesteps, row.n_optimizer_steps, row.n_compared)
        numbers = [*(f"{count:,}" for count in counts), f"{row.seconds:.1f}"] if row.engine else [""] * 4
        lines.append(f"| {' | '.join([*where, row.engine, outcome.replace('|', '/'), *numbers])} |")
    return "\n".join([*_introduction(rows), "", *lines, ""])


def _introduction(rows: Sequence[Row]) -> Iterator[str]:
    yield "# The zoo's entries, trained by both"
    yield ""
    for algo in dict.fromkeys(row.entry.algo for row in rows):
        of_algo = [row for row in rows if row.entry.algo == algo]
        n_names = len({row.entry.name for row in of_algo})
        yield f"- `{algo}.yml`: {n_names} entries, {len(of_algo)} trainings: {_counted(of_algo)}."
    yield ""
    trained = [row for row in rows if row.engine]
    yield (
        f"Compared bit for bit, after {sum(row.entry.n_timesteps for row in trained):,} environment steps and "
        f"{sum(row.n_optimizer_steps for row in trained):,} optimiser steps of each of the two: "
        f"{sum(row.n_compared for row in trained):,} weights, states of the optimiser and logged values (of every "
        "update); and the random generators, the last observations, the episodes and the statistics of VecNormalize."
    )
    yield ""
    yield "Caps; everything else is the entry's:"
    yield ""
    for (algo, policy), caps in CAPS.items():
        yield (
            f"- `{algo}.yml`, {policy}: {caps.n_updates} updates, {caps.n_envs} environments, {caps.rollout} "
            f"transitions in a rollout, epochs: {caps.n_epochs}"
            + (f"; more updates where that makes less than {caps.at_least} transitions" if caps.at_least else "")
        )
    yield ""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES if importlib.util.find_spec(name)]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    yield f"{today}, one thread, seed 0; Python {platform.python_version()}, {', '.join(versions)}."


_PACKAGES = (
    *("stable_baselines3", "rl_zoo3", "torch", "gymnasium", "numpy"),
    *("mujoco", "Box2D", "ale_py", "minigrid", "pybullet", "pybullet_envs_gymnasium"),
)


def _counted(rows: Sequence[Row]) -> str:
    outcomes = Counter(row.outcome for row in rows)
    return ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in ("equal", "not equal", "not created"))


def main() -> int:
    """Compare the requested entries, and return 0 if all that were trained are equal, else 1."""
    parser = argparse.ArgumentParser(description="Trains every entry of rl_zoo3 with SB3 and with custom_ppo.")
    parser.add_argument("--algos", nargs="+", default=list(OURS), choices=list(OURS))
    parser.add_argument("--only", nargs="+", default=[""], help="entries whose name holds one of these words")
    parser.add_argument("--out", type=Path, help="file for the table, instead of standard output")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    words = [word.lower() for word in arguments.only]
    found = [entry for algo in arguments.algos for entry in entries(algo)]
    asked = [entry for entry in found if any(word in entry.name.lower() for word in words)]
    if not asked:
        parser.error(f"no entry has a name that holds {' or '.join(arguments.only)}")
    rows = []
    for entry in asked:
        row = compare(entry)
        rows.append(row)
        print(f"{entry.algo} {entry.name} {row.outcome} {row.reason} {row.seconds:.1f}", file=sys.stderr)
    if arguments.out:
        arguments.out.write_text(markdown(rows), encoding="utf-8")
    else:
        print(markdown(rows))
    return int(any(row.outcome == "not equal" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
