"""Equality of arrays: to the bit, or within the rounding of float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.case import Array

__all__ = ["ULPS", "Distance", "distance"]

ULPS = 8
"""Units of float32, at the size of the summands, up to which a difference counts as rounding.

41 correct functions in float64 or in other orders of operations were at most 1.6 units away under 60 seeds; an epsilon
of 1e-5 instead of 1e-8 is 80 units away for numbers around 1.
"""

EPSILON = float(np.finfo(np.float32).eps)
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Distance:
    """Difference of an array from the expected one, of the same shape."""

    largest: float
    """Largest absolute difference; infinite if a NaN or an infinity is on one side only."""
    ulps: NDArray[np.float64]
    """Differences in units of float32's epsilon at the given magnitude, element by element."""

    @property
    def bit_equal(self) -> bool:
        """True if all elements are equal."""
        return self.largest == 0

    def wrong(self, *, exact: bool) -> NDArray[np.bool_]:
        """Return True for each element that differs: at all if `exact`, else by more than rounding."""
        return np.asarray(self.ulps > (0 if exact else ULPS))


def distance(got: Array, expected: Array, magnitude: Array) -> Distance:
    """Return the difference of `got` from `expected`.

    magnitude: size to which rounding errors are relative, an array that broadcasts.
    """
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(got - expected)
        gap = np.where((got == expected) | (np.isnan(got) & np.isnan(expected)), 0.0, gap)
        gap = np.where(np.isnan(gap), np.inf, gap)
        size = np.maximum(np.where(np.isfinite(expected), np.abs(expected), 0.0), np.nan_to_num(magnitude, posinf=0.0))
        ulps = gap / (EPSILON * np.maximum(size, TINY / EPSILON))
    return Distance(float(gap.max(initial=0.0)), ulps)
