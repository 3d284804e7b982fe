"""Verdict on one pair of algorithms in one environment, with its reasons in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy.typing as npt

from harness.analysis.stats.effects import probability_of_improvement
from harness.analysis.stats.equivalence import (
    Bounds,
    EquivalenceTest,
    equivalence_test,
    seeds_for_bounded_equivalence,
    tost_welch,
)
from harness.analysis.stats.intervals import Interval, difference_interval, std_interval
from harness.analysis.stats.permutation import smallest_p
from harness.analysis.stats.planning import UNKNOWN, SeedRange, detectable_difference, seeds_needed
from harness.analysis.stats.power import seeds_for_equivalence, seeds_text
from harness.analysis.stats.samples import Sample, present
from harness.analysis.stats.sequential import Progress

__all__ = ["Outcome", "Verdict", "decide", "verdict"]

Outcome = Literal["better", "worse", "equivalent", "inconclusive", "identical"]
"""Outcome of a comparison of two algorithms."""


@dataclass(frozen=True)
class Verdict:
    """Conclusion on the scores x, compared with the scores y, with its reasons."""

    outcome: Outcome
    """Outcome for x, compared with y."""
    reasons: tuple[str, ...]
    """Clauses, to be joined with "; "."""
    p_value: float
    """Holm-adjusted p-value that the verdict is based on."""
    difference: Interval
    """mean(x) - mean(y)."""
    improvement: Interval
    """Probability of improvement."""
    equivalence: EquivalenceTest | None
    """Test of equivalence, not adjusted; None without a declared margin."""
    seeds_for_difference: SeedRange = UNKNOWN
    """Numbers of seeds per algorithm between which the one that names a winner lies; NaN unless the outcome is
    inconclusive."""
    seeds_for_equivalence: float = math.nan
    """Number of seeds per algorithm that would show equivalence; NaN unless the outcome is inconclusive and a margin is
    declared."""
    detectable: float = math.nan
    """Smallest difference that these seeds show with 80% power, if the spread is as seen; in units of return, inf if
    they can show none after Holm's adjustment. NaN unless the outcome is inconclusive."""

    @property
    def reason(self) -> str:
        """Reasons as one line."""
        return "; ".join(self.reasons)


def decide(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    p_value: float,
    p_equivalence: float = math.nan,
    identical: bool = False,
    alpha: float = 0.05,
    started: bool = True,
) -> Outcome:
    """Return the outcome by the rule of `verdict`, without its reasons, of which some take simulations.

    p_equivalence: adjusted p-value of the test of equivalence; NaN without a margin. started: False before the first
    look of a sequential design. Other arguments as in `verdict`.
    """
    if identical:
        return "identical"
    if min(present(x).n, present(y).n) < 2 or not started or math.isnan(p_value):
        return "inconclusive"
    if p_value < alpha:
        improvement = probability_of_improvement(x, y, 1.0 - alpha)
        winner = _winner(difference_interval(x, y, 1.0 - alpha), improvement)
        if winner is not None:
            return winner
    return "equivalent" if p_equivalence < alpha else "inconclusive"


