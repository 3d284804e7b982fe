"""Mean of every combination of levels with its interval, and the combinations that may be the best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.best import best_candidates
from harness.analysis.stats.intervals import mean_interval
from harness.analysis.stats.samples import FloatArray

__all__ = ["Landscape", "landscape"]


@dataclass(frozen=True, eq=False)
class Landscape:
    """Arrays of the shape of the levels, [a] or [a, b, ...]; NaN where there is no run."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    """Limits of Student's t interval for each combination alone, within the bounds of the numbers."""
    constant: npt.NDArray[np.bool_]
    """True where all seeds have the same value, so that the interval says nothing."""
    n_seeds: npt.NDArray[np.int_]
    candidates: npt.NDArray[np.bool_]
    """True where the combination may be the best, see `best_candidates`."""
    values: FloatArray
    """Number of each seed, [S, ...]."""


def landscape(
    values: npt.ArrayLike,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Landscape:
    """Return mean, interval and number of seeds of every combination, and the candidates for the best.

    values: one number for each seed and combination, [S, ...], NaN for a run without one. bounds: lowest and highest
    possible number; an interval is cut there.
    Raises ValueError without an axis for a factor.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim < 2:
        raise ValueError(f"expected an axis for the seeds and one for each factor, got the shape {scores.shape}")
    shape = scores.shape[1:]
    columns = scores.reshape(scores.shape[0], math.prod(shape))  # -1 would be refused without any seed
    intervals = [mean_interval(column, confidence) for column in columns.T]
    sign = 1.0 if higher_is_better else -1.0
    there = ~np.isnan(columns)
    spans = np.where(there, columns, -np.inf).max(axis=0, initial=-np.inf) == np.where(there, columns, np.inf).min(
        axis=0, initial=np.inf
    )
    return Landscape(
        mean=np.array([one.estimate for one in intervals]).reshape(shape),
        low=np.clip([one.low for one in intervals], *bounds).reshape(shape),
        high=np.clip([one.high for one in intervals], *bounds).reshape(shape),
        constant=(spans & (there.sum(axis=0) > 1)).reshape(shape),
        n_seeds=there.sum(axis=0).reshape(shape),
        candidates=best_candidates(sign * columns, confidence).reshape(shape),
        values=scores,
    )
