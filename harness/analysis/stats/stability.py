"""Stability of training: the reliability metrics of Chan et al. 2020 (ICLR, arXiv 1912.05663) for learning curves.

Measures across *time* take the curve of one run [T] and return one number, so that the seed stays the unit and the same
tests apply as to scores. Measures across *runs* take the curves of all seeds [n, T].

    dispersion_across_time    DT    IQR of the detrended curve inside a sliding window      smaller is steadier
    short_term_risk           SRT   mean of the worst 5% of the changes between points      nearer to 0 (from below)
    long_term_risk            LRT   mean of the worst 5% of the drawdown                    smaller
    max_drawdown                    the deepest fall below a value reached before           smaller
    relative_drawdown               max_drawdown as a share of the curve's range            smaller
    roughness                       all rises and falls over the range                      nearer to 1
    dispersion_across_runs    DR    IQR over the seeds at each time                         smaller
    risk_across_runs          RR    mean of the worst 5% of the seeds at each time          larger

Departures from the paper and its code: points are assumed to be equally spaced, so that a change is in returns per
point, not per step (call `interpolate_curve` first if they are not); the measures across runs do not low-pass filter
the curves, since tens of evaluations are too short a signal; and ties do not dilute a risk (`_lower_cvar`).
All but the relative drawdown and the roughness are in units of return: compare them inside one environment only, and
not at all if one algorithm reaches far higher returns than the other.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.samples import FloatArray, present

__all__ = [
    "dispersion_across_runs",
    "dispersion_across_time",
    "drawdown",
    "long_term_risk",
    "max_drawdown",
    "relative_drawdown",
    "risk_across_runs",
    "roughness",
    "short_term_risk",
]


def dispersion_across_time(curve: npt.ArrayLike, window: int | None = None) -> float:
    """Return DT: interquartile range of the changes between points in a sliding window, averaged over the windows.

        d_t = v_t - v_{t-1}      DT = mean over windows W of (Q75(d_W) - Q25(d_W))

    Differencing removes the trend, so that fast learning does not count as unsteady.
    curve: one run, [T]; NaN is dropped. window: changes per window; None, or more than there are, takes all at once.
    NaN with fewer than two changes. Raises ValueError if window < 2.
    """
    if window is not None and window < 2:
        raise ValueError(f"a window holds at least 2 changes, got {window}")
    changes = np.diff(present(curve).values)
    if changes.size < 2:
        return math.nan
    width = min(window or changes.size, changes.size)
    low, high = np.quantile(np.lib.stride_tricks.sliding_window_view(changes, width), [0.25, 0.75], axis=1)
    return float((high - low).mean())


def short_term_risk(curve: npt.ArrayLike, alpha: float = 0.05) -> float:
    """Return SRT: the expected change between points, given that it is among the worst alpha of the run's changes.

        CVaR_alpha(d) = mean of the ceil(alpha (T-1)) smallest d_t      d_t = v_t - v_{t-1}

    Negative if the run ever falls: -80 means "among its worst changes, it loses 80 from one evaluation to the next".
    curve: one run, [T]; NaN is dropped. NaN with fewer than two points. Raises ValueError unless 0 < alpha < 1.
    """
    return _lower_cvar(np.diff(present(curve).values), alpha)


def long_term_risk(curve: npt.ArrayLike, alpha: float = 0.05) -> float:
    """Return LRT: the expected drawdown, given that it is among the largest alpha of the run's drawdowns.

        CVaR_alpha(D) = mean of the ceil(alpha T) largest D_t      D_t of `drawdown`

    Detects a slow decline that does not show between two neighbouring points.
    curve: one run, [T]; NaN is dropped. NaN without points. Raises ValueError unless 0 < alpha < 1.
    """
    return -_lower_cvar(-drawdown(present(curve).values), alpha)


def max_drawdown(curve: npt.ArrayLike) -> float:
    """Return the deepest fall of one run below a value reached before: 0 if it never falls, NaN without points."""
    falls = drawdown(present(curve).values)
    return float(falls.max()) if falls.size else math.nan


def relative_drawdown(curve: npt.ArrayLike) -> float:
    """Return the deepest fall of one run as a share of its range: 0 if it never falls, 1 if it loses all it gained.

        max_t D_t / (max_t v_t - min_t v_t)      D_t of `drawdown`

    It has no unit, so that algorithms which reach different returns are comparable; and a curve that only wanders, like
    that of a run that learns nothing, has a value near 1, not near 0.
    curve: one run, [T]; NaN is dropped. NaN if the curve is flat or has no points.
    """
    values = present(curve).values
    span = float(np.ptp(values)) if values.size else 0.0
    return max_drawdown(values) / span if span > 0 else math.nan


def roughness(curve: npt.ArrayLike) -> float:
    """Return total variation over range: 1 for a monotone curve, 3 for one whose rises and falls add up to 3 ranges.

        sum_t |v_t - v_{t-1}| / (max_t v_t - min_t v_t)

    It has no unit. It grows with the number of points of a noisy curve: compare curves on the same grid only.
    curve: one run, [T]; NaN is dropped. NaN if the curve is flat or has no points.
    """
    values = present(curve).values
    span = float(np.ptp(values)) if values.size else 0.0
    return float(np.abs(np.diff(values)).sum()) / span if span > 0 else math.nan


def drawdown(curve: npt.ArrayLike) -> FloatArray:
    """Return the distance of the run below its best value so far, [T], never negative.

        D_t = max_{s <= t} v_s - v_t

    curve: one run, [T]; the drawdown of a NaN is NaN.
    """
    values = np.asarray(curve, dtype=np.float64)
    return np.fmax.accumulate(values) - values


def dispersion_across_runs(curves: npt.ArrayLike) -> FloatArray:
    """Return DR: the interquartile range over the seeds at each time, [T].

    curves: [n, T]; NaN is left out, and the result is NaN where fewer than two seeds have a value.
    """
    return np.array([_iqr(present(column).values) for column in np.asarray(curves, dtype=np.float64).T])


def risk_across_runs(curves: npt.ArrayLike, alpha: float = 0.05) -> FloatArray:
    """Return RR: the expected value of a seed, given that it is among the worst alpha of the seeds then, [T].

    With 20 seeds or fewer and the usual alpha of 5% this is the worst seed.
    curves: [n, T]; NaN is left out, and the result is NaN where no seed has a value.
    Raises ValueError unless 0 < alpha < 1.
    """
    return np.array([_lower_cvar(present(column).values, alpha) for column in np.asarray(curves, dtype=np.float64).T])


def _iqr(values: FloatArray) -> float:
    if values.size < 2:
        return math.nan
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def _lower_cvar(values: FloatArray, alpha: float) -> float:
    """Return the mean of the worst share alpha of the values, rounded up to whole values.

    The usual estimate, the mean of all values at or below the alpha quantile, is equal if no two values tie, but
    includes every tie: a run that stands still for 60 points and then collapses would seem to lose next to nothing.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha!r}")
    if values.size == 0:
        return math.nan
    count = max(1, math.ceil(alpha * values.size - 1e-9))  # 0.07 * 100 is 7.000000000000001
    return float(np.sort(values)[:count].mean())