def verdict(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    p_value: float,
    margin: float | None,
    bounds: Bounds | None = None,
    p_equivalence: float | None = None,
    identical: bool = False,
    alpha: float = 0.05,
    n_comparisons: int = 1,
    smallest: float | None = None,
    sequential: Progress | None = None,
) -> Verdict:
    """Judge the scores x, compared with y: better, worse, equivalent, inconclusive or identical.

    The first rule that applies decides:
        identical       `identical` is True: the trained parameters are bit-equal, which outranks any p-value
        inconclusive    fewer than two seeds on a side, or no p-value
        better, worse   p_value < alpha, and the interval of the probability of improvement excludes 1/2
        equivalent      the test of equivalence has p < alpha within the margin
        inconclusive    otherwise, with the seeds that would be needed

    The third rule has two conditions because they measure different things, the means (which a few collapsed seeds may
    decide) and how often a seed scores higher; a winner is named only if both point to the same side.

    x, y: one number per seed, [n] and [m]; NaN is dropped and counted. p_value: from the permutation test, adjusted by
    `holm` over all comparisons made. margin: in units of return, None without a test of equivalence.
    bounds: lowest and highest possible score, for `equivalence_test`; None takes `tost_welch`, which is right only for
    nearly normal scores. p_equivalence: its p-value, adjusted by `holm`; None takes the p-value of this pair alone.
    alpha: level of all tests, and one minus the confidence of the intervals that take part in the decision.
    n_comparisons: number of p-values given to `holm`; the seeds for a difference must reach alpha / n_comparisons.
    smallest: smallest value that p_value could have taken with these numbers of seeds; None takes that of this pair
    alone. sequential: place in a group-sequential design, to which p_value and p_equivalence then belong.
    Raises ValueError for a margin that is not positive and finite.
    """
    first, second = present(x), present(y)
    difference = difference_interval(x, y, 1.0 - alpha)
    improvement = probability_of_improvement(x, y, 1.0 - alpha)
    equivalence = None
    if margin is not None:
        equivalence = tost_welch(x, y, margin) if bounds is None else equivalence_test(x, y, margin, bounds)

    def answer(outcome: Outcome, *reasons: str) -> Verdict:
        return Verdict(outcome, reasons, p_value, difference, improvement, equivalence)

    # Before the number of seeds is looked at: bit-equal parameters are a proof, even for a single seed.
    if identical:
        return answer("identical", "the trained parameters are bit-equal for every seed")
    if min(first.n, second.n) < 2:
        return answer("inconclusive", f"{first.n} against {second.n} seeds: at least 2 on each side are needed")
    if sequential is not None and not sequential.started:
        return answer("inconclusive", sequential.waiting)
    if math.isnan(p_value):
        return answer("inconclusive", "no test was made")
    if p_equivalence is None:
        p_equivalence = math.nan if equivalence is None else equivalence.p_value
    outcome = decide(
        x, y, p_value=p_value, p_equivalence=math.nan if equivalence is None else p_equivalence, alpha=alpha
    )
    basis = "" if sequential is None else f" {sequential.basis}"
    if outcome in ("better", "worse"):
        return answer(
            outcome,
            _test_clause(p_value, alpha, basis),
            _improvement_clause(improvement, difference),
            *_margin_clauses(difference, margin),
            *_collapse_clauses(first, second, bounds, alpha),
        )
    # After the third rule: a difference that is significant and smaller than the margin is named, with a warning.
    if equivalence is not None and outcome == "equivalent":
        return answer("equivalent", _equivalence_clause(equivalence.margin, p_equivalence, alpha))
    if smallest is None:
        smallest = smallest_p(first.n, second.n)
    reasons = [_test_clause(p_value, alpha, basis, smallest)]
    if p_value < alpha:
        reasons.append(_improvement_clause(improvement, difference))
    if equivalence is not None:
        reasons.append(_equivalence_clause(equivalence.margin, p_equivalence, alpha))
        reasons += _unseen_clauses(equivalence, alpha, min(first.n, second.n))
    # Holm's strictest level, as the rank that this p-value will have with more seeds is unknown.
    strictest = alpha / n_comparisons
    for_difference = seeds_needed(x, y, bounds=bounds, alpha=strictest, alpha_improvement=alpha)
    for_equivalence = math.nan
    spread = math.hypot(std_interval(x).estimate, std_interval(y).estimate) / math.sqrt(2)
    if margin is not None:
        for_equivalence = seeds_for_equivalence(difference.estimate, spread, margin, alpha=strictest)
        if bounds is not None:
            bounded = seeds_for_bounded_equivalence(x, y, margin, bounds, alpha=strictest)
            for_equivalence = max(for_equivalence, bounded)
    reasons += _seeds_clauses(for_difference, for_equivalence)
    if sequential is not None:
        reasons += sequential.remarks
    detectable = math.inf
    if smallest < alpha:
        detectable = detectable_difference(spread, first.n, second.n, alpha=strictest)
    inconclusive = answer("inconclusive", *reasons)
    return replace(
        inconclusive,
        seeds_for_difference=for_difference,
        seeds_for_equivalence=for_equivalence,
        detectable=detectable,
    )


