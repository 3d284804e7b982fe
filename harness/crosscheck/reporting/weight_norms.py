"""Comparison of the initial weights of two implementations by the norms of their layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["norms_in_words"]

Array = NDArray[Any]

_EQUAL_NORMS = 1e-3
"""Relative difference up to which two norms count as equal."""

_MOST_LISTED = 4


def norms_in_words(subject: Array, reference: Array, parameters: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    """Return in words how the layers' norms of two vectors of initial weights compare; "" if the layers are unknown.

    The norm of an orthogonal matrix depends on its shape and gain only: another gain changes it, other random draws do
    not. parameters: name and shape of every weight, in the order of the vectors.
    """
    subject, reference = subject.reshape(-1).astype(np.float64), reference.reshape(-1).astype(np.float64)
    if sum(math.prod(shape) for _, shape in parameters) != len(reference):
        return ""
    start = 0
    unequal: list[str] = []
    for name, shape in parameters:
        layer = slice(start, start + math.prod(shape))
        start = layer.stop
        norm, expected = float(np.linalg.norm(subject[layer])), float(np.linalg.norm(reference[layer]))
        if abs(norm - expected) > _EQUAL_NORMS * max(norm, expected):
            unequal.append(f"{name} {norm / expected:.4g}" if expected else f"{name} not zero")
    if not unequal:
        return "every layer has the reference's norm: other random draws of the same initialisation"
    more = f", and {len(unequal) - _MOST_LISTED} more" if len(unequal) > _MOST_LISTED else ""
    return f"norms of layers relative to the reference's: {', '.join(unequal[:_MOST_LISTED])}{more}"
