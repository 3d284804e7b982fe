"""Permutation test of a difference in means, and Holm's correction for several tests."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.samples import FloatArray, present

__all__ = ["PermutationTest", "holm", "permutation_test", "smallest_p"]

MOST_SPLITS = 200_000
"""Largest number of splits that are all enumerated; 10 against 10 seeds have 184,756."""

_RESAMPLES_AT_ONCE = 10_000
_TOLERANCE = 1e-10  # above the rounding of sums, below any difference that matters


@dataclass(frozen=True)
class PermutationTest:
    """Outcome of a two-sided permutation test of the difference in means."""

    difference: float
    """mean(x) - mean(y)."""
    p_value: float
    n_x: int
    n_y: int
    n_missing: int
    n_splits: int
    """Splits of the scores into two groups that were tried."""
    exact: bool
    """True if all splits were tried, False if they were drawn at random."""

    @property
    def method(self) -> str:
        """Name of the method for captions: "exact permutation test, all 184,756 splits"."""
        if self.exact:
            return f"exact permutation test, all {self.n_splits:,} splits"
        return f"Monte Carlo permutation test, {self.n_splits:,} random splits"


def permutation_test(
    x: npt.ArrayLike, y: npt.ArrayLike, rng: np.random.Generator, n_resamples: int = 99_999
) -> PermutationTest:
    """Test mean(x) - mean(y) against all ways to relabel the seeds, two-sided.

        t           = d / sqrt(s_x^2/n + s_y^2/m), Welch's statistic, for every way to split the n + m scores
        exact:        p = #{splits: |t_split| >= |t|} / C(n + m, n)
        Monte Carlo:  p = (#{drawn: |t_split| >= |t|} + 1) / (n_resamples + 1)      the +1 is the split observed

    Up to 200,000 splits are all enumerated, without rng; beyond that, n_resamples are drawn from rng.
    The only assumption is that labels are exchangeable if the algorithms do not differ; scores need not be normal.

    If n = m, ordering the splits by |t| or by |d| is the same. If runs failed it is not, and |d| then mistakes an
    unequal spread for an unequal mean: with 10 against 6 seeds, equal means and three times the spread on the side of
    6, it rejects in 14% of experiments at nominal 5%, t in 8% (5 against 15: 23% and 9%; 10 against 10: 5%). With one
    seed on a side there is no t, and |d| is used.

    Splits whose statistic equals the observed one mathematically must count, though floating point may put them an ulp
    below: t^2 / (1 + t^2) is compared with a tolerance of 1e-10. Missing the mirror image would halve the smallest p.

    x, y: one number per seed, [n] and [m]; NaN is dropped and counted. p is NaN if a side is empty.
    Janssen 1997, Stat. Prob. Lett. 36, 9-21, for the statistic; Phipson and Smyth 2010, arXiv 1603.05766, for the +1.
    """
    first, second = present(x), present(y)
    n, m, n_missing = first.n, second.n, first.n_missing + second.n_missing
    if n == 0 or m == 0:
        return PermutationTest(math.nan, math.nan, n, m, n_missing, 0, exact=True)
    difference = float(first.values.mean() - second.values.mean())
    # A split is stored as its smaller group, which takes less memory: the statistic does not depend on the side.
    smaller, larger = (first.values, second.values) if n <= m else (second.values, first.values)
    scores = _standardised(np.concatenate([smaller, larger]))
    threshold = _statistic(scores[None, : smaller.size], scores)[0] - _TOLERANCE
    splits = math.comb(n + m, n)
    if splits <= MOST_SPLITS:
        # The observed split is one of these, so that p is never 0.
        if n == m:
            return PermutationTest(difference, _balanced_hits(scores) / splits, n, m, n_missing, splits, exact=True)
        statistics = _statistic(scores[_all_splits(n + m, smaller.size)], scores)
        p_value = int((statistics >= threshold).sum()) / splits
        return PermutationTest(difference, p_value, n, m, n_missing, splits, exact=True)
    hits = sum(int((_statistic(c, scores) >= threshold).sum()) for c in _drawn(scores, smaller.size, rng, n_resamples))
    return PermutationTest(difference, (hits + 1) / (n_resamples + 1), n, m, n_missing, n_resamples, exact=False)


def smallest_p(n: int, m: int) -> float:
    """Return the smallest p-value of the exact two-sided test of n against m seeds whose scores all differ.

    2 / C(2n, n) if n = m, since the mirrored split is as extreme: 3 against 3 seeds never get below 0.1. For n != m no
    split mirrors another, and it is 1 / C(n + m, n).
    """
    return min(1.0, (2 if n == m else 1) / math.comb(n + m, n))


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Return Holm-Bonferroni adjusted p-values, in the order given.

        p~_(i) = max_{j <= i} min(1, (k - j + 1) * p_(j))      for the k p-values in ascending order

    Rejecting p~ < alpha keeps the probability of any false rejection among all k tests below alpha, however they depend
    on each other. p_values: [K]; NaN (a test that could not be made) stays NaN and does not count towards k.
    Raises ValueError if a p-value lies outside [0, 1]. Holm 1979, Scand. J. Statist. 6, 65-70.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    made = np.flatnonzero(~np.isnan(raw))
    if ((raw[made] < 0.0) | (raw[made] > 1.0)).any():
        raise ValueError("p-values lie between 0 and 1")
    order = made[np.argsort(raw[made], kind="stable")]
    stepped = np.minimum(1.0, np.arange(order.size, 0, -1) * raw[order])
    # The factors fall along the order, so a product may be smaller than the one before: the running maximum keeps a
    # test from being rejected after an earlier one was not.
    adjusted = np.full(raw.shape, np.nan)
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted


def _standardised(pooled: FloatArray) -> FloatArray:
    """Centre the scores and scale them to range 1, so that one tolerance fits all; constants become 0."""
    span = float(np.ptp(pooled))
    centred: FloatArray = pooled - pooled.mean()
    return centred / span if span > 0.0 else np.zeros_like(pooled)


def _statistic(chosen: FloatArray, scores: FloatArray) -> FloatArray:
    """Return t^2 / (1 + t^2) of each split, [S], finite even if neither group varies; d^2 if one seed is chosen.

    chosen: scores of the smaller group, [S, k]; scores: all of them, standardised, [n + m].
    """
    k = chosen.shape[1]
    rest = scores.size - k
    sums = chosen.sum(axis=1)
    others = scores.sum() - sums
    squared: FloatArray = (sums / k - others / rest) ** 2
    if k == 1:
        return squared
    # The other group's sums follow by subtraction: gathering its scores for 184,756 splits would double the memory.
    squares = np.einsum("sk,sk->s", chosen, chosen)
    around = squares - sums**2 / k  # sum of squares about the mean of the group
    around_others = (scores @ scores - squares) - others**2 / rest
    error = around / (k * (k - 1)) + around_others / (rest * (rest - 1))
    total = squared + error
    # Only scores that are all equal have neither difference nor error: then no split differs from another.
    result: FloatArray = np.divide(squared, total, out=np.zeros_like(total), where=total > 0.0)
    return result


def _balanced_hits(scores: FloatArray) -> int:
    """Count the splits into equal groups whose difference is at least that of the first half and the rest.

    For groups of equal size |d|, and thus |2 s - S| of the sum s of a group and the sum S of all, orders the splits as
    |t| does. A group is some places of the first half and some of the second: sorting the sums of the latter counts
    184,756 splits by 1,024 searches.
    scores: of both groups, standardised, [2 k].
    """
    k = scores.size // 2
    total, observed = float(scores.sum()), float(scores[:k].sum())
    distance = abs(2 * observed - total) - _TOLERANCE
    upper, lower = (total + distance) / 2, (total - distance) / 2
    hits = 0
    for size in range(k + 1):
        left = scores[:k][_all_splits(k, size)].sum(axis=1)
        right = np.sort(scores[k:][_all_splits(k, k - size)].sum(axis=1))
        if distance <= 0.0:
            hits += left.size * right.size
            continue
        hits += left.size * right.size - int(np.searchsorted(right, upper - left, side="left").sum())
        hits += int(np.searchsorted(right, lower - left, side="right").sum())
    return hits


@lru_cache(maxsize=64)
def _all_splits(total: int, size: int) -> npt.NDArray[np.intp]:
    """Return every choice of `size` out of `total` places, [C(total, size), size]; cached, as many pairs share it."""
    count = math.comb(total, size)
    places = np.fromiter(chain.from_iterable(combinations(range(total), size)), dtype=np.intp, count=count * size)
    places.flags.writeable = False
    return places.reshape(count, size)


def _drawn(scores: FloatArray, size: int, rng: np.random.Generator, n_resamples: int) -> Iterator[FloatArray]:
    """Draw `size` scores without replacement n_resamples times, in blocks [S, size]."""
    for start in range(0, n_resamples, _RESAMPLES_AT_ONCE):
        rows = min(_RESAMPLES_AT_ONCE, n_resamples - start)
        yield rng.permuted(np.broadcast_to(scores, (rows, scores.size)), axis=1)[:, :size]