def _winner(difference: Interval, improvement: Interval) -> Literal["better", "worse"] | None:
    """Return the outcome on which means and probability of improvement agree; None if they do not."""
    if difference.estimate > 0.0 and improvement.low > 0.5:
        return "better"
    if difference.estimate < 0.0 and improvement.high < 0.5:
        return "worse"
    return None


def _test_clause(p_value: float, alpha: float, basis: str = "", smallest: float = 0.0) -> str:
    clause = f"permutation test p = {p_value:.3g}{basis}, {'below' if p_value < alpha else 'not below'} {alpha:g}"
    if smallest >= alpha:  # otherwise readers would take the lack of seeds for a lack of difference
        clause += f" (with so few seeds it cannot fall below {smallest:.2g})"
    return clause


def _improvement_clause(improvement: Interval, difference: Interval) -> str:
    relation = "excludes" if improvement.excludes(0.5) else "includes"
    limits = f"{improvement.low:.2f} to {improvement.high:.2f}"
    clause = f"probability of improvement {improvement.estimate:.2f} ({limits}) {relation} 0.5"
    opposed = (improvement.estimate - 0.5) * difference.estimate < 0.0
    return clause + (", while the means point the other way" if opposed else "")


def _equivalence_clause(margin: float, p_value: float, alpha: float) -> str:
    relation = "below" if p_value < alpha else "not below"
    return f"equivalence within ±{margin:.4g} has p = {p_value:.3g}, {relation} {alpha:g}"


def _unseen_clauses(test: EquivalenceTest, alpha: float, n_seeds: int) -> tuple[str, ...]:
    """Return the reason why scores that agree are not called equivalent: too few seeds to exclude rare collapses."""
    if test.bounds is None or not test.p_unseen >= alpha or abs(test.difference) >= test.margin:
        return ()
    unseen = 1.0 - alpha ** (1.0 / n_seeds)
    return (f"{n_seeds} seeds cannot exclude a rare collapse, of up to {unseen:.0%} of all runs",)


def _margin_clauses(difference: Interval, margin: float | None) -> tuple[str, ...]:
    """Return a warning if a significant difference is smaller than the margin, and thus too small to matter."""
    if margin is None or abs(difference.estimate) >= margin:
        return ()
    return (f"the difference of {difference.estimate:.4g} is smaller than the margin of ±{margin:.4g}",)


def _collapse_clauses(first: Sample, second: Sample, bounds: Bounds | None, alpha: float) -> tuple[str, ...]:
    """Return a warning if collapses that few seeds cannot exclude would take the winner's lead away."""
    if bounds is None:
        return ()
    winner, other = (first, second) if first.values.mean() > second.values.mean() else (second, first)
    best, lead = float(winner.values.mean()), float(winner.values.mean() - other.values.mean())
    lowest = min(bounds[0], float(other.values.min()), float(winner.values.min()))
    share = lead / (best - lowest)  # a mixture of this share of runs at `lowest` has the mean of the other
    unseen = (1.0 - share) ** winner.n
    if unseen < alpha:
        return ()
    return (
        f"a collapse in {share:.0%} of the winner's runs would undo it, and {winner.n} seeds miss one in {unseen:.0%} "
        "of cases",
    )


def _seeds_clauses(for_difference: SeedRange, for_equivalence: float) -> tuple[str, ...]:
    """Return in words how many seeds 80% power needs; for equivalence only if some number of seeds can show it."""
    clauses = (f"naming a winner takes {for_difference.text} seeds per algorithm, as far as these can tell",)
    if math.isfinite(for_equivalence):
        return (*clauses, f"about {seeds_text(for_equivalence)} would show equivalence if it is that small")
    return clauses
