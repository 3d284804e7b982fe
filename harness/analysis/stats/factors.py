"""Tests of the factors of a sweep: the main effect of one, and the interaction of two, with the seed as the unit.

A sweep trains every combination of levels under the same seeds. Each seed is a block: its scores share the initial
weights, so that only differences within a seed count, and the scores of a seed are averaged over the factors that a
test is not about before anything else is done. Measured error rates: docs/statistics.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from harness.analysis.stats.intervals import Interval
from harness.analysis.stats.power import MOST_SEEDS
from harness.analysis.stats.resampling import check_confidence
from harness.analysis.stats.samples import FloatArray

__all__ = ["EffectTest", "fill_missing", "interaction", "main_effect", "seeds_for_effect"]

MOST_ORDERS = 20_000
"""Largest number of rearrangements that are all enumerated."""

_NUMBERS_AT_ONCE = 2_000_000
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class EffectTest:
    """Outcome of the test of one main effect or interaction."""

    p_value: float
    smallest_p: float
    """Smallest p-value that the test can have with this many seeds and levels."""
    difference: Interval
    """Main effect: highest minus lowest mean of a level, simultaneous over all pairs of levels. Interaction: largest
    departure of a combination from the sum of the two main effects, simultaneous over all combinations."""
    high: tuple[int, ...]
    """Level with the highest mean; of an interaction the combination with the largest departure."""
    low: tuple[int, ...]
    """Level with the lowest mean; equal to `high` for an interaction."""
    means: FloatArray
    """Mean of each level [a], or of each combination [a, b]."""
    variance: float
    """Estimated variance of the true effects over levels or combinations, without the part that noise explains; it may
    be negative. In squared units of the score."""
    error: float
    """Mean square of the error of one seed in these effects."""
    df: int
    """Degrees of freedom of the effect: a - 1, or (a - 1)(b - 1)."""
    n_seeds: int
    method: str


def main_effect(
    scores: npt.ArrayLike, rng: np.random.Generator, *, confidence: float = 0.95, n_resamples: int = 9_999
) -> EffectTest:
    """Test whether the levels of one factor differ, by exchanging the levels within each seed.

        r_sa = z_sa - mean_a z_sa                              within a seed s, levels a
        F    = mean square of mean_s r_sa / mean_a var_s(r_sa) / S
        p    = share of the rearrangements of every seed's levels whose F is at least that of the data

    Exact, whatever the distribution of the scores, if the factor changes nothing: then the levels of a seed are
    exchangeable. All rearrangements are tried if there are at most 20,000, otherwise the data and n_resamples random
    ones. F divides by the spread, so that levels with equal means but unequal spreads are seldom told apart. Between
    two levels it is the paired permutation test, which can reach 5% from six seeds on.

    scores: z, one number for each seed and level, averaged over all other factors, [S, a], without NaN.
    The interval of the largest difference is Games and Howell's, of paired differences: simultaneous over all pairs of
    levels, as the two are chosen by the data. p is NaN with fewer than two seeds or levels.
    Raises ValueError for other shapes. Edgington and Onghena 2007, Randomization Tests, ch. 6.
    """
    check_confidence(confidence)
    z = _checked(scores, 2)
    n, a = z.shape
    means = z.mean(axis=0)
    high, low = int(means.argmax()), int(means.argmin())
    centred = z - z.mean(axis=1, keepdims=True)
    within = _scaled(centred, z)
    df = a - 1
    if min(n, a) < 2:
        difference = Interval(float(np.ptp(means)), math.nan, math.nan, confidence, n, 0, "Games-Howell")
        return EffectTest(math.nan, 1.0, difference, (high,), (low,), means, math.nan, math.nan, df, n, "none")
    observed = _ratio(within[None])[0]
    orders = math.factorial(a) ** (n - 1) if a < 9 else math.inf
    if orders <= MOST_ORDERS:
        values = np.concatenate([_ratio(block) for block in _all_orders(within)])
        p_value, method = float((values >= observed - _TOLERANCE).mean()), f"all {orders:,.0f} rearrangements"
    else:
        hits = sum(
            int((_ratio(block) >= observed - _TOLERANCE).sum()) for block in _drawn_orders(within, rng, n_resamples)
        )
        p_value, method = (hits + 1) / (n_resamples + 1), f"{n_resamples:,} random rearrangements"
    smallest = max(1.0 / orders, 0.0 if orders <= MOST_ORDERS else 1.0 / (n_resamples + 1))
    error = float(centred.var(axis=0, ddof=1).sum()) / df
    variance = (float(((means - means.mean()) ** 2).sum()) - df * error / n) / a
    return EffectTest(
        p_value,
        smallest,
        _largest_difference(z, high, low, confidence),
        (high,),
        (low,),
        means,
        variance,
        error,
        df,
        n,
        method,
    )


def interaction(
    scores: npt.ArrayLike, rng: np.random.Generator, *, confidence: float = 0.95, n_resamples: int = 9_999
) -> EffectTest:
    """Test whether the effect of one factor depends on the level of another, by a wild bootstrap.

        I_sab = z_sab - mean_a z_sab - mean_b z_sab + mean_ab z_sab
        F     = sum_ab (mean_s I_sab)^2 / (sum_ab var_s(I_sab) / S)
        z*    = w_sab (r_sab - mean_s r_sab)      r: z without the mean of its seed; w: random signs
        p     = (number of F* >= F, + 1) / (n_resamples + 1)

    No rearrangement of the runs leaves the main effects as they are, so that no exact test exists. Random signs keep
    the spread of every combination, where permuted residuals or the F test claim interactions between combinations of
    unequal spread, and aligned ranks do so in a quarter of all sweeps with capped scores.

    An interaction is one of means: if a factor doubles the collapses of a policy, another one that makes half as many
    of them interacts with it.

    scores: z, one number for each seed and combination, averaged over all other factors, [S, a, b], without NaN.
    The interval of the largest departure from additivity is Bonferroni's t interval over all combinations. p is NaN
    with fewer than two seeds or levels. Raises ValueError for other shapes.
    Friedrich, Konietschke and Pauly 2017, J. Multivar. Anal. 153, 255-265, for the wild bootstrap.
    """
    check_confidence(confidence)
    z = _checked(scores, 3)
    n, a, b = z.shape
    parts = _interactions(z)
    means = parts.mean(axis=0)
    place = np.unravel_index(int(np.abs(means).argmax()), means.shape)
    where = (int(place[0]), int(place[1]))
    df = (a - 1) * (b - 1)
    largest = float(means[where])
    if min(n, a, b) < 2:
        departure = Interval(largest, math.nan, math.nan, confidence, n, 0, "Bonferroni t")
        return EffectTest(math.nan, 1.0, departure, where, where, z.mean(axis=0), math.nan, math.nan, df, n, "none")
    observed = _strength(_scaled(parts, z)[None])[0]
    residuals = _scaled(z - z.mean(axis=(1, 2), keepdims=True), z)
    residuals = residuals - residuals.mean(axis=0)
    hits = 0
    for rows in _blocks(n_resamples, z.size):
        signs = rng.integers(0, 2, size=(rows, *z.shape), dtype=np.int8)
        hits += int((_strength(_interactions(residuals * (2.0 * signs - 1.0))) >= observed - _TOLERANCE).sum())
    quantile = float(special.stdtrit(n - 1, 1.0 - (1.0 - confidence) / (2 * a * b)))
    half = quantile * float(parts[(slice(None), *where)].std(ddof=1)) / math.sqrt(n)
    error = float(parts.var(axis=0, ddof=1).sum()) / df
    return EffectTest(
        (hits + 1) / (n_resamples + 1),
        1.0 / (n_resamples + 1),
        Interval(largest, largest - half, largest + half, confidence, n, 0, "Bonferroni t"),
        where,
        where,
        z.mean(axis=0),
        (float((means**2).sum()) - df * error / n) / (a * b),
        error,
        df,
        n,
        f"wild bootstrap, {n_resamples:,} draws",
    )


def seeds_for_effect(test: EffectTest, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the number of seeds that shows an effect as large as it is estimated; inf for more than 1000.

        power(n) = P(F' > F_{1-alpha}),  F' ~ noncentral F(df, df (n-1), n sum_i effect_i^2 / error)

    The estimate is free of the part that noise explains, and uncertain: a hint for planning, not a result. inf if noise
    explains all of what was seen, NaN without a test. alpha: level of one test, such as Holm's strictest.
    """
    if math.isnan(test.p_value):
        return math.nan
    total = test.variance * test.means.size
    if total <= 0.0:
        return math.inf
    n = np.arange(2, MOST_SEEDS + 1, dtype=np.float64)
    if test.error == 0.0:
        return 2.0
    below = test.df * (n - 1)
    critical = stats.f.isf(alpha, test.df, below)
    reached = np.nan_to_num(stats.ncf.sf(critical, test.df, below, n * total / test.error), nan=1.0) >= power
    return float(n[reached.argmax()]) if reached.any() else math.inf


