"""Aggregates of normalised scores over tasks, with intervals by a bootstrap that resamples the seeds of each task.

A task holds the scores of one algorithm's runs, [n]; an algorithm is a sequence of tasks, whose numbers of runs may
differ. Every task counts equally. Agarwal et al. 2021, arXiv 2108.13264, for all measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.intervals import Interval
from harness.analysis.stats.resampling import check_confidence, percentile_limits
from harness.analysis.stats.samples import FloatArray, present

__all__ = [
    "AGGREGATES",
    "Profile",
    "aggregate_difference",
    "aggregate_intervals",
    "aggregates",
    "expanded_limits",
    "normalised",
    "performance_profile",
    "resampled_aggregates",
]

AGGREGATES = ("IQM", "median", "mean", "optimality gap")
"""Aggregates over tasks, in the order of the rows of `resampled_aggregates`."""

_RESAMPLES_AT_ONCE = 1000
"""Resamples whose temporaries, [B, runs], stay in the processor's cache for some hundred runs."""

Tasks = Sequence[npt.ArrayLike]


@dataclass(frozen=True, eq=False)
class Profile:
    """Share of runs that score above each threshold, every task counting equally; all arrays are [T]."""

    thresholds: FloatArray
    share: FloatArray
    low: FloatArray
    """Limits of a band that contains the whole profile with the given confidence."""
    high: FloatArray
    confidence: float
    n: int
    """Runs of all tasks."""
    n_missing: int


def normalised(scores: npt.ArrayLike, random: float, best: float) -> FloatArray:
    """Return (score - random) / (best - random), which is 0 for random actions and 1 for the reference.

    scores: any shape; NaN stays NaN. Raises ValueError unless random and best are finite and differ.
    """
    if not (math.isfinite(random) and math.isfinite(best)) or random == best:
        raise ValueError(f"expected two finite reference scores that differ, got {random:g} and {best:g}")
    result: FloatArray = (np.asarray(scores, dtype=np.float64) - random) / (best - random)
    return result


def aggregates(tasks: Tasks) -> dict[str, float]:
    """Return the aggregates of normalised scores over all runs of all tasks, by the names in AGGREGATES.

        IQM             mean of the middle half of all runs, floor(N / 4) cut at either end
        median          median over tasks of the mean of a task
        mean            mean over tasks of the mean of a task
        optimality gap  1 - mean(min(score, 1)): how far the runs fall short of the reference

    With unequal numbers of runs, each run of a task counts L / n times, L the least common multiple of all n: then
    every task has L runs. tasks: normalised scores, [n] each; NaN is dropped.
    Raises ValueError without tasks, or if one of them has no score.
    """
    pool = _Pool.of(tasks)
    values = pool.aggregate(np.ones((1, pool.scores.size), dtype=np.float64))[:, 0]
    return dict(zip(AGGREGATES, map(float, values), strict=True))


def resampled_aggregates(tasks: Tasks, rng: np.random.Generator, n_resamples: int = 2000) -> FloatArray:
    """Return the aggregates of resamples, [4, B]; seeds are drawn with replacement within each task.

    Two algorithms with equal numbers of runs get the same seeds from equal generators. tasks: as in `aggregates`.
    """
    pool = _Pool.of(tasks)
    drawn = [
        pool.aggregate(pool.counts(rng, min(_RESAMPLES_AT_ONCE, n_resamples - start)))
        for start in range(0, n_resamples, _RESAMPLES_AT_ONCE)
    ]
    return np.concatenate(drawn, axis=1)


