"""Number of seeds that a verdict needs, as the range that the scores seen leave open, and what these seeds can show."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.equivalence import Bounds
from harness.analysis.stats.permutation import smallest_p
from harness.analysis.stats.power import MOST_SEEDS, seeds_by_effect, seeds_text
from harness.analysis.stats.samples import FloatArray, present

__all__ = ["UNKNOWN", "SeedRange", "detectable_difference", "seeds_needed"]

N_DRAWS = 400
"""Populations drawn for a range: its limits are known to within a few percent, which is less than they mean."""


class SeedRange(NamedTuple):
    """Numbers of seeds per algorithm between which the one needed lies; inf stands for more than 1000."""

    low: float
    high: float

    @property
    def text(self) -> str:
        """Range in words: "12 to 80", "at least 15", "more than 1000", "6" or "unknown"."""
        if math.isnan(self.low):
            return "unknown"
        if math.isinf(self.low):
            return f"more than {MOST_SEEDS}"
        if math.isinf(self.high):
            return f"at least {seeds_text(self.low)}"
        low, high = seeds_text(self.low), seeds_text(self.high)
        return low if low == high else f"{low} to {high}"


UNKNOWN = SeedRange(math.nan, math.nan)
"""Range of a comparison that was not planned."""


def seeds_needed(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    bounds: Bounds | None = None,
    alpha: float = 0.05,
    alpha_improvement: float = 0.05,
    power: float = 0.8,
    confidence: float = 0.8,
) -> SeedRange:
    """Return the range of seeds per algorithm at which better or worse would be found with the given power.

    Draws populations that the scores allow, and finds for each the number of seeds at which both conditions of the
    verdict hold with the given power:

        X = sum_i D_i x_i + D_0 u,   D uniform on the simplex of n + 1 weights, u uniform between the bounds
        n_means        t test at level alpha for the difference and spread of X and Y
        n_improvement  ((z_{1-a/2} sqrt(1/6) + z_power sqrt(xi)) / (theta - 1/2))^2,   theta = P(X > Y) + P(X = Y) / 2
        n = max(n_means, n_improvement); infinite if mean and theta point to different sides

    xi: variance of a placement P(X > y) over Y plus that over X; 1/6 is its value if both sides are alike, which
    Newcombe's interval takes at theta = 1/2. The unseen score u keeps scores that do not vary from being taken for
    certain. The range holds the central `confidence` of these numbers. Measured: it contains the number at which the
    verdict really has this power in 81% to 100% of experiments of 5, 10 and 30 seeds; docs/statistics.md has the table.

    x, y: one number per seed, [n] and [m]; NaN is dropped. bounds: lowest and highest possible score; None takes the
    scores seen and one standard deviation on either side. alpha: level of the test of means, after Holm's correction;
    alpha_improvement: level of the interval of the probability of improvement.
    NaN with fewer than two seeds on a side. The draws are the same in every call.
    Rubin 1981, "The Bayesian bootstrap", Ann. Stat. 9, 130-134, with the unseen score of Gaffke 2005.
    """
    first, second = present(x).values, present(y).values
    if min(first.size, second.size) < 2:
        return UNKNOWN
    pooled = np.concatenate([first, second])
    around = float(pooled.std())
    low, high = bounds or (-math.inf, math.inf)
    limits = (
        (min(low, float(pooled.min())), max(high, float(pooled.max())))
        if bounds
        else (float(pooled.min()) - around, float(pooled.max()) + around)
    )
    rng = np.random.default_rng([first.size, second.size])
    one, other = (_Populations.drawn(side, limits, rng) for side in (first, second))
    seeds = _seeds(one, other, alpha, alpha_improvement, power)
    tail = (1.0 - confidence) / 2
    lowest, highest = np.quantile(seeds, [tail, 1.0 - tail], method="inverted_cdf")
    return SeedRange(float(lowest), float(highest))


def detectable_difference(
    spread: float, n: int, m: int, *, alpha: float = 0.05, power: float = 0.8, n_tests: int = 1
) -> float:
    """Return the smallest difference of means that n against m seeds show with the given power, in units of return.

        the difference at which a noncentral t with nu = n + m - 2 exceeds t_{1-alpha/2, nu} with probability `power`

    inf if no difference can be shown, because the permutation test has too few splits to reach alpha.
    spread: root mean square of the standard deviations of both sides, in units of return. alpha: level of one test;
    n_tests: number of tests that Holm's method adjusts together, of which each must reach alpha / n_tests.
    NaN if the spread is, or with fewer than two seeds on a side.
    """
    if math.isnan(spread) or min(n, m) < 2:
        return math.nan
    level = alpha / n_tests
    if smallest_p(n, m) >= level:
        return math.inf
    nu = n + m - 2
    critical = float(special.stdtrit(nu, 1.0 - level / 2))
    return float(special.nctdtrinc(nu, 1.0 - power, critical)) * spread * math.sqrt(1 / n + 1 / m)


class _Populations(NamedTuple):
    """Populations that the scores of one side allow, B of them: the scores seen and an unseen one, with weights."""

    seen: FloatArray
    """[n]."""
    unseen: FloatArray
    """One score for each population, [B]."""
    weights: FloatArray
    """[B, n + 1], that of the unseen score first."""

    @classmethod
    def drawn(cls, seen: FloatArray, limits: Bounds, rng: np.random.Generator) -> _Populations:
        gaps = rng.standard_exponential((N_DRAWS, seen.size + 1))
        return cls(seen, rng.uniform(*limits, N_DRAWS), gaps / gaps.sum(axis=1, keepdims=True))

    @property
    def means(self) -> FloatArray:
        return self.weights[:, 1:] @ self.seen + self.weights[:, 0] * self.unseen

    @property
    def variances(self) -> FloatArray:
        squares = self.weights[:, 1:] @ self.seen**2 + self.weights[:, 0] * self.unseen**2
        return np.maximum(squares - self.means**2, 0.0) * self.correction

    @property
    def correction(self) -> float:
        """Bessel's correction, as the weights spread about the scores seen and not about their population."""
        return self.seen.size / (self.seen.size - 1)

    def placements(self, other: _Populations) -> FloatArray:
        """Return P(X > Y) + P(X = Y) / 2 of each score of this side for Y of the other, [B, n + 1]."""
        seen = other.weights[:, 1:] @ _beats(self.seen[:, None], other.seen).T
        seen += other.weights[:, :1] * _beats(self.seen, other.unseen[:, None])
        unseen = (other.weights[:, 1:] * _beats(self.unseen[:, None], other.seen)).sum(axis=1)
        unseen += other.weights[:, 0] * _beats(self.unseen, other.unseen)
        return np.hstack([unseen[:, None], seen])