def fill_missing(scores: FloatArray) -> tuple[FloatArray, int]:
    """Return scores in which each NaN is the mean of its combination over the other seeds, and the number of them.

    Such a value moves no mean, and keeps the blocks complete. A combination without any score stays NaN. Seeds without
    any score are dropped. scores: [S, ...].
    """
    there = ~np.isnan(scores)
    axes = tuple(range(1, scores.ndim))
    kept = scores[there.any(axis=axes)]
    holes = np.isnan(kept)
    if not holes.any():
        return kept, 0
    counts = (~holes).sum(axis=0)
    sums = np.where(holes, 0.0, kept).sum(axis=0)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return np.where(holes, means, kept), int(holes.sum())


def _checked(scores: npt.ArrayLike, n_dimensions: int) -> FloatArray:
    z = np.asarray(scores, dtype=np.float64)
    if z.ndim != n_dimensions or not np.isfinite(z).all():
        raise ValueError(f"expected finite scores in {n_dimensions} dimensions, seeds first, got shape {z.shape}")
    return z


def _scaled(differences: FloatArray, scores: FloatArray) -> FloatArray:
    """Return differences of scores in units of the largest, so that one tolerance fits all.

    Differences that rounding alone made become zero; otherwise equal scores would have an effect.
    """
    largest = float(np.abs(differences).max(initial=0.0))
    rounding = 1e-12 * float(np.abs(scores).max(initial=0.0))
    return differences / largest if largest > rounding else np.zeros_like(differences)


