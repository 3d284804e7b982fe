"""Validated configuration of a comparison: frozen dataclasses with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "AlgorithmConfig",
    "EnvironmentConfig",
    "EvaluationConfig",
    "ExecutionConfig",
    "ExperimentConfig",
    "Level",
    "ReferenceScores",
    "StatisticsConfig",
]


Level = bool | int | float | str | None
"""Level of a factor: the value of a hyperparameter, or the name that the file gives to a value."""


@dataclass(frozen=True)
class AlgorithmConfig:
    """One algorithm of the comparison."""

    label: str
    """Name in tables and figures, and of its folder of results."""

    algo_class: str
    """A registered name or "package.module:Class"."""

    hyperparams: Mapping[str, Mapping[str, Any]]
    """Environment id -> hyperparameters: the entry of the file, then the algorithm's own kwargs, then the overrides of
    the environment. Checked but unprocessed ("lin_0.001" is still text), and without n_timesteps."""

    factors: Mapping[str, Level] = field(default_factory=dict)
    """Factor -> level of this algorithm in a study such as a sweep: {"clip_range": 0.2, "gae_lambda": 0.95}."""


@dataclass(frozen=True)
class EnvironmentConfig:
    """One environment of the comparison, the same for every algorithm."""

    env: str
    """Gymnasium id."""

    n_timesteps: int
    """Number of environment steps of every training run."""


@dataclass(frozen=True)
class EvaluationConfig:
    """Number and length of the deterministic evaluations of each run."""

    n_evaluations: int = 20
    """Number of evaluations during training, evenly spaced."""

    n_eval_episodes: int = 5
    """Episodes of each evaluation during training."""

    n_final_episodes: int = 100
    """Episodes of the evaluation after training, whose mean is the run's score."""


@dataclass(frozen=True)
class ReferenceScores:
    """Scores of an environment that scale the equivalence margin: margin * (best - random)."""

    random: float
    best: float


@dataclass(frozen=True)
class StatisticsConfig:
    """Settings of the statistical judgements, declared before the results are seen."""

    confidence: float = 0.95
    """Confidence of all intervals; the level of all tests is one minus this."""

    n_bootstrap: int = 2000
    smoothing_window: int = 20
    """Episodes over which the smoothed learning curve averages."""

    last_episodes: int = 50
    """Training episodes at the end of a run whose mean and spread are reported."""

    equivalence_margin: float = 0.10
    """Share of (best minus random) within which two algorithms count as equivalent."""

    references: Mapping[str, ReferenceScores] = field(default_factory=dict)
    """Environment id -> its reference scores."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Environment id -> score from which on an evaluation counts as a solution of the task."""

    baseline: str | None = None
    """Label of the algorithm with which every other is compared; None compares all pairs."""

    pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of labels that are compared, first minus second; empty compares as `baseline` says."""

    failed_runs: Literal["random", "lowest", "excluded"] = "random"
    """Score that a failed run counts as: `random` of the references (the lowest score seen if none is declared), the
    lowest score seen in its environment, or none at all."""

    looks: tuple[int, ...] = ()
    """Numbers of seeds at which the results are judged in a group-sequential design; empty judges them once."""

    spending: Literal["obrien_fleming", "pocock"] = "obrien_fleming"
    """Alpha-spending function that divides the level among the looks."""


@dataclass(frozen=True)
class ExecutionConfig:
    """Limits of every run, beyond which it is ended and fails. No result depends on them."""

    retries: int = 0
    """Number of times that a failed run is started again."""

    time_limit: float | None = None
    """Seconds that a run may take; None allows an hour, and one second more for each environment step."""

    stall_limit: float = 1800.0
    """Seconds that a run may take without a step of an environment or other progress."""

    memory_limit: int | None = None
    """Bytes of memory of a run and its child processes; None sets no limit."""

    checkpoint_interval: float = 30.0
    """Seconds of training between two checkpoints of a run of custom_ppo or custom_a2c."""


@dataclass(frozen=True)
class ExperimentConfig:
    """A comparison as its file describes it: every algorithm on every environment under every seed."""

    name: str
    """Name of the experiment; results are written to results/NAME."""

    algorithms: tuple[AlgorithmConfig, ...]
    environments: tuple[EnvironmentConfig, ...]
    seeds: tuple[int, ...]
    evaluation: EvaluationConfig
    statistics: StatisticsConfig
    trusted_packages: tuple[str, ...]
    """Packages, in addition to `trust.TRUSTED_PACKAGES`, that the command line has allowed; this record allows none."""

    path: Path
    """File that was read."""

    text: str
    """Text of the file as it was read."""

    execution: ExecutionConfig = ExecutionConfig()

    logging: tuple[str, ...] = ()
    """Further logs of every run: "tensorboard", "wandb". No result depends on them."""
