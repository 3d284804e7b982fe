"""Reduction of a failing input to a small one: fewer rows, then simpler values."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from harness.checks.case import Argument, Inputs

__all__ = ["shrink"]

MAX_TRIALS = 600
MAX_SECONDS = 5.0
"""Time limit for slow subjects, for example those that are compiled for every shape."""


def shrink(
    inputs: Inputs, arguments: Mapping[str, Argument], still_fails: Callable[[Inputs], bool]
) -> Mapping[str, Any]:
    """Return the smallest inputs found for which still_fails is true; it must be true for `inputs`.

    Greedy: a smaller input that still fails is kept, until none is found. hypothesis's shrinker is not used, because
    the inputs are arrays that share axes, and because users should not need a test library.
    """
    trial = _Trials(still_fails)
    smallest, before = dict(inputs), None
    while before is not smallest and not trial.spent:
        before = smallest
        smallest = _cut_down(smallest, arguments, trial)
        smallest = _simplified(smallest, arguments, trial)
    return smallest


class _Trials:
    """Limited number of trials of `still_fails`; when none is left, `fails` returns False."""

    def __init__(self, still_fails: Callable[[Inputs], bool]) -> None:
        self._still_fails = still_fails
        self._left = MAX_TRIALS
        self._until = time.monotonic() + MAX_SECONDS

    @property
    def spent(self) -> bool:
        return self._left <= 0 or time.monotonic() > self._until

    def fails(self, inputs: Inputs) -> bool:
        self._left -= 1
        return not self.spent and self._still_fails(inputs)


def _cut_down(inputs: dict[str, Any], arguments: Mapping[str, Argument], trial: _Trials) -> dict[str, Any]:
    """Return inputs with as few rows as possible; each success starts the search again with the smaller inputs."""
    while (smaller := next(filter(trial.fails, _cut(inputs, arguments)), None)) is not None:
        inputs = smaller
    return inputs


def _simplified(inputs: dict[str, Any], arguments: Mapping[str, Argument], trial: _Trials) -> dict[str, Any]:
    """Return inputs with each element as simple as possible, changed one after the other."""
    for name, argument in arguments.items():
        for index in _places(inputs[name], argument):
            for number in _simpler(_at(inputs[name], index), argument):
                changed = {**inputs, name: _with(inputs[name], index, number)}
                if trial.fails(changed):
                    inputs = changed
                    break
    return inputs


def _cut(inputs: Mapping[str, Any], arguments: Mapping[str, Argument]) -> Iterator[dict[str, Any]]:
    """Yield inputs with fewer rows along one axis: half of them first, then ever smaller blocks removed."""
    for axis in dict.fromkeys(axis for argument in arguments.values() for axis in argument.axes if axis):
        size = _size(inputs, arguments, axis)
        block = size // 2
        while block >= 1:
            for start in range(0, size, block):
                if block < size:
                    yield _without(inputs, arguments, axis, slice(start, start + block))
            block //= 2


def _size(inputs: Mapping[str, Any], arguments: Mapping[str, Argument], axis: str) -> int:
    for name, argument in arguments.items():
        if axis in argument.axes:
            return int(inputs[name].shape[argument.axes.index(axis)])
    raise AssertionError(axis)


def _without(inputs: Mapping[str, Any], arguments: Mapping[str, Argument], axis: str, rows: slice) -> dict[str, Any]:
    return {
        name: np.delete(value, rows, axis=arguments[name].axes.index(axis)) if axis in arguments[name].axes else value
        for name, value in inputs.items()
    }


Place = tuple[int, ...] | None
"""Index of an element in its argument; None for the whole argument."""


def _places(value: Any, argument: Argument) -> Iterator[Place]:
    if not argument.simpler:
        return
    yield None
    if isinstance(value, np.ndarray):
        yield from np.ndindex(value.shape)


def _at(value: Any, place: Place) -> Any:
    return value[place].item() if isinstance(value, np.ndarray) and place is not None else value


def _with(value: Any, place: Place, number: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return number
    if place is None:
        return np.full_like(value, number)
    changed = value.copy()
    changed[place] = number
    return changed


def _simpler(number: Any, argument: Argument) -> Iterator[Any]:
    """Yield simpler values than this one, the simplest first; for a whole array only the simplest value."""
    if isinstance(number, np.ndarray):
        yield from (simplest for simplest in argument.simpler[:1] if np.any(number != simplest))
        return
    if number is None or number in argument.simpler[:1]:
        return
    rank = _complexity(number, argument)
    yield from (simpler for simpler in argument.simpler if _complexity(simpler, argument) < rank)
    if argument.rounded and math.isfinite(number):
        yield from (rounded for digits in (0, 1) if _complexity(rounded := round(number, digits), argument) < rank)


def _complexity(number: Any, argument: Argument) -> tuple[float, float]:
    """Return the rank of a value, lowest for the simplest; values of one rank never replace each other."""
    if number in argument.simpler:
        return (0, list(argument.simpler).index(number))
    if not math.isfinite(number):
        return (1, 0)
    decimals = next((digits for digits in (0, 1) if math.isclose(number, round(number, digits), rel_tol=1e-6)), 2)
    return (2 + decimals, abs(number) if decimals == 0 else 0)