def _ratio(within: FloatArray) -> FloatArray:
    """Return F / (1 + F) of each rearrangement, which is finite without any spread; within: [R, S, a] -> [R]."""
    n = within.shape[1]
    between = (within.mean(axis=1) ** 2).mean(axis=1)
    error = within.var(axis=1, ddof=1).mean(axis=1) / n
    return _share(between, error)


def _strength(parts: FloatArray) -> FloatArray:
    """Return F / (1 + F) of interactions; parts: [R, S, a, b] -> [R]."""
    n = parts.shape[1]
    between = (parts.mean(axis=1) ** 2).sum(axis=(1, 2))
    error = parts.var(axis=1, ddof=1).sum(axis=(1, 2)) / n
    return _share(between, error)


def _share(between: FloatArray, error: FloatArray) -> FloatArray:
    total = between + error
    share: FloatArray = np.divide(between, total, out=np.zeros_like(total), where=total > 1e-24)
    return share


def _interactions(z: FloatArray) -> FloatArray:
    """Return what neither the row nor the column explains of each table, [..., a, b]."""
    parts: FloatArray = (
        z - z.mean(axis=-1, keepdims=True) - z.mean(axis=-2, keepdims=True) + z.mean(axis=(-2, -1), keepdims=True)
    )
    return parts


def _blocks(n_rows: int, width: int) -> Iterator[int]:
    """Yield numbers of rows that fit into memory together and sum to n_rows."""
    at_once = max(1, _NUMBERS_AT_ONCE // max(width, 1))
    for start in range(0, n_rows, at_once):
        yield min(at_once, n_rows - start)


def _all_orders(within: FloatArray) -> Iterator[FloatArray]:
    """Yield every rearrangement of the levels of each seed but the first, in blocks [R, S, a].

    F does not change if all seeds are rearranged alike, so that the first one can stay.
    """
    n, a = within.shape
    orders = np.array(list(itertools.permutations(range(a))))
    choices = itertools.product(range(len(orders)), repeat=n - 1)
    while block := list(itertools.islice(choices, max(1, _NUMBERS_AT_ONCE // within.size))):
        chosen = orders[np.array(block)]
        rest = np.take_along_axis(np.broadcast_to(within[1:], chosen.shape), chosen, axis=2)
        yield np.concatenate([np.broadcast_to(within[:1], (len(block), 1, a)), rest], axis=1)


def _drawn_orders(within: FloatArray, rng: np.random.Generator, n_resamples: int) -> Iterator[FloatArray]:
    for rows in _blocks(n_resamples, within.size):
        yield rng.permuted(np.broadcast_to(within, (rows, *within.shape)), axis=2)


def _largest_difference(z: FloatArray, high: int, low: int, confidence: float) -> Interval:
    n, a = z.shape
    difference = z[:, high] - z[:, low]
    quantile = _range_quantile(confidence, a, n - 1) / math.sqrt(2)
    estimate, half = float(difference.mean()), quantile * float(difference.std(ddof=1)) / math.sqrt(n)
    return Interval(estimate, estimate - half, estimate + half, confidence, n, 0, "Games-Howell")


@lru_cache(maxsize=256)
def _range_quantile(confidence: float, n_levels: int, dof: int) -> float:
    # A numerical inversion of a double integral, which takes a hundred times longer than everything else here.
    return float(stats.studentized_range.ppf(confidence, n_levels, dof))
