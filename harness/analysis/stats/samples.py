"""Samples of one number per seed: the only place where missing runs are dropped and counted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["FloatArray", "Sample", "present"]

FloatArray = npt.NDArray[np.float64]


class Sample(NamedTuple):
    """Values of the seeds that have one, and the count of those without."""

    values: FloatArray
    """Finite, [n]."""
    n_missing: int

    @property
    def n(self) -> int:
        """Number of seeds that have a value."""
        return int(self.values.size)


def present(x: npt.ArrayLike) -> Sample:
    """Drop and count NaN, which stands for a run that failed or is missing.

    x: one number per seed, [n].
    Raises ValueError if x is not one-dimensional or holds an infinity, which is a broken score, not a missing one.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"expected one number per seed (1-D), got an array of shape {values.shape}")
    missing = np.isnan(values)
    kept = values[~missing]
    if not np.isfinite(kept).all():
        raise ValueError("expected finite numbers or NaN, got an infinite one")
    return Sample(kept, int(missing.sum()))
