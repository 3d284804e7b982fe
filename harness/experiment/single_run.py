"""Describe one run as an experiment, so that `harness train` is `harness compare` with one algorithm and one seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.config import ExperimentConfig, Reading, read_config
from harness.config.documents import PlacedError
from harness.config.names import REGISTERED
from harness.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["in_words_of_the_command", "read_single_run", "single_run"]

N_EVALUATIONS = 20


def single_run(
    algo: str, env: str, seed: int, n_timesteps: int | None, hyperparameters: str, command: str = "harness train"
) -> ExperimentConfig:
    """Return the experiment with this single run; raise ConfigError or UnknownNameError for mistakes.

    n_timesteps: budget of the run; None for the budget that the hyperparameters contain.
    hyperparameters: a zoo-style file, or "zoo"; a class outside the zoo then trains with its constructor's defaults.
    command: shown in messages in place of a file name.
    """
    reading = read_single_run(algo, env, seed, n_timesteps, hyperparameters, command)
    if reading.config is None:
        raise ConfigError(in_words_of_the_command(reading.problems[0], command))
    return reading.config


def read_single_run(
    algo: str, env: str, seed: int, n_timesteps: int | None, hyperparameters: str, command: str = "harness train"
) -> Reading:
    """Return what `single_run` reads, with all mistakes; raise UnknownNameError for an unknown algorithm."""
    if algo not in REGISTERED and ":" not in algo:
        raise UnknownNameError(f"--algo {algo}: no algorithm is registered as {algo}{did_you_mean(algo, REGISTERED)}")
    source: Any = str(Path(hyperparameters).resolve())
    if hyperparameters == "zoo":
        source = "zoo" if algo in REGISTERED else {"default": {"policy": "MlpPolicy", "n_timesteps": 100_000}}
    data = {
        "name": "train",
        "algorithms": [{algo: {"class": algo, "hyperparameters_of": algo}}],
        "environments": {env: {} if n_timesteps is None else {"n_timesteps": n_timesteps}},
        "seeds": [seed],
        "evaluation": {"n_evaluations": N_EVALUATIONS if n_timesteps is None else min(N_EVALUATIONS, n_timesteps)},
        "hyperparameters": {algo: source},
    }
    return read_config(Path(command), yaml.safe_dump(data), has_lines=False)


_OPTIONS = {"algorithms": "--algo", "environments": "--env", "seeds": "--seed", "hyperparameters": "--hyperparameters"}


def in_words_of_the_command(problem: PlacedError, command: str = "harness train") -> str:
    """Return a message with the option of the command in place of a key of the file that the user never wrote."""
    message = str(problem)
    if problem.file == command and problem.path and problem.path[0] in _OPTIONS:
        option = _OPTIONS[str(problem.path[0])]
        message = f"{option}: {message.removeprefix(f'{command}: ').partition(': ')[2]}"
    if ": n_timesteps is missing" in message:
        message += "; pass --n-timesteps, or add it to the hyperparameters"
    return message
