"""The validated configuration of a comparison: plain frozen data, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "AlgorithmConfig",
    "EnvironmentConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "ReferenceScores",
    "StatisticsConfig",
]


@dataclass(frozen=True)
class AlgorithmConfig:
    """One algorithm of the comparison."""

    label: str
    """What tables and figures call it, and the name of its folder."""

    algo_class: str
    """A registered name or "package.module:Class"."""

    hyperparams: Mapping[str, Mapping[str, Any]]
    """Environment id -> what it trains with there: the entry of its file, then its own kwargs, then the overrides
    of the environment. Checked but unprocessed, and without n_timesteps."""


@dataclass(frozen=True)
class EnvironmentConfig:
    """One environment of the comparison, the same for every algorithm."""

    env: str
    """Gymnasium id."""

    n_timesteps: int
    """Environment steps that every algorithm trains for."""


@dataclass(frozen=True)
class EvaluationConfig:
    """When and how long the agents are evaluated, deterministically."""

    n_evaluations: int = 20
    """Evaluations during training, evenly spaced."""

    n_eval_episodes: int = 5
    """Episodes of each."""

    n_final_episodes: int = 100
    """Episodes of the evaluation after training, whose mean is the run's score."""


@dataclass(frozen=True)
class ReferenceScores:
    """The two scores of an environment that give the equivalence margin its unit: margin * (best - random)."""

    random: float
    best: float


@dataclass(frozen=True)
class StatisticsConfig:
    """How the results will be judged, declared before they are seen."""

    confidence: float = 0.95
    n_bootstrap: int = 2000
    smoothing_window: int = 20
    """Episodes over which the smoothed learning curve averages."""

    last_episodes: int = 50
    """Training episodes at the end of a run whose mean and spread are reported."""

    equivalence_margin: float = 0.10
    """Share of (reference minus random) within which two algorithms count as equal."""

    references: Mapping[str, ReferenceScores] = field(default_factory=dict)
    """Environment id -> its reference scores."""

    baseline: str | None = None
    """Label of the algorithm that every other is compared with; None compares all with all."""


@dataclass(frozen=True)
class ExperimentConfig:
    """A comparison as its file describes it: every algorithm on every environment under every seed."""

    name: str
    """Results go to results/NAME."""

    algorithms: tuple[AlgorithmConfig, ...]
    environments: tuple[EnvironmentConfig, ...]
    seeds: tuple[int, ...]
    evaluation: EvaluationConfig
    statistics: StatisticsConfig
    trusted_packages: tuple[str, ...]
    """Packages, beside the harness's own list, whose wrappers and policies hyperparameters may name."""

    path: Path
    """The file that was read."""

    text: str
    """Its text as it was read, to be kept next to the results."""