def _beats(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.asarray((x > y) + 0.5 * (x == y), dtype=np.float64)


def _seeds(one: _Populations, other: _Populations, alpha: float, alpha_improvement: float, power: float) -> FloatArray:
    """Return the number of seeds that each pair of populations needs, [B]."""
    difference = one.means - other.means
    spread = np.sqrt((one.variances + other.variances) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):  # populations without spread
        for_means = seeds_by_effect(np.abs(difference / spread), alpha, power)
    placements = one.placements(other), other.placements(one)
    theta = (placements[0] * one.weights).sum(axis=1)
    xi = ((placements[0] - theta[:, None]) ** 2 * one.weights).sum(axis=1) * one.correction + (
        (placements[1] - (1 - theta[:, None])) ** 2 * other.weights
    ).sum(axis=1) * other.correction
    z_level, z_power = special.ndtri(1 - alpha_improvement / 2), special.ndtri(power)
    with np.errstate(divide="ignore", invalid="ignore"):  # theta of exactly 1/2
        for_improvement = np.ceil(((z_level * math.sqrt(1 / 6) + z_power * np.sqrt(xi)) / np.abs(theta - 0.5)) ** 2)
    seeds = np.maximum(for_means, for_improvement)
    agree = (theta - 0.5) * difference > 0.0
    return np.where(agree & (seeds <= MOST_SEEDS), seeds, math.inf)
