"""Describe one run as an experiment, so that `harness train` is `harness compare` with one algorithm and one seed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from harness.config import ExperimentConfig, parse_config
from harness.config.names import REGISTERED
from harness.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["single_run"]

N_EVALUATIONS = 20


def single_run(
    algo: str, env: str, seed: int, n_timesteps: int | None, hyperparameters: str, command: str = "harness train"
) -> ExperimentConfig:
    """Return the experiment with this single run; raise ConfigError or UnknownNameError for mistakes.

    n_timesteps: budget of the run; None for the budget that the hyperparameters contain.
    hyperparameters: a zoo-style file, or "zoo"; a class outside the zoo then trains with its constructor's defaults.
    command: shown in messages in place of a file name.
    """
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
    try:
        return parse_config(yaml.safe_dump(data), Path(command))
    except ConfigError as error:
        # The user wrote no such text, so that its lines mean nothing.
        message = re.sub(rf"^{re.escape(command)}:\d+", command, str(error))
        if ": n_timesteps is missing" in message:
            message += "; pass --n-timesteps, or add it to the hyperparameters"
        raise ConfigError(message) from None
