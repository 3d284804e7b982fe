"""Family of tests that are adjusted together, and verdicts on its members, also for other scores of one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis import stats
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED

__all__ = ["Case", "Family", "case"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """Two samples of which higher is better, with their tests before any adjustment."""

    x: FloatArray
    y: FloatArray
    test: stats.PermutationTest
    equivalence: stats.EquivalenceTest | None
    """Test of equivalence; None without a margin or for identical samples."""
    margin: float | None
    bounds: stats.Bounds | None
    identical: bool
    """True if no test is needed, because the trained parameters are bit-equal."""
    repeats: int | None = None
    """Place of an earlier case in the family with the same runs under other names, which is adjusted once for both."""


def case(x: FloatArray, y: FloatArray, *, margin: float | None, bounds: stats.Bounds | None, identical: bool) -> Case:
    """Return the case of two samples, one number per run, NaN if it has none.

    margin: half-width of the zone of equivalence; None without a test of equivalence. bounds: of the scores.
    """
    # A generator of its own for each test: the p-value of a pair must not depend on the pairs before it.
    test = stats.permutation_test(x, y, np.random.default_rng(BOOTSTRAP_SEED))
    usable = bounds is not None and bounds[0] < bounds[1]  # not if all scores ever seen are equal
    if margin is None or identical:
        equivalence = None
    elif bounds is not None and usable:
        equivalence = stats.equivalence_test(x, y, margin, bounds)
    else:
        equivalence = stats.tost_welch(x, y, margin)
    return Case(x, y, test, equivalence, margin, bounds if usable else None, identical)


@dataclass(frozen=True, eq=False)
class Family:
    """Cases whose p-values are adjusted together by Holm's method: those of differences, and those of equivalence.

    A case that is identical, repeats another, or cannot be tested does not count.
    """

    cases: tuple[Case, ...]
    alpha: float
    """Level of the tests: probability of any wrong claim in the family."""

    def verdicts(self) -> list[stats.Verdict]:
        """Return the verdict on every case, in their order."""
        p_values, p_equivalences = self._adjusted()
        n_tested = self._n_tested()
        return [
            stats.verdict(
                one.x,
                one.y,
                p_value=float(p_value),
                margin=one.margin,
                bounds=one.bounds,
                p_equivalence=float(p_equivalence),
                identical=one.identical,
                alpha=self.alpha,
                n_comparisons=n_tested,
            )
            for one, p_value, p_equivalence in zip(self.cases, p_values, p_equivalences, strict=True)
        ]

    def outcome_with(self, index: int, x: FloatArray, y: FloatArray) -> stats.Outcome:
        """Return the outcome of a case if its samples were x and y, and all other cases as they are."""
        before = self.cases[index]
        # Its runs alone get other scores, so that it repeats no other case.
        other = case(x, y, margin=before.margin, bounds=before.bounds, identical=before.identical)
        family = Family((*self.cases[:index], other, *self.cases[index + 1 :]), self.alpha)
        p_values, p_equivalences = family._adjusted()
        return stats.verdict(
            x,
            y,
            p_value=float(p_values[index]),
            margin=other.margin,
            bounds=other.bounds,
            p_equivalence=float(p_equivalences[index]),
            identical=other.identical,
            alpha=self.alpha,
            n_comparisons=family._n_tested(),
        ).outcome

    def _adjusted(self) -> tuple[FloatArray, FloatArray]:
        adjusted = (
            stats.holm(self._counted()),
            stats.holm(
                [
                    math.nan if one.equivalence is None or one.repeats is not None else one.equivalence.p_value
                    for one in self.cases
                ]
            ),
        )
        for index, one in enumerate(self.cases):
            if one.repeats is not None:
                for p_values in adjusted:
                    p_values[index] = p_values[one.repeats]
        return adjusted

    def _counted(self) -> list[float]:
        return [math.nan if one.identical or one.repeats is not None else one.test.p_value for one in self.cases]

    def _n_tested(self) -> int:
        return max(sum(not math.isnan(p_value) for p_value in self._counted()), 1)
