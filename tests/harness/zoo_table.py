"""Every entry of all hyperparameter files of rl_zoo3: how many load, and how many train for a few steps.

    python -m tests.harness.zoo_table                 a table in Markdown; entries that do not train, with the reason
    python -m tests.harness.zoo_table --only sac td3  these files only

Numbers are capped so that the table takes minutes: parallel environments, lengths of rollouts, sizes of buffers.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.config.documents import PlacedError, parse_document
from harness.config.entries import check_entry
from harness.config.files import read_text
from harness.config.sources import zoo_folder
from harness.errors import HarnessError
from harness.experiment.plan import RunSpec
from harness.training.envs import check_environment, make_training_env
from harness.training.isolation import call_isolated
from harness.training.models import build_model

__all__ = ["ALGORITHMS", "ZooEntry", "entries", "main"]

ALGORITHMS: Mapping[str, str] = {"ppo_lstm": "recurrent_ppo", "her": "tqc"}
"""File -> registered name, if it differs; her.yml, which rl_zoo3 keeps as a reference only, was for several."""

STAND_INS: Mapping[str, str] = {"atari": "PongNoFrameskip-v4", "default": "Pendulum-v1"}
DISCRETE = frozenset({"dqn", "qrdqn"})
OFF_POLICY = DISCRETE | {"sac", "td3", "ddpg", "tqc", "crossq"}

CAPS: Mapping[str, int] = {
    "n_envs": 2, "n_steps": 16, "n_epochs": 2, "buffer_size": 500, "learning_starts": 20, "gradient_steps": 2,
    "train_freq": 16, "n_delta": 1, "n_top": 1,
}  # fmt: skip
N_TIMESTEPS = 40
SECONDS = 90.0


@dataclass(frozen=True)
class ZooEntry:
    """One entry of a file."""

    file: str
    algo: str
    env: str
    hyperparams: Mapping[str, Any]
    problems: tuple[str, ...]
    """Messages about the entry; empty if it loads."""


def entries(file: str) -> Iterator[ZooEntry]:
    """Return every entry of a file of the installed rl_zoo3, checked as in an experiment."""
    path = zoo_folder() / f"{file}.yml"
    algo = ALGORITHMS.get(file, file)
    for env, place in parse_document(read_text(path), path.name).root.items():
        problems: list[PlacedError] = []
        values = check_entry(dict(place.items()), algo, problems)
        yield ZooEntry(file, algo, env, values, tuple(map(str, problems)))


def _train(entry: ZooEntry) -> str | None:
    """Train an entry for a few steps; return the reason if its environment does not exist here."""
    warnings.simplefilter("ignore")
    default = "CartPole-v1" if entry.algo in DISCRETE else STAND_INS.get(entry.env, entry.env)
    env_id = default if entry.env == "default" else STAND_INS.get(entry.env, entry.env)
    try:
        check_environment(env_id)
    except HarnessError as error:
        return str(error)
    capped = {
        key: min(value, CAPS[key]) if key in CAPS and isinstance(value, int) and value > 0 else value
        for key, value in entry.hyperparams.items()
        if key != "n_timesteps"
    }
    if entry.algo in {"ppo", "recurrent_ppo", "trpo"}:
        capped["n_steps"], capped["batch_size"] = 16, 16
    if entry.algo in OFF_POLICY:
        capped |= {"buffer_size": 500, "learning_starts": 20, "batch_size": 32}
    spec = RunSpec(entry.algo, entry.algo, env_id, 0, N_TIMESTEPS, N_TIMESTEPS, 1, 1, capped)
    env = make_training_env(spec, None)
    try:
        build_model(spec, env).learn(N_TIMESTEPS)
    finally:
        env.close()
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if an entry does not load, or does not train although its environment exists."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.zoo_table", description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of files without .yml")
    options = parser.parse_args(arguments)
    files = options.only or sorted(path.stem for path in zoo_folder().glob("*.yml"))
    print("| file | entries | load | environment exists | train |\n|---|---|---|---|---|")
    failures: list[str] = []
    for file in files:
        found = list(entries(file))
        outcomes = [call_isolated(lambda entry=entry: _train(entry), SECONDS) for entry in found]  # type: ignore[misc]
        trained = [outcome for outcome in outcomes if outcome.trouble is None and outcome.result is None]
        missing = [outcome for outcome in outcomes if outcome.result is not None]
        loaded = [entry for entry in found if not entry.problems]
        counts = (len(found), len(loaded), len(found) - len(missing), len(trained))
        print(f"| {file}.yml | {' | '.join(map(str, counts))} |", flush=True)
        failures += [problem for entry in found for problem in entry.problems]
        failures += [
            f"{file}.yml: {entry.env}: {outcome.trouble}"
            for entry, outcome in zip(found, outcomes, strict=True)
            if outcome.trouble is not None
        ]
    print(*failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
