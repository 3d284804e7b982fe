"""Number of seeds that a comparison needs, estimated from the difference and spread seen so far."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.permutation import smallest_p
from harness.analysis.stats.samples import FloatArray

__all__ = ["MOST_SEEDS", "seeds_for_difference", "seeds_for_equivalence", "seeds_text"]

MOST_SEEDS = 1000
"""Largest number of seeds that is considered: more seeds than this are out of reach."""


def seeds_for_difference(difference: float, spread: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the number of seeds per algorithm that finds a difference with the given power; inf for more than 1000.

        power(n) = P(|T| > t_{1-alpha/2, nu}),  T ~ noncentral t(nu, |difference| / (spread sqrt(2/n))),  nu = 2n - 2

    This is the power of the two-sided t test, which the permutation test shares except at the fewest seeds: the result
    is never below the n at which the permutation test can reach alpha at all (4 for 5%).
    difference: of the means; spread: root mean square of the two standard deviations; both in units of return.
    A difference observed at few seeds is itself uncertain, and so is the answer: a hint for planning, not a result.
    NaN if either is NaN.
    """
    if math.isnan(difference) or math.isnan(spread):
        return math.nan
    if difference == 0.0:
        return math.inf
    fewest = next(seeds for seeds in count(2) if smallest_p(seeds, seeds) < alpha)
    if spread == 0.0:
        return float(fewest)
    n = np.arange(fewest, MOST_SEEDS + 1, dtype=np.float64)
    critical = special.stdtrit(2 * n - 2, 1 - alpha / 2)
    shift = abs(difference) / spread * np.sqrt(n / 2)
    reached = 1 - special.nctdtr(2 * n - 2, shift, critical) + special.nctdtr(2 * n - 2, shift, -critical)
    return _first(n, reached >= power)


def seeds_for_equivalence(
    difference: float, spread: float, margin: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Return the number of seeds per algorithm that shows equivalence with the given power at this difference.

        power(n) = max(0, P(T_- < -t_{1-alpha, nu}) - P(T_+ < t_{1-alpha, nu}))
        T_± ~ noncentral t(nu, (difference ± margin) / (spread sqrt(2/n))),  nu = 2n - 2

    inf for more than 1000 and for a difference outside the margin; NaN if an argument is NaN.
    Arguments and caution as in `seeds_for_difference`; margin: in units of return.
    """
    if math.isnan(difference) or math.isnan(spread) or math.isnan(margin):
        return math.nan
    if abs(difference) >= margin:
        return math.inf
    if spread == 0.0:
        return 2.0
    n = np.arange(2, MOST_SEEDS + 1, dtype=np.float64)
    critical = special.stdtrit(2 * n - 2, 1 - alpha)
    error = spread * np.sqrt(2 / n)
    below = special.nctdtr(2 * n - 2, (difference - margin) / error, -critical)
    above = special.nctdtr(2 * n - 2, (difference + margin) / error, critical)
    return _first(n, below - above >= power)


def seeds_text(seeds: float) -> str:
    """Return a number of seeds in words: "37", "> 1000", or "unknown"."""
    if math.isnan(seeds):
        return "unknown"
    return f"> {MOST_SEEDS}" if math.isinf(seeds) else f"{seeds:.0f}"


def _first(n: FloatArray, enough: npt.NDArray[np.bool_]) -> float:
    return float(n[enough.argmax()]) if enough.any() else math.inf
