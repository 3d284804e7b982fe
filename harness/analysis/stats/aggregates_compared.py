"""Comparison of two algorithms over several tasks: a stratified permutation test, and how often the first is better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.effects import probability_of_improvement
from harness.analysis.stats.intervals import Interval
from harness.analysis.stats.permutation import PermutationTest
from harness.analysis.stats.samples import FloatArray, Sample, present

__all__ = ["improvement_over_tasks", "stratified_permutation_test"]

_ROWS_AT_ONCE = 2000
_TOLERANCE = 1e-10  # above the rounding of sums, below any difference that matters

Tasks = Sequence[npt.ArrayLike]


def improvement_over_tasks(first: Tasks, second: Tasks, confidence: float = 0.95) -> Interval:
    """Return the mean over tasks of the probability that a run of the first scores higher than one of the second.

        theta = mean of theta_m      low = theta - sqrt(sum of (theta_m - low_m)^2) / M      high likewise

    with theta_m, low_m and high_m of `probability_of_improvement`: Newcombe's limits of each task, combined by the
    method of variance estimates recovery. A percentile bootstrap, the customary interval, shrinks to a point where the
    scores of both sides do not overlap. No limits if a task has a single run on a side.

    first, second: scores of each task, [n] and [m], the tasks in the same order; NaN is dropped and counted.
    Raises ValueError without tasks or for unequal numbers of them. Agarwal et al. 2021, section 4.3; Zou and Donner
    2008, Stat. Med. 27, 1693-1702, for the combination.
    """
    _check(first, second)
    each = [probability_of_improvement(x, y, confidence) for x, y in zip(first, second, strict=True)]
    theta, low, high = np.array([(one.estimate, one.low, one.high) for one in each]).T
    estimate = float(theta.mean())
    below = math.sqrt(float(((theta - low) ** 2).sum())) / theta.size
    above = math.sqrt(float(((high - theta) ** 2).sum())) / theta.size
    n, n_missing = sum(one.n for one in each), sum(one.n_missing for one in each)
    limits = max(estimate - below, 0.0), min(estimate + above, 1.0)
    if not math.isfinite(below + above):
        limits = (math.nan, math.nan)
    return Interval(estimate, *limits, confidence, n, n_missing, "Newcombe score, combined over tasks")


def stratified_permutation_test(
    first: Tasks, second: Tasks, seed: int = 0, n_resamples: int = 19_999
) -> PermutationTest:
    """Test the mean over tasks of the difference of mean scores, two-sided; labels are exchanged within each task.

        d = sum_m (mean(x_m) - mean(y_m)) / M         t = sum_m d_m / sqrt(sum_m (s_xm^2 / n_m + s_ym^2 / m_m))
        p = (#{drawn: |t_drawn| >= |t|} + 1) / (n_resamples + 1)

    Exact if labels are exchangeable within each task; the studentised statistic keeps the level nearly if only the
    spreads differ. Equal seeds give equal relabellings, so that the p-value of a pair does not depend on other pairs.
    Tasks count by their scale: scores must be normalised.

    first, second: normalised scores of each task, [n] and [m], the tasks in the same order; NaN is dropped and counted.
    p is NaN if a side of a task has less than two scores. Raises ValueError as `improvement_over_tasks`.
    Janssen 1997, Stat. Prob. Lett. 36, 9-21, for the statistic.
    """
    _check(first, second)
    samples = [(present(x), present(y)) for x, y in zip(first, second, strict=True)]
    n, m = (sum(pair[side].n for pair in samples) for side in (0, 1))
    n_missing = sum(one.n_missing for pair in samples for one in pair)
    if min(one.n for pair in samples for one in pair) < 2:
        return PermutationTest(_difference(samples), math.nan, n, m, n_missing, 0, exact=False)
    scale = max(float(np.ptp(np.concatenate([x.values, y.values]))) for x, y in samples)
    differences, errors = np.zeros((2, n_resamples + 1))
    for place, (x, y) in enumerate(samples):
        pooled = np.concatenate([x.values, y.values])
        scores = (pooled - pooled.mean()) / (scale or 1.0)  # one tolerance for scores of any scale
        difference, error = _split_statistics(scores, _relabellings(place, x.n, y.n, seed, n_resamples), x.n)
        differences += difference
        errors += error
    squared = differences**2
    total = squared + errors
    # Equal to ordering by |t|, and defined if no side varies.
    statistic = np.divide(squared, total, out=np.zeros_like(total), where=total > 0.0)
    hits = int((statistic[1:] >= statistic[0] - _TOLERANCE).sum())
    return PermutationTest(
        _difference(samples), (hits + 1) / (n_resamples + 1), n, m, n_missing, n_resamples, exact=False
    )


def _check(first: Tasks, second: Tasks) -> None:
    if len(first) != len(second) or not len(first):
        raise ValueError(f"expected the same tasks on both sides, got {len(first)} and {len(second)}")


def _difference(samples: Sequence[tuple[Sample, Sample]]) -> float:
    """Return the mean over tasks of the difference of means; NaN if a side of a task has no score."""
    if not all(x.n and y.n for x, y in samples):
        return math.nan
    return math.fsum(float(x.values.mean() - y.values.mean()) for x, y in samples) / len(samples)


def _split_statistics(scores: FloatArray, chosen: npt.NDArray[np.bool_], k: int) -> tuple[FloatArray, FloatArray]:
    """Return the difference in means and its squared standard error of each split, [S].

    scores: centred, [n + m]; chosen: members of the first group, of k, [S, n + m].
    """
    rest = scores.size - k
    moments = np.column_stack([scores, scores**2])
    blocks = range(0, len(chosen), _ROWS_AT_ONCE)
    sums, squares = np.vstack(
        [chosen[start : start + _ROWS_AT_ONCE].astype(np.float64) @ moments for start in blocks]
    ).T
    others, squares_of_others = scores.sum() - sums, (scores**2).sum() - squares
    around = np.maximum(squares - sums**2 / k, 0.0)
    around_others = np.maximum(squares_of_others - others**2 / rest, 0.0)
    return sums / k - others / rest, around / (k * (k - 1)) + around_others / (rest * (rest - 1))


@lru_cache(maxsize=64)
def _relabellings(place: int, n: int, m: int, seed: int, n_resamples: int) -> npt.NDArray[np.bool_]:
    """Return True for members of the first group of n in each random relabelling of n + m runs, [S + 1, n + m].

    The first row is the grouping that was observed. place: of the task, as tasks are relabelled independently.
    """
    rng = np.random.default_rng([seed, place, n, m])
    observed = np.arange(n + m) < n
    drawn = rng.permuted(np.broadcast_to(observed, (n_resamples, n + m)), axis=1)
    chosen = np.vstack([observed, drawn])
    chosen.flags.writeable = False
    return chosen