def aggregate_intervals(
    tasks: Tasks, rng: np.random.Generator, confidence: float = 0.95, n_resamples: int = 2000
) -> dict[str, Interval]:
    """Return the aggregates with their intervals, by the names in AGGREGATES; no limits if a task has a single run.

    The limits are percentiles of the resamples, at levels that allow for the bootstrap's narrowness with few seeds:

        a = Phi(-sqrt(n / (n - 1)) t_{(1 + confidence) / 2, nu})        instead of (1 - confidence) / 2

    with n the fewest seeds of a task, and nu = sum of (n - 1) over tasks; n = 10 and nu = 90 make .0172 of .025.
    If all seeds of each task agree, the limits are equal: nothing of the seeds not run is known then.
    Hesterberg 2015, Amer. Stat. 69, 371-386, section 4.3 (expanded percentile interval).
    `python -m tests.studies.aggregate_errors` simulates the coverage.
    """
    check_confidence(confidence)
    samples = [present(task) for task in tasks]
    estimates = aggregates(tasks)
    sizes = [sample.n for sample in samples]
    limits = np.full((2, len(AGGREGATES)), np.nan)
    if min(sizes) > 1:
        resampled = resampled_aggregates(tasks, rng, n_resamples)
        limits = np.stack(percentile_limits(resampled.T, _expanded(confidence, [sizes])))
    n, n_missing = sum(sizes), sum(sample.n_missing for sample in samples)
    return {
        name: Interval(estimates[name], float(low), float(high), confidence, n, n_missing, "stratified bootstrap")
        for name, low, high in zip(AGGREGATES, *limits, strict=True)
    }


def aggregate_difference(
    first: Tasks,
    second: Tasks,
    seed: int,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    *,
    name: str = "IQM",
    common_seeds: bool = False,
) -> Interval:
    """Return the difference of an aggregate, first minus second, with its interval as in `aggregate_intervals`.

    common_seeds: False resamples both sides independently. True draws the same seeds for both sides, and so takes the
    correlation of runs with a common seed into account; place i of a task must then be the same seed on both sides.
    seed: of the random numbers. Raises ValueError for common seeds if the numbers of runs differ.
    """
    check_confidence(confidence)
    samples = [[present(task) for task in side] for side in (first, second)]
    sizes = [[sample.n for sample in side] for side in samples]
    if common_seeds and (sizes[0] != sizes[1] or any(one.n_missing for side in samples for one in side)):
        raise ValueError("common seeds need as many runs on both sides, without missing ones")
    place = AGGREGATES.index(name)
    estimate = aggregates(first)[name] - aggregates(second)[name]
    low = high = math.nan
    if min(map(min, sizes)) > 1:
        streams = (seed, seed) if common_seeds else (seed, seed + 1)
        one, other = (
            resampled_aggregates(side, np.random.default_rng(stream), n_resamples)[place]
            for side, stream in zip((first, second), streams, strict=True)
        )
        used = sizes[:1] if common_seeds else sizes
        low, high = expanded_limits(one - other, used, confidence)
    method = "stratified bootstrap of common seeds" if common_seeds else "stratified bootstrap"
    n_missing = sum(one.n_missing for side in samples for one in side)
    return Interval(estimate, low, high, confidence, sum(map(sum, sizes)), n_missing, method)


def performance_profile(tasks: Tasks, thresholds: npt.ArrayLike, confidence: float = 0.95) -> Profile:
    """Return the share of runs above each threshold with a band for the whole profile.

        share(t) = mean over tasks of #{score > t} / n      band: share ± sqrt(ln(2 / (1 - confidence)) / (2 N))

    N = 1 / sum of squared weights, the number of runs if tasks have equally many. The band is Massart's for the whole
    distribution of N independent scores: it is wide, but needs no variance that was seen, where bands by a bootstrap
    shrink to nothing if all seeds agree. For stratified scores the bound is not proven.
    Massart 1990, Ann. Probab. 18, 1269-1283. tasks: as in `aggregates`; thresholds: [T].
    """
    check_confidence(confidence)
    pool, grid = _Pool.of(tasks), np.asarray(thresholds, dtype=np.float64)
    weights = pool.weights / pool.weights.sum()
    share: FloatArray = weights @ (pool.scores[:, None] > grid)
    half = math.sqrt(math.log(2.0 / (1.0 - confidence)) * float((weights**2).sum()) / 2)
    low, high = np.clip(share - half, 0.0, 1.0), np.clip(share + half, 0.0, 1.0)
    n_missing = sum(present(task).n_missing for task in tasks)
    return Profile(grid, share, low, high, confidence, pool.scores.size, n_missing)


def expanded_limits(
    resampled: FloatArray, sides: Sequence[Sequence[int]], confidence: float = 0.95
) -> tuple[float, float]:
    """Return the limits of an interval from resampled values, [B], at the levels of `aggregate_intervals`.

    sides: numbers of seeds of each task, for each independent sample. (NaN, NaN) if a task has a single seed.
    """
    if min(map(min, sides)) < 2:
        return math.nan, math.nan
    lows, highs = percentile_limits(resampled[:, None], _expanded(confidence, sides))
    return float(lows[0]), float(highs[0])


