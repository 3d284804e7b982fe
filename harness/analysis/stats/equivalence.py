"""Test of equivalence: two one-sided tests that the difference in means lies within a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt
from scipy import special

from harness.analysis.stats.intervals import welch
from harness.analysis.stats.samples import present

__all__ = ["EquivalenceTest", "tost_welch"]


@dataclass(frozen=True)
class EquivalenceTest:
    """Outcome of two one-sided tests: a small p-value says that the difference lies inside ± margin."""

    difference: float
    """mean(x) - mean(y)."""
    margin: float
    p_value: float
    """Larger of the two one-sided p-values."""
    n: int
    n_missing: int


def tost_welch(x: npt.ArrayLike, y: npt.ArrayLike, margin: float) -> EquivalenceTest:
    """Test the equivalence of two means, |mu_x - mu_y| < margin, by two one-sided Welch tests (TOST).

        p = max( P(T_nu > (d + margin) / se),  P(T_nu < (d - margin) / se) )     with d, se and nu of Welch's test

    p < 0.05 if and only if the 90% Welch interval of the difference lies inside ± margin. A large p is absence of
    evidence, often for lack of seeds. The margin must be chosen before looking at the data.
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
