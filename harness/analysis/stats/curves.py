"""Learning curves: interpolation to a grid, interquartile mean over seeds with a band, and area under the curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.resampling import bootstrap_iqm, check_confidence, percentile_limits, weighted_iqm
from harness.analysis.stats.samples import FloatArray

__all__ = ["Band", "area_under_curve", "interpolate_curve", "iqm_curve"]


@dataclass(frozen=True, eq=False)
class Band:
    """Estimate over the curves of all seeds at each time, with limits; all arrays are [T]."""

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    confidence: float
    n: int
    """Seeds with a value at some time."""
    n_missing: int
    """Seeds without any value."""
    method: str


def interpolate_curve(timesteps: npt.ArrayLike, values: npt.ArrayLike, grid: npt.ArrayLike) -> FloatArray:
    """Interpolate one run's values linearly to a grid, [G].

    The result is NaN before the first and after the last point: holding the last value would invent data for a run
    that failed. Points at equal timesteps (episodes that end together in parallel environments) are averaged.
    timesteps: not decreasing, [T]; values: [T], points of NaN are left out; grid: [G].
    Raises ValueError if shapes disagree or the timesteps decrease.
    """
    at, points = np.asarray(grid, dtype=np.float64), _points(timesteps, values)
    if points.times.size == 0:
        return np.full(at.shape, np.nan)
    return np.interp(at, points.times, points.values, left=np.nan, right=np.nan)


def area_under_curve(timesteps: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """Return the mean height of one run's curve, its trapezoidal area over the time that it spans, in units of return.

        AUC = sum_i (v_i + v_{i+1}) / 2 * (t_{i+1} - t_i) / (t_T - t_1)

    Early learning raises it. The division makes runs of different length comparable, in the unit of the returns.
    Arguments and errors as in `interpolate_curve`. NaN with fewer than two distinct times.
    """
    points = _points(timesteps, values)
    if points.times.size < 2:
        return math.nan
    return float(np.trapezoid(points.values, points.times) / (points.times[-1] - points.times[0]))


def iqm_curve(
    curves: npt.ArrayLike,
    rng: np.random.Generator,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    *,
    simultaneous: bool = False,
) -> Band:
    """Return the interquartile mean over seeds at each time, with a bootstrap band of whole trajectories.

    curves: one row per seed on a common grid, [n, T]. A row of NaN is a missing run, dropped and counted; a NaN inside
    a row leaves that seed out at that time only. Limits are NaN with fewer than two seeds (at that time).
    simultaneous: False takes percentiles at each time, so that 95% of the times, not of the whole curves, are expected
        inside. True takes the narrowest band between equal ranks of the resamples that contains 95% of the resampled
        curves as a whole, and widens it about the estimate by sqrt(n / (n - 1)) t(n - 1) / z, as a bootstrap of n seeds
        is too narrow by that: exact for the mean of normal scores at a single time. Its simulated coverage of whole
        curves is in docs/statistics.md.
    Raises ValueError if curves is not two-dimensional. Agarwal et al. 2021, arXiv 2108.13264, appendix A; Davison and
    Hinkley 1997, Bootstrap Methods and their Application, section 4.2.4, for the envelope.
    """
    check_confidence(confidence)
    rows = np.asarray(curves, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"expected one curve per seed [n, T], got an array of shape {rows.shape}")
    kept = rows[~np.isnan(rows).all(axis=1)]
    estimate, low, high = np.full((3, rows.shape[1]), np.nan)
    if len(kept):
        estimate = weighted_iqm(kept, np.ones((1, len(kept))))[0]
    several = (~np.isnan(kept)).sum(axis=0) > 1
    if several.any():
        resampled = bootstrap_iqm(kept[:, several], rng, n_resamples)
        if simultaneous:
            low[several], high[several] = _envelope(resampled, estimate[several], confidence, len(kept))
        else:
            low[several], high[several] = percentile_limits(resampled, confidence)
    method = "bootstrap envelope of runs" if simultaneous else "percentile bootstrap of runs"
    return Band(estimate, low, high, confidence, len(kept), len(rows) - len(kept), method)


def _envelope(resampled: FloatArray, estimate: FloatArray, confidence: float, n: int) -> tuple[FloatArray, FloatArray]:
    """Return the limits of the simultaneous band at each time, low [T] and high [T].

    resampled: interquartile means of the resamples, [B, T]; estimate: [T]; n: seeds.
    """
    # A resample without a value at some time says nothing there.
    ordered = np.sort(np.where(np.isnan(resampled), estimate, resampled), axis=0)
    depth = np.full(len(resampled), len(resampled))
    for column, values in zip(ordered.T, np.where(np.isnan(resampled), estimate, resampled).T, strict=True):
        below = np.searchsorted(column, values, side="right") - 1
        above = len(column) - 1 - np.searchsorted(column, values, side="left")
        depth = np.minimum(depth, np.minimum(below, above))
    rank = int(np.quantile(depth, 1.0 - confidence, method="lower"))
    tail = (1.0 - confidence) / 2
    wider = math.sqrt(n / (n - 1)) * float(special.stdtrit(n - 1, 1 - tail) / special.ndtri(1 - tail))
    low, high = ordered[rank], ordered[len(ordered) - 1 - rank]
    return estimate - wider * (estimate - low), estimate + wider * (high - estimate)


@dataclass(frozen=True, eq=False)
class _Points:
    """Curve with strictly increasing times and one value at each."""

    times: FloatArray
    values: FloatArray


def _points(timesteps: npt.ArrayLike, values: npt.ArrayLike) -> _Points:
    times, heights = np.asarray(timesteps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or times.shape != heights.shape:
        raise ValueError(f"expected timesteps and values of one run [T], got {times.shape} and {heights.shape}")
    if (np.diff(times) < 0).any():
        raise ValueError("the timesteps of a run must not decrease")
    there = ~np.isnan(heights)
    distinct, index, counts = np.unique(times[there], return_inverse=True, return_counts=True)
    return _Points(distinct, np.bincount(index, weights=heights[there], minlength=distinct.size) / counts)
