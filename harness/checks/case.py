"""What a function is checked on: named cases, and what may be done to their numbers to make them simpler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError

__all__ = [
    "Argument",
    "Array",
    "Case",
    "FunctionCheck",
    "Inputs",
    "KnownMistake",
    "Outputs",
    "UnusableError",
    "float32",
    "generator",
]

Array = NDArray[Any]
Inputs = Mapping[str, Any]
"""Name -> NumPy array, number or None."""
Outputs = Mapping[str, Array]
"""Name of a result -> its numbers, such as "advantages" -> [T, N]."""


@dataclass(frozen=True)
class Case:
    """One set of inputs; the name says which edge it lies on."""

    name: str
    inputs: Inputs


@dataclass(frozen=True)
class KnownMistake:
    """A mistake that a check can name."""

    id: str
    """Name in the catalogue of mistakes."""
    hint: str
    """Text that is printed as the probable cause."""
    numbers: Callable[[Inputs], Outputs]
    """Function from the inputs of a case to the numbers that the mistake gives."""


@dataclass(frozen=True)
class Argument:
    """An input as the shrinker sees it."""

    axes: tuple[str, ...] = ()
    """Name of each axis, such as ("T", "N"): what is cut from one argument is cut from all that have the axis. An axis
    without a name ("") is left as it is."""
    simpler: Sequence[float | bool | None] = ()
    """Numbers to try in the place of each of its numbers, the simplest first."""
    rounded: bool = False
    """Whether rounding its numbers gives valid ones."""


REAL = Argument(simpler=(0.0, 1.0), rounded=True)


def _as_they_are(inputs: Inputs) -> Inputs:
    return inputs


@dataclass(frozen=True)
class FunctionCheck:
    """How one kind of function is checked."""

    name: str
    """Of the public function, such as "check_gae"."""
    calls: str
    """How the subject is called and what it returns, for users."""
    arguments: Mapping[str, Argument]
    cases: Sequence[Case]
    """The simplest first: the first one that fails is the one that is shown."""
    expected: Callable[[Inputs, Sequence[str]], Outputs]
    """SB3's numbers for these inputs, by SB3's code running; only those of the named results are needed."""
    read: Callable[[Any, Inputs, Mapping[str, Any]], Outputs]
    """From what the subject returned, the inputs and the arguments that it got, to named numbers; or UnusableError."""
    magnitude: Callable[[Inputs, Outputs], Outputs]
    """For each result the size of the numbers that were added up to it: what rounding errors are relative to."""
    mistakes: Sequence[KnownMistake] = ()
    """Mistakes that are tried when the subject's numbers are wrong."""
    arrange: Callable[[Inputs], Inputs] = _as_they_are
    """From the inputs of a case to the arguments of the subject, in order."""
    keywords: frozenset[str] = frozenset()
    """Arguments that are given by name; the others are given by position."""
    tensors: bool = False
    """Whether arrays are given as PyTorch tensors."""
    leaves: frozenset[str] = frozenset()
    """Tensors that require a gradient."""


class UnusableError(Exception):
    """What the subject returned cannot be compared; the message says what it is and what was expected."""


def generator(seed: Any) -> np.random.Generator:
    """The random numbers of a check; raises HarnessError when the seed is none."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise HarnessError(f"the seed of a check must be an integer of at least 0, got {seed!r}")
    return np.random.default_rng(int(seed))


def float32(numbers: Any) -> NDArray[np.float32]:
    """The numbers as they are given to a subject."""
    return np.asarray(numbers, dtype=np.float32)
