"""Relation of the subject's values to the reference's, in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.comparing.divergence import Divergence, equal_elements
from harness.crosscheck.reporting.weight_norms import norms_in_words
from harness.crosscheck.tracing.trace import Trace

__all__ = ["relation_in_words"]

Array = NDArray[Any]

_CONSTANT = 1e-3
"""Relative spread up to which ratios or offsets count as constant: differences of float32 values are inexact."""


def relation_in_words(divergence: Divergence, reference: Trace, error: str | None) -> str:
    """Return what relates the two sides of a divergence, or "". error: exception that ended the subject's run."""
    subject, expected = divergence.subject, divergence.reference
    quantity = divergence.place.quantity
    if divergence.kind == "error":
        return f"the subject raised {error}"
    if quantity == "final_randomness" and divergence.kind != "value":
        return ""
    if divergence.kind == "missing":
        return "the reference has a value here, the subject has none"
    if divergence.kind == "extra":
        return "the subject has a value here, the reference has none"
    if subject is None or expected is None:
        return ""
    if divergence.kind == "shape":
        return f"{subject.size} elements instead of {expected.size}"
    if quantity.endswith("randomness"):
        moved = [name for name, row in (("torch", 0), ("NumPy", 1)) if (subject[row] != expected[row]).any()]
        return f"another number of random draws from {' and '.join(moved)}"
    if subject.dtype.kind == "f" and not np.isfinite(subject).all() and np.isfinite(expected).all():
        return "not finite"
    # Initial weights are random: unless they differ by one factor, only the layers' norms distinguish a wrong gain from
    # other random draws.
    if quantity == "initial_parameters" and divergence.beyond_rounding and divergence.ratio is None:
        norms = norms_in_words(subject, expected, reference.parameters)
        if norms:
            return norms
    return _proportion(divergence, subject, expected)


def _proportion(divergence: Divergence, subject: Array, reference: Array) -> str:
    ratio, several = divergence.ratio, reference.size > 1
    if not divergence.beyond_rounding:
        return "within rounding: the same operations in another order can explain it"
    if ratio is not None and abs(ratio + 1) < _CONSTANT:
        return "the sign is reversed"
    if ratio == 0:
        return "zero instead"
    if ratio is not None:
        return f"{ratio:.5g} times the reference's" + (", wherever it differs" if several else "")
    if several and (offset := _constant_offset(subject, reference)) is not None:
        return f"{offset:+.5g}, wherever it differs"
    if several and np.array_equal(np.sort(subject.reshape(-1)), np.sort(reference.reshape(-1))):
        return "the same values in another order"
    return f"relative difference up to {divergence.size:.2g}" if math.isfinite(divergence.size) else ""


def _constant_offset(subject: Array, reference: Array) -> float | None:
    """Return subject - reference, if it is the same for all elements that differ, and there are several."""
    if reference.dtype.kind != "f":
        return None  # actions and indices are labels: an offset between them means nothing
    a, b = subject.reshape(-1), reference.reshape(-1)
    offsets = (a.astype(np.float64) - b)[~equal_elements(a, b)]
    median = float(np.median(offsets)) if len(offsets) > 1 else 0.0
    constant = len(offsets) > 1 and np.ptp(offsets) <= _CONSTANT * abs(median)
    return median if constant else None
