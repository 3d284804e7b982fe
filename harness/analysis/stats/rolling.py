"""Rolling mean and variance of the episode returns of one run."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.samples import FloatArray, present

__all__ = ["WindowSummary", "last_window", "rolling_mean", "rolling_variance"]


class WindowSummary(NamedTuple):
    """Mean and sample standard deviation of the returns in one window."""

    mean: float
    std: float


def rolling_mean(x: npt.ArrayLike, window: int) -> FloatArray:
    """Return the mean of each value and the window - 1 values before it, [T].

        m_t = (x_{t-w+1} + ... + x_t) / w

    The first w - 1 entries are NaN, since their window is not full: a shorter one would be noisier than the rest of the
    line and look like instability at the start. All are NaN if T < w.
    x: in the order of time, [T]. Raises ValueError if window < 1 or x is not one-dimensional.
    """
    values = _series(x, window, shortest=1)
    first = _first_of_windows(values, window)
    return _after_gap(first + _mean_rise(values, first, window), values.size)


def rolling_variance(x: npt.ArrayLike, window: int) -> FloatArray:
    """Return the unbiased variance of each value and the window - 1 values before it, [T].

        v_t = sum_{k<w} (x_{t-k} - m_t)^2 / (w - 1)

    The first w - 1 entries are NaN, as in `rolling_mean`.
    x: in the order of time, [T]. Raises ValueError if window < 2 or x is not one-dimensional.
    """
    values = _series(x, window, shortest=2)
    first = _first_of_windows(values, window)
    rise = _mean_rise(values, first, window)
    squares = np.zeros_like(first)
    for offset in range(window):
        squares += (values[offset : offset + first.size] - first - rise) ** 2
    return _after_gap(squares / (window - 1), values.size)


def last_window(x: npt.ArrayLike, k: int) -> WindowSummary:
    """Return mean and sample standard deviation of the last k values, or of all if there are fewer.

    x: in the order of time, [T]; NaN is dropped first. The standard deviation of one number is NaN, and so is the mean
    of none. Raises ValueError if k < 1.
    """
    if k < 1:
        raise ValueError(f"a window holds at least 1 number, got {k}")
    values = present(x).values[-k:]
    mean = float(values.mean()) if values.size else math.nan
    return WindowSummary(mean, float(values.std(ddof=1)) if values.size > 1 else math.nan)


def _first_of_windows(values: FloatArray, window: int) -> FloatArray:
    return values[: max(values.size - window + 1, 0)]


def _mean_rise(values: FloatArray, first: FloatArray, window: int) -> FloatArray:
    """Return the means of the full windows, relative to the first value of each, [T - w + 1].

    A running sum would be cheaper, but its rounding errors add up over a long run (subtracting 1e9 does not undo adding
    it) and make the variance of a quiet stretch negative. Relative to the first value, a window of equal values has a
    variance of exactly 0, which a log axis leaves out.
    """
    sums = np.zeros_like(first)
    for offset in range(window):
        sums += values[offset : offset + first.size] - first
    return sums / window


def _series(x: npt.ArrayLike, window: int, *, shortest: int) -> FloatArray:
    if window < shortest:
        raise ValueError(f"the window must hold at least {shortest} numbers, got {window}")
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"expected the numbers of one run (1-D), got an array of shape {values.shape}")
    return values


def _after_gap(full: FloatArray, length: int) -> FloatArray:
    return np.concatenate([np.full(length - full.size, np.nan), full])
