"""Result of reading an experiment: the experiment itself, or its mistakes and all parts that are valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.config.documents import Located, PlacedError
from harness.config.drafts import AlgorithmDraft, EnvironmentDraft
from harness.config.experiment import ExperimentConfig

__all__ = ["Entry", "Reading"]


@dataclass(frozen=True)
class Entry:
    """Hyperparameters of one algorithm in one environment."""

    values: Mapping[str, Any]
    """Checked hyperparameters, n_timesteps included; without those that are not accepted."""

    places: Mapping[str, Located]
    """Hyperparameter -> place where it is written."""

    is_valid: bool
    """False if a hyperparameter was not accepted, or one is missing."""


@dataclass(frozen=True)
class Reading:
    """An experiment as far as its file could be read."""

    config: ExperimentConfig | None
    """The experiment, or None if there are problems."""

    problems: tuple[PlacedError, ...]
    """All mistakes, in the order of the file."""

    algorithms: tuple[AlgorithmDraft, ...] = ()
    environments: tuple[EnvironmentDraft, ...] = ()

    entries: Mapping[tuple[str, str], Entry] | None = None
    """(label, environment id) -> hyperparameters."""

    logging: tuple[Located, ...] = ()
    """Further logs of every run, each at its place."""
