"""Write an experiment as a single file with every hyperparameter, from which the results can be reproduced."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import yaml

from harness.config.documents import shortened
from harness.config.experiment import AlgorithmConfig, ExecutionConfig, ExperimentConfig

__all__ = ["resolved_text"]


def resolved_text(config: ExperimentConfig) -> str:
    """Return YAML that plans the same runs as the configuration and refers to no other file."""
    data: dict[str, Any] = {
        "name": config.name,
        "algorithms": [{a.label: _settings(a)} for a in config.algorithms],
        "environments": {e.env: {"n_timesteps": e.n_timesteps} for e in config.environments},
        "seeds": list(config.seeds),
        "evaluation": asdict(config.evaluation),
        "statistics": asdict(config.statistics),
        "hyperparameters": {
            a.label: {env: dict(entry) for env, entry in a.hyperparams.items()} for a in config.algorithms
        },
    }
    if config.execution != ExecutionConfig():
        data["execution"] = asdict(config.execution)
    if config.logging:
        data["logging"] = list(config.logging)
    if config.trusted_packages:
        data["trusted_packages"] = list(config.trusted_packages)
    # A line break in the name of the file would end the comment.
    header = f"# Made from {shortened(config.path.name, 100)}; every hyperparameter is written out.\n"
    return header + yaml.safe_dump(data, sort_keys=False, width=120)


def _settings(algorithm: AlgorithmConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {"class": algorithm.algo_class, "hyperparameters_of": algorithm.label}
    return {**settings, "factors": dict(algorithm.factors)} if algorithm.factors else settings
