"""Factors of a sweep: their levels, and the place of every algorithm among the combinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.config import AlgorithmConfig, ExperimentConfig
from harness.config.defaults import sb3_defaults
from harness.config.experiment import Level
from harness.config.labels import level_text

__all__ = ["Design", "Factor", "designs"]

NO_DEVIATION = "none"
_NO_LEVEL = object()


@dataclass(frozen=True)
class Factor:
    """One factor of a sweep: a hyperparameter, the recipe, the deviations, or the algorithm."""

    name: str
    levels: tuple[Level, ...]
    """Levels in ascending order if all are numbers, else in the order of the experiment."""
    default: int | None
    """Place of the usual level, None if it is not among them."""

    @property
    def is_numeric(self) -> bool:
        """True if every level is a number."""
        return all(_is_number(level) for level in self.levels)

    @property
    def texts(self) -> tuple[str, ...]:
        """Levels as text, as in labels of algorithms."""
        return tuple(level if isinstance(level, str) else level_text(level) for level in self.levels)


@dataclass(frozen=True)
class Design:
    """Algorithms that differ in the levels of the same factors."""

    factors: tuple[Factor, ...]
    points: Mapping[str, tuple[int, ...]]
    """Label of an algorithm -> place of its level in each factor."""

    @property
    def name(self) -> str:
        """Names of the factors: "clip_range x gae_lambda"."""
        return " x ".join(factor.name for factor in self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of levels of each factor."""
        return tuple(len(factor.levels) for factor in self.factors)

    @property
    def default(self) -> str | None:
        """Label of the algorithm whose levels are all usual, None if there is none."""
        usual = tuple(factor.default for factor in self.factors)
        return next((label for label, places in self.points.items() if places == usual), None)


def designs(config: ExperimentConfig) -> list[Design]:
    """Return the sweeps of an experiment: a design for each set of factors, of those algorithms that have factors.

    The usual levels are those of the baseline, if it is part of the design, else SB3's defaults. A baseline without
    factors is the level "none" of a design whose only factor is `deviations`.
    A factor with a single level everywhere is left out; a design of fewer than two points is none.
    """
    groups: dict[tuple[str, ...], list[dict[str, AlgorithmConfig]]] = {}
    baseline = config.statistics.baseline
    for algorithm in config.algorithms:
        names = tuple(algorithm.factors)
        if not names and algorithm.label == baseline:
            names = ("deviations",)
        if names:
            _place(algorithm, groups.setdefault(names, []))
    found = [_design(names, group, baseline) for names, parts in groups.items() for group in parts]
    return [design for design in found if design is not None]


def _place(algorithm: AlgorithmConfig, parts: list[dict[str, AlgorithmConfig]]) -> None:
    """Add an algorithm to the first part that has no other one at its point, such as that of another sweep."""
    point = _point(algorithm)
    for part in parts:
        if all(_point(other) != point for other in part.values()):
            part[algorithm.label] = algorithm
            return
    parts.append({algorithm.label: algorithm})


def _point(algorithm: AlgorithmConfig) -> tuple[Any, ...]:
    return tuple(_keys(list(algorithm.factors.values()))) or (_key(NO_DEVIATION),)


def _design(names: Sequence[str], group: Mapping[str, AlgorithmConfig], baseline: str | None) -> Design | None:
    levels_of = {label: algorithm.factors or {names[0]: NO_DEVIATION} for label, algorithm in group.items()}
    usual = levels_of.get(baseline or "")
    factors = {}
    for name in names:
        levels = _ordered([levels[name] for levels in levels_of.values()])
        if len(levels) > 1:
            default = usual[name] if usual is not None else _default(name, group)
            factors[name] = Factor(name, tuple(levels), _place_of(default, levels))
    if not factors:
        return None
    points = {
        label: tuple(_keys(factor.levels).index(_key(levels[name])) for name, factor in factors.items())
        for label, levels in levels_of.items()
    }
    return Design(tuple(factors.values()), points)


def _default(name: str, group: Mapping[str, AlgorithmConfig]) -> object:
    """Return the default that all algorithms of a design share; an object that equals no level if there is none."""
    defaults = [sb3_defaults(algorithm.algo_class) for algorithm in group.values()]
    if not all(name in known for known in defaults) or len({_key(known[name]) for known in defaults}) > 1:
        return _NO_LEVEL
    return defaults[0][name]


def _place_of(default: object, levels: Sequence[Level]) -> int | None:
    keys = _keys(levels)
    return keys.index(_key(default)) if _key(default) in keys else None


def _ordered(levels: Sequence[Level]) -> list[Level]:
    unique = {_key(level): level for level in levels}
    if all(_is_number(level) for level in levels):
        return [unique[key] for key in sorted(unique)]
    return list(unique.values())


def _keys(levels: Sequence[Level]) -> list[Any]:
    return [_key(level) for level in levels]


def _key(level: object) -> Any:
    """Return what two equal levels share: 1 and 1.0 are one level, 1 and true are two."""
    return float(level) if isinstance(level, int | float) and not isinstance(level, bool) else repr(level)


def _is_number(level: Level) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)
