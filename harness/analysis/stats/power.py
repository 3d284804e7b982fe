"""Number of seeds that a comparison needs, estimated from the difference and spread seen so far."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import count

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.permutation import smallest_p
from harness.analysis.stats.samples import FloatArray

__all__ = ["MOST_SEEDS", "seeds_by_effect", "seeds_for_difference", "seeds_for_equivalence", "seeds_text"]

MOST_SEEDS = 1000
"""Largest number of seeds that is considered: more seeds than this are out of reach."""


def seeds_for_difference(difference: float, spread: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the number of seeds per algorithm that finds a difference with the given power; inf for more than 1000.

        power(n) = P(T > t_{1-alpha/2, nu}),  T ~ noncentral t(nu, |difference| / (spread sqrt(2/n))),  nu = 2n - 2

    This is the power of the two-sided t test to name the better side, which the permutation test shares except at the
    fewest seeds: the result is never below the n at which that test can reach alpha at all (4 for 5%).
    difference: of the means; spread: root mean square of the two standard deviations; both in units of return.
    A difference observed at few seeds is itself uncertain, and so is the answer: a hint for planning, not a result.
    NaN if either is NaN.
    """
    if math.isnan(difference) or math.isnan(spread):
        return math.nan
    if difference == 0.0:
        return math.inf
    effect = math.inf if spread == 0.0 else abs(difference) / spread
    return float(seeds_by_effect(np.array([effect]), alpha, power)[0])


def seeds_by_effect(effects: FloatArray, alpha: float, power: float) -> FloatArray:
    """Return the seeds per algorithm that show effects in standard deviations; NaN (no spread) needs infinitely many.

    The same numbers as `seeds_for_difference`, for many effects at once, [B] to [B].
    """
    seeds, shown = _shown_effects(alpha, power)
    place = np.searchsorted(-shown, -np.nan_to_num(effects, nan=0.0, posinf=np.inf))
    return np.append(seeds, math.inf)[place]


@lru_cache(maxsize=32)
def _shown_effects(alpha: float, power: float) -> tuple[FloatArray, FloatArray]:
    """Return the numbers of seeds up to the largest considered, and the effect that each shows, falling.

    The noncentrality is solved for, not the power: scipy's noncentral t gives NaN for shifts in the hundreds.
    """
    fewest = next(n for n in count(2) if smallest_p(n, n) < alpha)
    seeds = np.arange(fewest, MOST_SEEDS + 1, dtype=np.float64)
    critical = special.stdtrit(2 * seeds - 2, 1 - alpha / 2)
    shown = special.nctdtrinc(2 * seeds - 2, 1 - power, critical) * np.sqrt(2 / seeds)
    return seeds, shown.astype(np.float64, copy=False)


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
    # scipy's noncentral t gives NaN at some shifts where the probability is below 1e-100.
    below, above = np.nan_to_num(below, nan=1.0), np.nan_to_num(above, nan=0.0)
    return _first(n, below - above >= power)


def seeds_text(seeds: float) -> str:
    """Return a number of seeds in words: "37", "> 1000", or "unknown"."""
    if math.isnan(seeds):
        return "unknown"
    return f"> {MOST_SEEDS}" if math.isinf(seeds) else f"{seeds:.0f}"


def _first(n: FloatArray, enough: npt.NDArray[np.bool_]) -> float:
    return float(n[enough.argmax()]) if enough.any() else math.inf
