"""How the first weights of two implementations are related, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["layers_in_words"]

Array = NDArray[Any]

_SAME_NORM = 1e-3
_MOST_LISTED = 4


def layers_in_words(ours: Array, theirs: Array, parameters: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    """What the norms of the layers say of two vectors of weights.

    An orthogonal matrix has a norm that only its shape and its gain decide, so that another gain shows, and other
    random draws do not. parameters: names and shapes of the weights, in order. Empty where the norms say nothing.
    """
    ours, theirs = ours.reshape(-1).astype(np.float64), theirs.reshape(-1).astype(np.float64)
    start = 0
    other: list[str] = []
    for name, shape in parameters:
        end = start + math.prod(shape)
        mine, its = (float(np.linalg.norm(vector[start:end])) for vector in (ours, theirs))
        start = end
        if abs(mine - its) <= _SAME_NORM * max(mine, its):
            continue
        other.append(f"{name} has {mine / its:.4g} times the norm" if its else f"{name} is not zero")
    if start != len(theirs):
        return ""
    if not other:
        return "every layer has the reference's norm: other draws from the same distribution"
    more = f", and {len(other) - _MOST_LISTED} more" if len(other) > _MOST_LISTED else ""
    return ", ".join(other[:_MOST_LISTED]) + more
