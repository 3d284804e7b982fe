"""Effect sizes: Hedges' g, the probability of improvement (Vargha and Delaney's A), Cliff's delta; tests of ranks."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from harness.analysis.stats.intervals import Interval
from harness.analysis.stats.permutation import smallest_p
from harness.analysis.stats.resampling import check_confidence
from harness.analysis.stats.samples import FloatArray, present

__all__ = ["brunner_munzel", "cliffs_delta", "hedges_g", "mann_whitney", "probability_of_improvement"]


_MOST_EXACT = 100  # seeds of both sides, up to which U is counted out


def hedges_g(x: npt.ArrayLike, y: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """Return Hedges' g: the difference in means in pooled standard deviations, without Cohen's d's bias at few seeds.

        d = (mean(x) - mean(y)) / s      s^2 = ((n-1) s_x^2 + (m-1) s_y^2) / nu      nu = n + m - 2,  s_x with ddof 1
        g = J d                          J = Gamma(nu/2) / (sqrt(nu/2) Gamma((nu-1)/2)), exactly; 0.9576 at 10 and 10

    The limits invert the noncentral t distribution: t = d / sqrt(1/n + 1/m) has the noncentrality
    delta / sqrt(1/n + 1/m), and a limit is the delta that puts t at a tail. Exact for normal scores of equal spread;
    for other scores g is only a description.

    x, y: one number per seed, [n] and [m]; NaN is dropped and counted. NaN with an empty side or nu < 2, where J does
    not exist. If neither side varies there is no scale: g is 0 for equal constants and infinite, with the sign of the
    difference, for unequal ones, both without limits. Hedges 1981, J. Educ. Statist. 6(2), 107-128.
    """
    check_confidence(confidence)
    first, second = present(x), present(y)
    estimate, low, high = _hedges_g(first.values, second.values, (1.0 - confidence) / 2)
    n, n_missing = first.n + second.n, first.n_missing + second.n_missing
    return Interval(estimate, low, high, confidence, n, n_missing, "noncentral t")


def probability_of_improvement(x: npt.ArrayLike, y: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the probability that a new seed of X scores higher than one of Y, with Newcombe's score interval.

        theta = P(X > Y) + P(X = Y) / 2        estimated by U / (n m), the Mann-Whitney statistic over all pairs
        limits: both theta with (U/(nm) - theta)^2 = z^2 v(theta)
        v(theta) = theta (1 - theta) (1 + N (1 - theta) / (2 - theta) + N theta / (1 + theta)) / (n m)
        N = (n + m) / 2 - 1

    1: every seed of x scores higher than every seed of y; 0.5: neither side tends to. The same number is Vargha and
    Delaney's A, the common-language effect size, and the area under a ROC curve; 2 theta - 1 is `cliffs_delta`.
    x, y: one number per seed, [n] and [m]; NaN is dropped and counted. No limits with fewer than two seeds on a side.
    Definition: Agarwal et al. 2021, arXiv 2108.13264, section 4.3. Interval: Newcombe 2006, Stat. Med. 25, 559-573,
    method 5.

    The customary percentile bootstrap shrinks to a point where the samples barely overlap: the clearer the case, the
    larger its error. Coverage measured at 10 against 10 seeds and a nominal 95%, over eleven shapes (shifts of 0 to 2.5
    standard deviations, unequal spreads, skew, two modes, scores capped at a maximum): Newcombe 92 to 99%, and 90% if
    one spread is 20 times the other; percentile bootstrap 78 to 95%; Brunner-Munzel's t 76 to 95%, or 75 to 100% on the
    logit scale. At 5 against 5 the worst are 93, 42, 41 and 40%.
    """
    check_confidence(confidence)
    first, second = present(x), present(y)
    n, m = first.n, second.n
    estimate = low = high = math.nan
    if n and m:
        ranks = stats.rankdata(np.concatenate([first.values, second.values]))
        estimate = float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
    if n > 1 and m > 1:
        z = float(special.ndtri((1.0 + confidence) / 2))
        low, high = _newcombe_low(estimate, n, m, z), 1.0 - _newcombe_low(1.0 - estimate, n, m, z)
    n_missing = first.n_missing + second.n_missing
    return Interval(estimate, low, high, confidence, n + m, n_missing, "Newcombe score")


