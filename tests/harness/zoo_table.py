"""Every entry of all hyperparameter files of rl_zoo3, by algorithm: how many load, and how many train 1,000 steps.

    python -m tests.harness.zoo_table                 a table in Markdown; entries that do not train, with the reason
    python -m tests.harness.zoo_table --only sac her  these rows only

Numbers are capped so that the table takes an hour and not months: parallel environments, lengths of rollouts, sizes of
buffers and batches, updates per step.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harness.config.documents import PlacedError, parse_document
from harness.config.entries import check_entry
from harness.config.files import read_text
from harness.config.names import REGISTERED, ZOO_FILES
from harness.config.sources import zoo_folder
from harness.errors import HarnessError
from harness.experiment.plan import RunSpec
from harness.training.action_masks import has_masks, needs_masks
from harness.training.algorithms import load_algorithm
from harness.training.envs import check_environment, make_training_env
from harness.training.isolation import Outcome, call_isolated
from harness.training.models import build_model

__all__ = ["ROWS", "ZooEntry", "entries", "main"]

ROWS: Mapping[str, tuple[str, str]] = {
    **{algo: (algo, ZOO_FILES.get(algo, algo)) for algo in REGISTERED},
    "her": ("tqc", "her"),
}
"""Row of the table -> (registered name, stem of its file); her.yml, kept as a reference by rl_zoo3, was for several."""

STAND_INS: Mapping[str, str] = {"atari": "PongNoFrameskip-v4", "default": "Pendulum-v1"}
DISCRETE = frozenset({"dqn", "qrdqn", "maskable_ppo"})
OFF_POLICY = frozenset({"dqn", "qrdqn", "sac", "td3", "ddpg", "tqc", "crossq"})

CAPS: Mapping[str, int] = {
    "n_envs": 2, "n_steps": 64, "n_epochs": 2, "gradient_steps": 2, "n_delta": 1, "n_top": 1,
}  # fmt: skip
N_TIMESTEPS = 1_000
SECONDS = 300.0


@dataclass(frozen=True)
class ZooEntry:
    """One entry of a file."""

    algo: str
    env: str
    hyperparams: Mapping[str, Any]
    problems: tuple[str, ...]
    """Messages about the entry; empty if it loads."""


def entries(row: str) -> Iterator[ZooEntry]:
    """Return every entry of the file of a row in the installed rl_zoo3, checked as in an experiment."""
    algo, file = ROWS[row]
    path = zoo_folder() / f"{file}.yml"
    for env, place in parse_document(read_text(path), path.name).root.items():
        problems: list[PlacedError] = []
        values = check_entry(dict(place.items()), algo, problems)
        yield ZooEntry(algo, env, values, tuple(map(str, problems)))


def _train(entry: ZooEntry) -> str | None:
    """Train an entry for 1,000 steps; return the reason if its environment does not exist here."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    default = "CartPole-v1" if entry.algo in DISCRETE else STAND_INS.get(entry.env, entry.env)
    env_id = default if entry.env == "default" else STAND_INS.get(entry.env, entry.env)
    try:
        check_environment(env_id)
    except HarnessError as error:
        return _kind_of(str(error))
    spec = RunSpec(entry.algo, entry.algo, env_id, 0, N_TIMESTEPS, N_TIMESTEPS, 1, 1, _capped(entry))
    env = make_training_env(spec, None)
    try:
        if needs_masks(load_algorithm(entry.algo)) and not has_masks(env):
            return "without action masks"
        model = build_model(spec, env)
        model.learn(N_TIMESTEPS)
        assert model.num_timesteps >= N_TIMESTEPS
    finally:
        env.close()
    return None


def _capped(entry: ZooEntry) -> dict[str, Any]:
    capped = {
        key: min(value, CAPS[key]) if key in CAPS and isinstance(value, int) and value > 0 else value
        for key, value in entry.hyperparams.items()
        if key != "n_timesteps"
    }
    if entry.algo in {"ppo", "custom_ppo", "maskable_ppo", "recurrent_ppo", "trpo"}:
        capped["n_steps"], capped["batch_size"] = 64, 64
    if entry.algo in OFF_POLICY:
        capped |= {"buffer_size": 500, "learning_starts": 20, "batch_size": 32}
        if not isinstance(capped.get("train_freq"), list):  # whole episodes
            capped["train_freq"] = 16
    return capped


def _kind_of(message: str) -> str:
    """Return the reason why an environment does not exist, in words that do not name the environment."""
    needed = re.search(r"needs (\w+), which is not installed", message)
    if needed is not None:
        return f"needs {needed[1]}"
    if "is not registered" in message:
        return "not registered with Gymnasium"
    return "removed from Gymnasium" if "have been moved to" in message or "is deprecated" in message else message


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if an entry does not load, or does not train although its environment exists."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.zoo_table", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), help="rows of the table")
    options = parser.parse_args(arguments)
    print("| algorithm | file | entries | load | environment here | trained 1,000 steps | others |")
    print("|---|---|---:|---:|---:|---:|---|")
    failures: list[str] = []
    for row in options.only or ROWS:
        found = list(entries(row))
        outcomes = [call_isolated(lambda entry=entry: _train(entry), SECONDS) for entry in found]  # type: ignore[misc]
        print(_line(row, found, outcomes), flush=True)
        failures += [problem for entry in found for problem in entry.problems]
        failures += [
            f"{row}: {entry.env}: {outcome.trouble}"
            for entry, outcome in zip(found, outcomes, strict=True)
            if outcome.trouble is not None
        ]
    print(*failures, sep="\n")
    return 1 if failures else 0


def _line(row: str, found: Sequence[ZooEntry], outcomes: Sequence[Outcome]) -> str:
    """Return a line of the table."""
    algo, file = ROWS[row]
    missing = Counter(outcome.result for outcome in outcomes if outcome.result is not None)
    refused = Counter(outcome.trouble for outcome in outcomes if outcome.trouble is not None)
    n_trained = sum(outcome.trouble is None and outcome.result is None for outcome in outcomes)
    n_loaded = sum(not entry.problems for entry in found)
    counts = (len(found), n_loaded, len(found) - missing.total(), n_trained)
    others = "; ".join(f"{n} {reason}" for reason, n in (missing + refused).most_common())
    return f"| {algo} | {file}.yml | {' | '.join(map(str, counts))} | {others} |"


if __name__ == "__main__":
    sys.exit(main())
