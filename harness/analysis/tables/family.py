"""Family of tests that are adjusted together, and verdicts on its members, also for other scores of one of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis import stats
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED

__all__ = ["Case", "Family", "case"]

FloatArray = npt.NDArray[np.float64]

N_RESAMPLES = 99_999
"""Random splits of a permutation test whose splits are too many to try them all."""


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
    p_difference: float
    """p-value of a difference: that of `test`, or that of all looks together if a sequential design is declared."""
    p_equivalence: float
    """p-value of equivalence, likewise; NaN without a test of it."""
    repeats: int | None = None
    """Place of an earlier case in the family with the same runs under other names, which is adjusted once for both."""

    @property
    def n_runs(self) -> int:
        """Number of runs on the side that has fewer, failed ones included."""
        return int(min(self.x.size, self.y.size))


def case(
    x: FloatArray,
    y: FloatArray,
    *,
    margin: float | None,
    bounds: stats.Bounds | None,
    identical: bool,
    design: stats.SequentialDesign | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Case:
    """Return the case of two samples, one number per run in the order of the seeds, NaN if it has none.

    margin: half-width of the zone of equivalence; None without a test of equivalence. bounds: of the scores.
    design: numbers of seeds at which the results are judged; the first seeds make the first look.
    n_resamples: random splits of a permutation test whose splits are too many to try them all.
    """
    usable = bounds if bounds is not None and bounds[0] < bounds[1] else None  # not if all scores ever seen are equal
    tested = None if identical else margin
    test, equivalence = _tests(x, y, tested, usable, n_resamples)
    p_difference, p_equivalence = test.p_value, math.nan if equivalence is None else equivalence.p_value
    if design is not None and not identical:
        looks = design.looks_at(min(x.size, y.size))
        at_looks = [(look, *_tests(x[:look], y[:look], tested, usable, n_resamples)) for look in looks]
        # A claim made at an earlier look stays: the smallest of the overall levels is that of all looks together.
        p_difference = _least(design.overall_level(difference.p_value, look) for look, difference, _ in at_looks)
        p_equivalence = _least(design.overall_level(same.p_value, look) for look, _, same in at_looks if same)
    return Case(x, y, test, equivalence, margin, usable, identical, p_difference, p_equivalence)


def _tests(
    x: FloatArray, y: FloatArray, margin: float | None, bounds: stats.Bounds | None, n_resamples: int
) -> tuple[stats.PermutationTest, stats.EquivalenceTest | None]:
    # A generator of its own for each test: the p-value of a pair must not depend on the pairs before it.
    test = stats.permutation_test(x, y, np.random.default_rng(BOOTSTRAP_SEED), n_resamples)
    if margin is None:
        return test, None
    if bounds is None:
        return test, stats.tost_welch(x, y, margin)
    return test, stats.equivalence_test(x, y, margin, bounds)


def _least(p_values: Iterable[float]) -> float:
    return min((p_value for p_value in p_values if not math.isnan(p_value)), default=math.nan)


@dataclass(frozen=True, eq=False)
class Family:
    """Cases whose p-values are adjusted together by Holm's method: those of differences, and those of equivalence.

    A case that is identical, repeats another, or cannot be tested does not count.
    """

    cases: tuple[Case, ...]
    alpha: float
    """Level of the tests: probability of any wrong claim in the family."""
    design: stats.SequentialDesign | None = None
    """Numbers of seeds at which the results are judged; None judges them once."""

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
                smallest=float(least),
                sequential=self._progress(one),
            )
            for one, p_value, p_equivalence, least in zip(
                self.cases, p_values, p_equivalences, self._smallest(), strict=True
            )
        ]

    def outcomes(self) -> list[stats.Outcome]:
        """Return the outcome of every case, in their order: those of `verdicts`, without the reasons."""
        return [
            stats.decide(
                one.x,
                one.y,
                p_value=float(p_value),
                p_equivalence=float(p_equivalence),
                identical=one.identical,
                alpha=self.alpha,
                started=self.design is None or stats.Progress(self.design, one.n_runs).started,
            )
            for one, p_value, p_equivalence in zip(self.cases, *self._adjusted(), strict=True)
        ]

    def can_reject(self) -> bool:
        """Return True if the numbers of seeds allow a claim of a difference in some case, however clear it may be."""
        return bool((self._smallest() < self.alpha).any())

    def outcome_with(self, index: int, x: FloatArray, y: FloatArray) -> stats.Outcome:
        """Return the outcome of a case if its samples were x and y, and all other cases as they are."""
        before = self.cases[index]
        # Its runs alone get other scores, so that it repeats no other case.
        other = case(x, y, margin=before.margin, bounds=before.bounds, identical=before.identical, design=self.design)
        family = Family((*self.cases[:index], other, *self.cases[index + 1 :]), self.alpha, self.design)
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
            sequential=self._progress(other),
        ).outcome

    def _progress(self, one: Case) -> stats.Progress | None:
        return None if self.design is None else stats.Progress(self.design, one.n_runs)

    def _adjusted(self) -> tuple[FloatArray, FloatArray]:
        adjusted = (
            stats.holm(self._counted()),
            stats.holm([math.nan if one.repeats is not None else one.p_equivalence for one in self.cases]),
        )
        for index, one in enumerate(self.cases):
            if one.repeats is not None:
                for p_values in adjusted:
                    p_values[index] = p_values[one.repeats]
        return adjusted

    def _smallest(self) -> FloatArray:
        """Return the smallest adjusted p-values that the numbers of seeds allow, if every difference were the clearest.

        An adjusted p-value never falls if another one rises: a pair that is not below the level here never can be.
        """
        smallest = [
            math.nan if math.isnan(p_value) else self._smallest_of(one)
            for one, p_value in zip(self.cases, self._counted(), strict=True)
        ]
        adjusted = stats.holm(smallest)
        for index, one in enumerate(self.cases):
            if one.repeats is not None:
                adjusted[index] = adjusted[one.repeats]
        return adjusted

    def _smallest_of(self, one: Case) -> float:
        if self.design is None:
            return stats.smallest_p(one.test.n_x, one.test.n_y)
        looks = self.design.looks_at(one.n_runs)
        return _least(self.design.overall_level(stats.smallest_p(look, look), look) for look in looks)

    def _counted(self) -> list[float]:
        return [math.nan if one.identical or one.repeats is not None else one.p_difference for one in self.cases]

    def _n_tested(self) -> int:
        return max(sum(not math.isnan(p_value) for p_value in self._counted()), 1)
