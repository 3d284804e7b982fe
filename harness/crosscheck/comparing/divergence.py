"""Differences between two arrays, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.quantities import Place

__all__ = ["ROUNDING", "Divergence", "array_difference", "equal_elements", "equal_up_to_rounding"]

Array = NDArray[Any]

ROUNDING = 1e-5
"""Largest difference, relative to the largest absolute value, that another order of the same operations explains."""

_CONSTANT = 1e-3
"""Relative spread up to which ratios count as one constant."""


@dataclass(frozen=True)
class Divergence:
    """Place at which two traces differ, with both arrays."""

    place: Place
    kind: Literal["value", "shape", "missing", "extra", "error"]
    """missing: the subject has no such array here; extra: the reference has none; error: the subject's run failed."""
    subject: Array | None
    """Array of the subject; None if it is missing, or was not found among the results of its operations."""
    reference: Array | None
    """Array of the reference."""
    size: float
    """Largest absolute difference, divided by the reference's largest absolute value."""

    @property
    def beyond_rounding(self) -> bool:
        """True if another order of the same operations cannot be the reason."""
        return self.kind != "value" or not self.size <= ROUNDING  # written so that NaN is beyond rounding

    @cached_property
    def index(self) -> tuple[int, ...] | None:
        """Index of the first element that differs, in the reference's shape; None if the sizes differ."""
        if self.subject is None or self.reference is None or self.subject.size != self.reference.size:
            return None
        different = ~equal_elements(self.reference.reshape(-1), self.subject.reshape(-1))
        first = int(np.flatnonzero(different)[0]) if different.any() else 0
        return tuple(int(i) for i in np.unravel_index(first, self.reference.shape)) if self.reference.shape else ()

    @cached_property
    def ratio(self) -> float | None:
        """Quotient subject / reference, if it is constant over all elements that differ; otherwise None."""
        if self.subject is None or self.reference is None or self.subject.size != self.reference.size:
            return None
        reference, subject = (array.reshape(-1).astype(np.float64) for array in (self.reference, self.subject))
        # Equal elements are left out: padding and clipped values stay equal under any factor.
        different = ~equal_elements(reference, subject)
        if not different.any() or (reference[different] == 0).any():
            return None
        ratios = subject[different] / reference[different]
        return float(np.median(ratios)) if np.ptp(ratios) <= _CONSTANT * abs(np.median(ratios)) else None


def array_difference(place: Place, reference: Array | None, subject: Array | None) -> Divergence | None:
    """Return the divergence of two arrays, or None if all elements are equal.

    Shapes may differ by dimensions of one. A difference of integers or booleans has infinite size.
    """
    if reference is None or subject is None:
        return Divergence(place, "extra" if reference is None else "missing", subject, reference, np.inf)
    if reference.size != subject.size:
        return Divergence(place, "shape", subject, reference, np.inf)
    a, b = reference.reshape(-1), subject.reshape(-1)
    equal = equal_elements(a, b)
    if equal.all():
        return None
    if reference.dtype.kind in "biu":
        return Divergence(place, "value", subject, reference, np.inf)
    # In float64, so that the difference of two float32 neighbours is exact. Equal elements count as zero, which keeps
    # inf - inf and NaN - NaN out of the maximum; any other NaN makes the size infinite.
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        largest = float(np.max(np.where(equal, 0.0, np.abs(x - y))))
        scale = float(np.max(np.abs(np.where(np.isfinite(x), x, 0.0)), initial=0.0))
    size = largest / scale if scale else np.inf
    return Divergence(place, "value", subject, reference, float("inf") if np.isnan(size) else size)


def equal_elements(a: Array, b: Array) -> NDArray[np.bool_]:
    """Return True for each pair of equal elements; NaN equals NaN."""
    equal: NDArray[np.bool_] = a == b
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        equal = equal | (np.isnan(a) & np.isnan(b))
    return equal


def equal_up_to_rounding(found: Array | None, wanted: Array) -> Array | None:
    """Return `found` or its negative, in the shape of `wanted`, if equal to it up to rounding; otherwise None."""
    if found is None or found.size != wanted.size:
        return None
    scale = float(np.abs(wanted).max(initial=0))
    same_shape = found.reshape(wanted.shape)
    candidates = (same_shape, -same_shape)
    return next((one for one in candidates if np.abs(one - wanted).max(initial=0) <= ROUNDING * scale), None)