def _expanded(confidence: float, sides: Sequence[Sequence[int]]) -> float:
    """Return the confidence at which the percentiles of a bootstrap are taken; sides: seeds of each task."""
    fewest, dof = min(map(min, sides)), sum(n - 1 for sizes in sides for n in sizes)
    wider = math.sqrt(fewest / (fewest - 1)) * float(special.stdtrit(dof, (1.0 + confidence) / 2))
    return float(1.0 - 2.0 * special.ndtr(-wider))


@dataclass(frozen=True, eq=False)
class _Pool:
    """All scores of an algorithm in ascending order, prepared for the aggregates of many resamples."""

    scores: FloatArray
    """Ascending, [N]."""
    weights: FloatArray
    """Number of times that each run counts, so that all tasks count equally; whole numbers, [N]."""
    task: npt.NDArray[np.intp]
    """Task of each score, [N]."""
    places: tuple[npt.NDArray[np.intp], ...]
    """Places of each task's runs among the scores, in the order of its seeds."""

    @classmethod
    def of(cls, tasks: Tasks) -> _Pool:
        values = [present(task).values for task in tasks]
        if not values or not all(one.size for one in values):
            raise ValueError("expected at least one task, each with at least one score")
        scores = np.concatenate(values)
        task = np.repeat(np.arange(len(values)), [one.size for one in values])
        order = np.argsort(scores, kind="stable")
        rank = np.empty(scores.size, dtype=np.intp)
        rank[order] = np.arange(scores.size)
        times = math.lcm(*(one.size for one in values))
        weights = np.concatenate([np.full(one.size, times / one.size) for one in values])
        ends = np.cumsum([one.size for one in values])[:-1]
        return cls(scores[order], weights[order], task[order], tuple(np.split(rank, ends)))

    def counts(self, rng: np.random.Generator, n_resamples: int) -> FloatArray:
        """Draw the seeds of each task with replacement; return how often each score was drawn, [B, N]."""
        n = self.scores.size
        rows = np.arange(n_resamples, dtype=np.intp)[:, None] * n
        # Small integers are drawn several times faster than large ones.
        drawn = [
            places[
                rng.integers(0, places.size, (n_resamples, places.size), np.uint8 if places.size < 256 else np.uint32)
            ]
            for places in self.places
        ]
        cells = np.concatenate(drawn, axis=1)
        cells += rows
        return np.bincount(cells.ravel(), minlength=n_resamples * n).reshape(n_resamples, n).astype(np.float64)

    def aggregate(self, counts: FloatArray) -> FloatArray:
        """Return the aggregates, [4, B], if score i is there counts[b, i] times, [B, N]."""
        counted = counts * self.weights if self.weights.max() > 1.0 else counts
        n_tasks, total = len(self.places), float(self.weights.sum())
        by_task = (self.task[:, None] == np.arange(n_tasks)) * (self.scores * self.weights)[:, None]
        task_means = counts @ by_task * (n_tasks / total)
        short = 1.0 - counts @ (np.minimum(self.scores, 1.0) * self.weights) / total
        return np.stack([self._iqm(counted, total), np.median(task_means, axis=1), task_means.mean(axis=1), short])

    def _iqm(self, counted: FloatArray, total: float) -> FloatArray:
        """Return the interquartile means [B]: score i fills the ranks from C_{i-1} to C_i, and the middle half counts.

            sum_i v_i (K_i - K_{i-1}) = K_N v_N - sum_i K_i (v_{i+1} - v_i)         K = clip(C, g, N - g) - g

        C: cumulated counts, N: their total, g = floor(N / 4). The right side needs no difference for each resample.
        """
        cut = math.floor(total / 4)
        kept = np.cumsum(counted, axis=1)
        np.clip(kept, cut, total - cut, out=kept)
        kept -= cut
        # Differences from the highest score, so that equal scores have exactly their mean.
        result: FloatArray = self.scores[-1] - kept[:, :-1] @ np.diff(self.scores) / (total - 2 * cut)
        return result
