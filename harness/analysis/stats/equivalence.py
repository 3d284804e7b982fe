"""Test of equivalence: the difference in means lies within a margin, also if seeds that were not run may collapse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.intervals import welch
from harness.analysis.stats.samples import FloatArray, present

__all__ = ["Bounds", "EquivalenceTest", "equivalence_test", "seeds_for_bounded_equivalence", "tost_welch"]

Bounds = tuple[float, float]
"""Lowest and highest score that a seed can have, in units of return."""

N_DRAWS = 20_000
"""Draws of the confidence distribution: a p-value of 0.05 is known to within 0.003."""

PLANNING_DRAWS = 2_000
"""Draws for a planned number of seeds beyond 64, which is a hint and no result."""

MOST_SEEDS = 1000
"""Largest number of seeds that is considered."""

_CACHED_SEEDS = 64  # 10 MB of weights; those of more seeds are drawn anew


@dataclass(frozen=True)
class EquivalenceTest:
    """Outcome of two one-sided tests: a small p-value says that the difference lies inside ± margin."""

    difference: float
    """mean(x) - mean(y)."""
    margin: float
    p_value: float
    """Larger of the two one-sided p-values, and of `p_unseen`."""
    n: int
    n_missing: int
    bounds: Bounds | None = None
    """Bounds of the scores within which seeds that were not run may lie; None if they were assumed to be normal."""
    p_unseen: float = math.nan
    """p-value that allows for scores that no seed showed, such as a rare collapse; NaN without bounds."""


def tost_welch(x: npt.ArrayLike, y: npt.ArrayLike, margin: float) -> EquivalenceTest:
    """Test the equivalence of two means, |mu_x - mu_y| < margin, by two one-sided Welch tests (TOST).

        p = max( P(T_nu > (d + margin) / se),  P(T_nu < (d - margin) / se) )     with d, se and nu of Welch's test

    p < 0.05 if and only if the 90% Welch interval of the difference lies inside ± margin. A large p is absence of
    evidence, often for lack of seeds. The margin must be chosen before looking at the data.

    Valid for scores that are nearly normal. Scores that are capped, or collapse now and then, break it: if all of five
    seeds reach the maximum of 500, it takes the sixth for certain. `equivalence_test` does not.

    x, y: one number per seed, [n] and [m], in units of return like the margin; NaN is dropped and counted.
    NaN with fewer than two seeds on a side. If neither side varies, p is 0 inside the margin and 1 outside, which is
    the limit of the formula. Raises ValueError unless the margin is positive and finite.
    Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657-680.
    """
    if not 0.0 < margin < math.inf:
        raise ValueError(f"the equivalence margin must be positive and finite, got {margin!r}")
    first, second = present(x), present(y)
    difference, error, dof = welch(first.values, second.values)
    if error == 0.0:
        p_value = 0.0 if abs(difference) < margin else 1.0
    else:
        # Both p-values are tails of one t distribution; that of the nearer margin is larger.
        p_value = float(special.stdtr(dof, (abs(difference) - margin) / error))
    return EquivalenceTest(difference, margin, p_value, first.n + second.n, first.n_missing + second.n_missing)


def equivalence_test(x: npt.ArrayLike, y: npt.ArrayLike, margin: float, bounds: Bounds) -> EquivalenceTest:
    """Test the equivalence of two means of bounded scores, without an assumption on their shape.

        L = sum_i D_i x_i + D_0 low  -  sum_j E_j y_j - E_0 high      D: uniform on the simplex of n + 1 weights
        U = sum_i D_i x_i + D_0 high -  sum_j E_j y_j - E_0 low       E: uniform on the simplex of m + 1 weights
        p_unseen = max( P(L <= -margin), P(U >= margin) )
        p = max( p_unseen, p of `tost_welch` )

    Each side gets one more score than it has seeds: the worst possible for the claim. The weights then say how much of
    the population may lie there. If all of n seeds reach the maximum, D_0 is Beta(1, n): the share of collapses that n
    seeds without one cannot exclude, 45% at 5 seeds, 26% at 10, 10% at 29. For scores with two values the limits of a
    mean are Clopper and Pearson's.

    Measured wrong claims at a nominal 5%, with a true difference equal to a margin of a tenth of the range: at most 5%
    for normal, lognormal, bimodal and capped scores, where TOST makes up to 58% at 5 seeds and 19% at 30; the table is
    in docs/statistics.md. The price is power: fewer than 29 seeds never show equivalence within a tenth of the range.

    x, y: one number per seed, [n] and [m]; NaN is dropped and counted. margin: in units of return. bounds: lowest and
    highest possible score; scores outside widen them. p is NaN with fewer than two seeds on a side. The draws are the
    same in every call, so that equal scores have equal p-values.
    Raises ValueError unless the margin is positive and finite, and low < high.
    Gaffke 2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable",
    Math. Methods Stat. 14, 451-467; for the difference Fay, Proschan and Brittain 2015, Biometrics 71, 146-156.
    """
    if not bounds[0] < bounds[1]:
        raise ValueError(f"expected bounds with low < high, got {bounds[0]!r} and {bounds[1]!r}")
    normal = tost_welch(x, y, margin)
    first, second = present(x).values, present(y).values
    if math.isnan(normal.p_value):
        return EquivalenceTest(normal.difference, margin, math.nan, normal.n, normal.n_missing, bounds)
    p_unseen = _p_unseen(first, second, margin, bounds)
    p_value = max(p_unseen, normal.p_value)
    return EquivalenceTest(normal.difference, margin, p_value, normal.n, normal.n_missing, bounds, p_unseen)


def seeds_for_bounded_equivalence(
    x: npt.ArrayLike, y: npt.ArrayLike, margin: float, bounds: Bounds, *, alpha: float = 0.05
) -> float:
    """Return the number of seeds per algorithm at which `p_unseen` falls below alpha if further seeds score alike.

    The scores are repeated as often as needed, so that their mean, spread and collapses stay as they are. inf for more
    than 1000 seeds and for a difference outside the margin; NaN with fewer than two seeds on a side.
    Arguments as in `equivalence_test`.
    """
    first, second = present(x).values, present(y).values
    if min(first.size, second.size) < 2:
        return math.nan

    if abs(float(first.mean() - second.mean())) >= margin:
        return math.inf

    def shown(n_seeds: int) -> bool:
        n_draws = N_DRAWS if n_seeds <= _CACHED_SEEDS else PLANNING_DRAWS
        return _p_unseen(_repeated(first, n_seeds), _repeated(second, n_seeds), margin, bounds, n_draws) < alpha

    low, high = 1, 2  # shown at high, and not at low
    while not shown(high):
        if high == MOST_SEEDS:
            return math.inf
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return float(high)


def _p_unseen(x: FloatArray, y: FloatArray, margin: float, bounds: Bounds, n_draws: int = N_DRAWS) -> float:
    pooled = np.concatenate([x, y])
    low, high = min(bounds[0], float(pooled.min())), max(bounds[1], float(pooled.max()))
    mean_x, unseen_x = _weighted(x, 0, n_draws)
    mean_y, unseen_y = _weighted(y, 1, n_draws)
    seen = mean_x - mean_y
    least = seen + unseen_x * low - unseen_y * high
    most = seen + unseen_x * high - unseen_y * low
    return float(max((least <= -margin).mean(), (most >= margin).mean()))


def _weighted(values: FloatArray, side: int, n_draws: int) -> tuple[FloatArray, FloatArray]:
    """Return the weighted sums of the values and the weight left for an unseen one, both [n_draws]."""
    draw = _kept_weights if values.size <= _CACHED_SEEDS else _weights
    weights = draw(values.size, side, n_draws)
    return weights[:, 1:] @ np.sort(values), weights[:, 0]


def _weights(n: int, side: int, n_draws: int) -> FloatArray:
    """Return uniform draws from the simplex of n + 1 weights, [n_draws, n + 1]; those of the two sides differ."""
    gaps = np.random.default_rng([side, n]).standard_exponential((n_draws, n + 1))
    gaps /= gaps.sum(axis=1, keepdims=True)
    gaps.flags.writeable = False
    return gaps


_kept_weights = lru_cache(maxsize=16)(_weights)


def _repeated(values: FloatArray, size: int) -> FloatArray:
    """Return `size` evenly spaced order statistics of the values."""
    places = np.floor((np.arange(size) + 0.5) * values.size / size).astype(int)
    repeated: FloatArray = np.sort(values)[places]
    return repeated
