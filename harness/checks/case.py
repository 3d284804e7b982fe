"""Data types of a check: cases, arguments with the ways to simplify them, and known mistakes."""

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
"""Name of a result -> its array, for example "advantages" -> [T, N]."""


@dataclass(frozen=True)
class Case:
    """One set of inputs, named after the edge case that it covers."""

    name: str
    inputs: Inputs


@dataclass(frozen=True)
class KnownMistake:
    """A mistake that a check can name."""

    id: str
    """Name in the catalogue of mistakes."""
    hint: str
    """Text that is printed as the probable cause."""
    outputs: Callable[[Inputs], Outputs]
    """Function from the inputs of a case to the results of a function with this mistake."""


@dataclass(frozen=True)
class Argument:
    """Ways to make one input smaller or simpler."""

    axes: tuple[str, ...] = ()
    """Name of each axis, for example ("T", "N"): a row is removed from all arguments that have the axis. An axis
    without a name ("") keeps its length."""
    simpler: Sequence[float | bool | None] = ()
    """Values that may replace each of its elements, the simplest first."""
    rounded: bool = False
    """True if rounded values are valid, too."""


REAL = Argument(simpler=(0.0, 1.0), rounded=True)


def _as_they_are(inputs: Inputs) -> Inputs:
    return inputs


@dataclass(frozen=True)
class FunctionCheck:
    """Check of one kind of function."""

    name: str
    """Name of the public function, for example "check_gae"."""
    calls: str
    """Call of the subject and its result, as shown to users."""
    arguments: Mapping[str, Argument]
    cases: Sequence[Case]
    """Cases, the simplest first: the first one that fails is shown."""
    expected: Callable[[Inputs, Sequence[str]], Outputs]
    """Function from inputs and names of results to at least these results, computed by SB3's own code."""
    read: Callable[[Any, Inputs, Mapping[str, Any]], Outputs]
    """Function from the subject's result, the inputs and its arguments to named arrays; raises UnusableError."""
    magnitude: Callable[[Inputs, Outputs], Outputs]
    """Function from inputs and expected results to the size of each one's summands: rounding is relative to it."""
    mistakes: Sequence[KnownMistake] = ()
    """Mistakes that are tried when the subject's results are wrong."""
    arrange: Callable[[Inputs], Inputs] = _as_they_are
    """Function from the inputs of a case to the arguments of the subject, in order."""
    keywords: frozenset[str] = frozenset()
    """Arguments that are passed by name; the others are passed by position."""
    tensors: bool = False
    """True if arrays are passed as PyTorch tensors."""
    leaves: frozenset[str] = frozenset()
    """Tensors that require a gradient."""


class UnusableError(Exception):
    """Error for a result that cannot be compared; the message describes it and the expected result."""


def generator(seed: Any) -> np.random.Generator:
    """Return the random generator of a check; raise HarnessError for an invalid seed."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise HarnessError(f"the seed of a check must be an integer of at least 0, got {seed!r}")
    return np.random.default_rng(int(seed))


def float32(values: Any) -> NDArray[np.float32]:
    """Return the values as float32, the type in which they are passed to a subject."""
    return np.asarray(values, dtype=np.float32)
