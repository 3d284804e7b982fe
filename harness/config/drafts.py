"""Algorithms and environments as a file names them, before their hyperparameters are looked up and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.config.documents import Located
from harness.config.experiment import Level
from harness.config.names import BORROWED

__all__ = ["AlgorithmDraft", "EnvironmentDraft"]


@dataclass(frozen=True)
class AlgorithmDraft:
    """One algorithm of the experiment, with its own kwargs still unchecked."""

    label: str
    algo_class: str
    hyperparameters_of: str | None
    """Key of the section `hyperparameters` that the file names, if it names one."""

    kwargs: Mapping[str, Located]
    place: Located
    """Entry of the list `algorithms` that defines it, for messages."""

    variation_of: AlgorithmDraft | None = None
    """Algorithm whose hyperparameters this one shares, if an expansion made it as a variation."""

    factors: Mapping[str, Level] = field(default_factory=dict)
    """Factors of a study, and the level of each at which this algorithm is."""

    swept: frozenset[str] = frozenset()
    """Hyperparameters that an expansion varies, which an environment must not override."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the section `hyperparameters` to look up, in this order: the first that exists is used."""
        if self.variation_of is not None:
            return self.variation_of.sources
        if self.hyperparameters_of is not None:
            return (self.hyperparameters_of,)
        names = [self.label, self.algo_class]
        return tuple(dict.fromkeys([*names, *(BORROWED[name] for name in names if name in BORROWED)]))


@dataclass(frozen=True)
class EnvironmentDraft:
    """One environment of the experiment; its overrides are checked with the entries that they override."""

    env: str
    overrides: Mapping[str, Located]
    place: Located
