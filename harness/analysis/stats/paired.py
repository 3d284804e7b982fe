"""Paired forms of the comparisons, for scores under the same seeds: correlation, test of signs, and effect size."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.samples import FloatArray, present

__all__ = ["paired_g", "paired_test", "seed_correlation"]

MOST_FLIPS = 2**14
"""Largest number of sign patterns that are all tried."""

_TOLERANCE = 1e-10


def seed_correlation(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return Pearson's correlation of the scores of two algorithms over their common seeds.

    A paired test needs fewer seeds only if this is clearly positive: the variance of the difference is that of
    independent seeds times 1 - r, for equal spreads. A shared seed gives the same first states, and soon unlike ones:
    in RL the correlation is usually near 0.

    x, y: scores of the same seeds, [n]; a seed without a score on either side is dropped. NaN with fewer than three
    common seeds, or if a side does not vary.
    """
    first, second = _common(x, y)
    if first.size < 3 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def paired_test(x: npt.ArrayLike, y: npt.ArrayLike, rng: np.random.Generator, n_resamples: int = 9_999) -> float:
    """Return the two-sided p-value of the sign-flip test of mean(x - y) = 0.

        exact:        p = #{sign patterns s: |sum s_i d_i| >= |sum d_i|} / 2^n          d = x - y
        Monte Carlo:  p = (#{drawn} + 1) / (n_resamples + 1), beyond 14 seeds

    Its smallest value is 2 / 2^n: five pairs never get below 0.0625, where 5 against 5 unpaired seeds reach 0.008.
    x, y: as in `seed_correlation`. NaN without a common seed. Pitman 1937, J. R. Stat. Soc. Suppl. 4, 119-130.
    """
    first, second = _common(x, y)
    n = first.size
    if n == 0:
        return math.nan
    d: FloatArray = first - second
    span = float(np.abs(d).max())
    if span == 0.0:
        return 1.0
    d = d / span
    threshold = abs(float(d.sum())) - _TOLERANCE
    if 2**n <= MOST_FLIPS:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ d) >= threshold).mean())
    signs = 1.0 - 2.0 * rng.integers(0, 2, (n_resamples, n))
    return (int((np.abs(signs @ d) >= threshold).sum()) + 1) / (n_resamples + 1)


def paired_g(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the mean difference over common seeds in standard deviations of the differences, bias removed.

        g_z = J(n - 1) mean(d) / s_d        s_d with ddof 1,   J as in `hedges_g`

    Not comparable with `hedges_g`, whose unit is the spread of the scores: for equal spreads they differ by the factor
    sqrt(2 (1 - r)). x, y: as in `seed_correlation`. NaN with fewer than three common seeds; 0 or infinite if the
    differences do not vary. Gibbons, Hedeker and Davis 1993, J. Educ. Statist. 18, 271-279.
    """
    first, second = _common(x, y)
    if first.size < 3:
        return math.nan
    d = first - second
    mean, spread = float(d.mean()), float(d.std(ddof=1))
    if np.ptp(d) == 0.0:
        return 0.0 if mean == 0.0 else math.copysign(math.inf, mean)
    nu = d.size - 1
    return math.exp(math.lgamma(nu / 2) - math.lgamma((nu - 1) / 2)) / math.sqrt(nu / 2) * mean / spread


def _common(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"expected the scores of the same seeds, got {first.shape} and {second.shape}")
    there = ~np.isnan(first) & ~np.isnan(second)
    return present(first[there]).values, present(second[there]).values
