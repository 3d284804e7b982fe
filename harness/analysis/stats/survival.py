"""Times until something was reached, where some runs never reached it: Kaplan-Meier curve, median, and logrank test."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.analysis.stats.intervals import Interval
from harness.analysis.stats.permutation import PermutationTest, permutation_test
from harness.analysis.stats.resampling import check_confidence
from harness.analysis.stats.samples import FloatArray

__all__ = ["Survival", "first_passage", "kaplan_meier", "logrank_scores", "logrank_test"]


@dataclass(frozen=True, eq=False)
class Survival:
    """Share of runs that have not reached it yet, as a step function of time."""

    times: FloatArray
    """Times at which it falls or a run ends without having reached it, ascending, [K]."""
    share: FloatArray
    """Share of runs that have not reached it after each time, [K]."""
    low: FloatArray
    high: FloatArray
    """Pointwise limits of the share, [K]; NaN where it is 0 or 1."""
    median: Interval
    """Time by which half of the runs have reached it; inf if fewer than half have."""
    n_reached: int


def first_passage(timesteps: npt.ArrayLike, values: npt.ArrayLike, threshold: float) -> float:
    """Return the first timestep at which the values are at or above the threshold; NaN if they never are.

    timesteps, values: [T], ascending in time; NaN among the values never counts.
    """
    steps, curve = np.asarray(timesteps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    above = np.flatnonzero(curve >= threshold)
    return float(steps[above[0]]) if above.size else math.nan


def kaplan_meier(times: npt.ArrayLike, reached: npt.ArrayLike, confidence: float = 0.95) -> Survival:
    """Return Kaplan and Meier's estimate of the share of runs that have not reached it, and the median time.

        S(t) = prod over times t_k <= t of (1 - d_k / n_k)      d_k: runs that reach it at t_k, n_k: not before t_k
        limits: on the scale log(-log S), with Greenwood's variance (computed by SciPy)
        median: smallest t with S(t) <= 1/2; its limits are where those of S cross 1/2 (Brookmeyer and Crowley)

    A run that ends without having reached it counts as one that had not until then (right-censored): leaving it out, or
    taking its budget for its time, would make an algorithm look faster for every failure. Fewer than six runs have no
    upper limit of the median (inf).

    times: time at which each run reached it, or ended, [n]; reached: True for the former, [n].
    Raises ValueError without runs. Kaplan and Meier 1958, JASA 53, 457-481; Brookmeyer and Crowley 1982, Biometrics 38.
    """
    check_confidence(confidence)
    time, event = np.asarray(times, dtype=np.float64), np.asarray(reached, dtype=bool)
    if time.size == 0 or time.shape != event.shape or np.isnan(time).any():
        raise ValueError("expected a time for each run, and whether it was reached by then")
    curve: Any = stats.ecdf(stats.CensoredData(uncensored=time[event], right=time[~event])).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of limits where the share is 0 or 1, which do not exist
        limits = curve.confidence_interval(confidence, method="log-log")
    at, share = np.asarray(curve.quantiles), np.asarray(curve.probabilities)
    low, high = np.asarray(limits.low.probabilities), np.asarray(limits.high.probabilities)
    # Where nobody is left the limits are NaN: then the lower one has crossed 1/2, and the upper one is unknown.
    median = Interval(
        _first_below(at, share),
        _first_below(at, np.where(share == 0.0, 0.0, low)),
        _first_below(at, high),
        *(confidence, int(time.size), 0, "Brookmeyer-Crowley"),
    )
    return Survival(at, share, low, high, median, int(event.sum()))


def logrank_scores(times: npt.ArrayLike, reached: npt.ArrayLike) -> FloatArray:
    """Return the logrank score of each run, [n]: 1 if it reached it, minus the hazard that it was exposed to.

        a_i = reached_i - sum over times t_k <= t_i of d_k / n_k

    The scores of all runs sum to 0, and those of one side to its observed minus its expected number: the numerator of
    the logrank statistic. Early runs score high. times, reached: as in `kaplan_meier`, of all runs to be compared.
    """
    time, event = np.asarray(times, dtype=np.float64), np.asarray(reached, dtype=bool)
    scores = event.astype(np.float64)
    for at in np.unique(time[event]):
        scores[time >= at] -= (event & (time == at)).sum() / (time >= at).sum()
    return scores


def logrank_test(
    times_x: npt.ArrayLike,
    reached_x: npt.ArrayLike,
    times_y: npt.ArrayLike,
    reached_y: npt.ArrayLike,
    rng: np.random.Generator,
) -> PermutationTest:
    """Test whether one side reaches it earlier, by the permutation test of the logrank scores.

    The usual chi-square approximation needs many runs; the permutations need none, but equal budgets on both sides.
    difference: mean score of x minus that of y; positive if x reaches it earlier.
    times, reached: as in `kaplan_meier`. Peto and Peto 1972, J. R. Stat. Soc. A 135, 185-207.
    """
    first, second = np.asarray(times_x, dtype=np.float64), np.asarray(times_y, dtype=np.float64)
    scores = logrank_scores(np.concatenate([first, second]), np.concatenate([reached_x, reached_y]))
    return permutation_test(scores[: first.size], scores[first.size :], rng)


def _first_below(times: FloatArray, share: FloatArray) -> float:
    below = np.flatnonzero(share <= 0.5)
    return float(times[below[0]]) if below.size else math.inf
