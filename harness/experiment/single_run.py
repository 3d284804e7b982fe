"""One run as an experiment of its own, so that `harness train` is `harness compare` with one algorithm and one seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.config import ExperimentConfig, parse_config
from harness.config.names import BORROWED, REGISTERED, ZOO_FILES
from harness.errors import UnknownNameError, did_you_mean

__all__ = ["single_run"]

N_EVALUATIONS = 20


def single_run(
    algo: str, env: str, seed: int, n_timesteps: int | None, hyperparameters: str, command: str = "harness train"
) -> ExperimentConfig:
    """The experiment of one run; raises ConfigError or UnknownNameError as a file with the same content would.

    hyperparameters: a zoo-style file, or "zoo". A class that the zoo does not know takes its constructor's defaults.
    command: what errors name that are in no file.
    """
    if algo not in REGISTERED and ":" not in algo:
        raise UnknownNameError(f"--algo {algo}: is not known{did_you_mean(algo, REGISTERED)}")
    source: Any = str(Path(hyperparameters).resolve())
    if hyperparameters == "zoo":
        known = algo in BORROWED or algo in ZOO_FILES or algo in REGISTERED
        source = "zoo" if known else {"default": {"policy": "MlpPolicy", "n_timesteps": 100_000}}
    data = {
        "name": "train",
        "algorithms": [{algo: {"class": algo, "hyperparameters_of": algo}}],
        "environments": {env: {} if n_timesteps is None else {"n_timesteps": n_timesteps}},
        "seeds": [seed],
        "evaluation": {"n_evaluations": N_EVALUATIONS if n_timesteps is None else min(N_EVALUATIONS, n_timesteps)},
        "hyperparameters": {algo: source},
    }
    return parse_config(yaml.safe_dump(data), Path(command))
