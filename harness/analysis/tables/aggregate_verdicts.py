"""Verdicts on pairs of algorithms over several tasks, whose tests are adjusted together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis import stats
from harness.analysis.tables.formats import number

__all__ = ["PairOverTasks", "VerdictOverTasks", "judge"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairOverTasks:
    """Two algorithms on the tasks that both were run on, with their tests before any adjustment."""

    first: str
    second: str
    tasks: tuple[str, ...]
    x: list[FloatArray]
    """Normalised scores of the first algorithm on each task, [n] each."""
    y: list[FloatArray]
    test: stats.PermutationTest
    improvement: stats.Interval
    identical: bool
    """True if both trained to bit-equal parameters on every task."""
    common_seeds: bool
    """True if both were run with the same seeds on every task."""
    withheld: tuple[str, ...]
    """Reasons why the two cannot be compared fairly."""
    failed: Mapping[str, int]
    """Algorithm -> number of its failed runs, for those that have any."""
    failed_rule: str

    @property
    def seed_correlation(self) -> float:
        """Correlation of the scores of both under a common seed, mean over tasks on which both vary; NaN without."""
        if not self.common_seeds:
            return math.nan
        pairs = [(x, y) for x, y in zip(self.x, self.y, strict=True) if np.ptp(x) > 0 and np.ptp(y) > 0 and x.size > 2]
        return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in pairs])) if pairs else math.nan


@dataclass(frozen=True)
class VerdictOverTasks:
    """Conclusion on the first algorithm of a pair."""

    outcome: stats.Outcome
    p_holm: float
    reason: str


def judge(pairs: Sequence[PairOverTasks], alpha: float) -> list[VerdictOverTasks]:
    """Return the verdict on each pair; their p-values are one family, adjusted by Holm's method.

    better, worse: p < alpha of the stratified permutation test of the mean normalised scores, and the interval of the
    probability of improvement over tasks excludes 1/2 on the same side. Equivalence is not judged over tasks. A pair
    that is bit-equal, repeats another one with a bit-equal copy, or is not judged at all does not count in the family.
    """
    repeats = _repeats(pairs)
    counted = [
        pair.test.p_value if not pair.identical and not pair.withheld and repeats[place] is None else math.nan
        for place, pair in enumerate(pairs)
    ]
    adjusted = stats.holm(counted)
    for place, original in enumerate(repeats):
        if original is not None:
            adjusted[place] = adjusted[original]
    n_tests = sum(not math.isnan(p_value) for p_value in counted)
    return [_verdict(pair, float(p_holm), alpha, n_tests) for pair, p_holm in zip(pairs, adjusted, strict=True)]


def _repeats(pairs: Sequence[PairOverTasks]) -> list[int | None]:
    """Return for each pair the place of an earlier one whose runs are bit-equal on both sides, or None."""
    same: dict[str, str] = {}
    for pair in pairs:
        if pair.identical:
            same.setdefault(pair.second, same.get(pair.first, pair.first))
    places: dict[tuple[frozenset[str], tuple[str, ...]], int] = {}
    found: list[int | None] = []
    for place, pair in enumerate(pairs):
        names = frozenset(same.get(algo, algo) for algo in (pair.first, pair.second))
        earlier = places.setdefault((names, pair.tasks), place)
        found.append(earlier if earlier < place and not pair.identical else None)
    return found


def _verdict(pair: PairOverTasks, p_holm: float, alpha: float, n_tests: int) -> VerdictOverTasks:
    if pair.identical:
        return VerdictOverTasks("identical", p_holm, "the trained parameters are bit-equal on every task")
    if pair.withheld:
        return VerdictOverTasks("inconclusive", math.nan, f"no verdict, as {'; '.join(pair.withheld)}")
    if math.isnan(p_holm):
        return VerdictOverTasks("inconclusive", p_holm, "a task has fewer than two seeds on a side")
    means = [float(np.mean([task.mean() for task in side])) for side in (pair.x, pair.y)]
    improvement, lead = pair.improvement, pair.test.difference
    reasons = [
        f"mean normalised score over {len(pair.tasks)} tasks {number(means[0])} against {number(means[1])}, stratified "
        f"permutation test p = {p_holm:.3g}" + (f" (Holm, {n_tests} tests)" if n_tests > 1 else ""),
        f"probability of improvement {improvement.estimate:.2f} ({improvement.low:.2f} to {improvement.high:.2f})",
    ]
    agrees = improvement.excludes(0.5) and (improvement.estimate > 0.5) == (lead > 0.0)
    outcome: stats.Outcome = "inconclusive"
    if p_holm < alpha and agrees:
        outcome = "better" if lead > 0.0 else "worse"
        reasons += _decisive(pair)
    elif p_holm < alpha:
        reasons.append("the typical run does not show the difference that the means show")
    if pair.failed:
        told = " and ".join(f"{count} of {algo}" for algo, count in pair.failed.items())
        reasons.append(f"failed runs ({told}) count by the rule “{pair.failed_rule}”")
    return VerdictOverTasks(outcome, p_holm, "; ".join(reasons))


def _decisive(pair: PairOverTasks) -> list[str]:
    """Return a warning for each task without which the difference of the means would have the other sign, or be 0."""
    each = np.array([x.mean() - y.mean() for x, y in zip(pair.x, pair.y, strict=True)])
    without = each.sum() - each
    return [
        f"without {task} the means would not show it"
        for task, rest in zip(pair.tasks, without, strict=True)
        if rest * each.sum() <= 0.0
    ]