def cliffs_delta(x: npt.ArrayLike, y: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """Return Cliff's delta = P(X > Y) - P(X < Y) = 2 theta - 1, with the limits of the probability of improvement.

    From -1 to 1; 0 if neither side tends to score higher. The customary words are negligible below 0.147, small below
    0.33, medium below 0.474, large above (Romano et al. 2006). x, y: as in `probability_of_improvement`.
    Cliff 1993, Psychol. Bull. 114, 494-509.
    """
    one = probability_of_improvement(x, y, confidence)
    low, high = 2 * one.low - 1, 2 * one.high - 1
    return Interval(2 * one.estimate - 1, low, high, confidence, one.n, one.n_missing, one.method)


def mann_whitney(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the two-sided p-value of Mann and Whitney's U test, exact without ties; computed by SciPy.

    It tests that both sides have the same distribution, not that theta = 1/2: equal theta with unequal spreads is
    rejected more often than the level says, where `brunner_munzel` is not. With ties: the normal approximation with
    corrections for ties and continuity.

    x, y: one number per seed, [n] and [m]; NaN is dropped. NaN with an empty side.
    Mann and Whitney 1947, Ann. Math. Statist. 18, 50-60.
    """
    first, second = present(x).values, present(y).values
    if not first.size or not second.size:
        return math.nan
    pooled = np.concatenate([first, second])
    if np.ptp(pooled) == 0.0:
        return 1.0
    ties = np.unique(pooled).size < pooled.size
    method: Literal["asymptotic", "exact"] = "asymptotic" if ties or pooled.size > _MOST_EXACT else "exact"
    return float(stats.mannwhitneyu(first, second, method=method).pvalue)


def brunner_munzel(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return Brunner and Munzel's two-sided p-value for P(X > Y) + P(X = Y) / 2 = 1/2, with the t approximation.

    A test of ranks: it asks whether the typical seed scores higher, not the mean. Spreads and shapes may differ.

    x, y: one number per seed, [n] and [m]; NaN is dropped. NaN with fewer than two seeds on a side, 1 if all scores are
    equal. If no score of one side lies among those of the other, the statistic is infinite: then the smallest p-value
    of a permutation test is returned, as 0 would claim more than n + m seeds can show.
    Brunner and Munzel 2000, Biom. J. 42, 17-25; computed by SciPy.
    """
    first, second = present(x).values, present(y).values
    if min(first.size, second.size) < 2:
        return math.nan
    if np.ptp(np.concatenate([first, second])) == 0.0:
        return 1.0
    if first.min() > second.max() or second.min() > first.max():
        return smallest_p(first.size, second.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = float(stats.brunnermunzel(first, second).pvalue)
    # Without any variance of the ranks, as for [1, 1] against [1, 1, 2, 2], t does not exist.
    return max(p_value, smallest_p(first.size, second.size)) if math.isfinite(p_value) else 1.0


def _hedges_g(x: FloatArray, y: FloatArray, tail: float) -> tuple[float, float, float]:
    nu = x.size + y.size - 2
    if not x.size or not y.size or nu < 2:
        return math.nan, math.nan, math.nan
    difference = float(x.mean() - y.mean())
    if np.ptp(x) == 0.0 and np.ptp(y) == 0.0:
        return (0.0 if x[0] == y[0] else math.copysign(math.inf, difference)), math.nan, math.nan
    pooled = math.sqrt((x.var() * x.size + y.var() * y.size) / nu)
    unbiasing = math.exp(math.lgamma(nu / 2) - math.lgamma((nu - 1) / 2)) / math.sqrt(nu / 2)
    scale = math.sqrt(1 / x.size + 1 / y.size)
    t = difference / pooled / scale
    low, high = (float(special.nctdtrinc(nu, p, t)) for p in (1.0 - tail, tail))
    return unbiasing * difference / pooled, unbiasing * low * scale, unbiasing * high * scale


def _newcombe_low(estimate: float, n: int, m: int, z: float) -> float:
    """Return the lower limit; the upper one is its mirror image, since v(theta) = v(1 - theta)."""
    extra = (n + m) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) * (1 + extra * (1 - theta) / (2 - theta) + extra * theta / (1 + theta))
        return (estimate - theta) ** 2 - z**2 * variance / (n * m)

    # At complete separation theta = 1 solves the equation too; the limit is the other solution, below it.
    return float(optimize.brentq(excess, 0.0, min(estimate, 1.0 - 1e-12)))
