"""Comparisons of two algorithms: one test for each pair, environment and metric, adjusted together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis import stats
from harness.analysis.frames.audit import DOUBTFUL
from harness.analysis.tables.estimand import failed_score, failed_score_in_words, score_bounds, score_failed_runs
from harness.analysis.tables.family import Case, Family, case
from harness.analysis.tables.metrics import RETURN, SEED_DEVIATION, Metric, compared_in
from harness.config import StatisticsConfig

__all__ = ["Comparison", "Pair", "compare_scores", "compare_stability", "compare_task", "pairs_of", "reason_withheld"]

_TASK = ("success_rate", "score_q05", "score_cvar10")

_OF_SCORES = ("score", SEED_DEVIATION)
"""Metrics that are computed from the scores of runs."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two algorithms in one environment, with their rows of the table of runs in the order of the seeds."""

    env: str
    first: str
    second: str
    first_runs: pd.DataFrame
    second_runs: pd.DataFrame

    # Cached: a pair is asked once for each metric, and there may be a thousand pairs.
    @cached_property
    def identical(self) -> bool:
        """True if both trained to bit-equal parameters under every finished seed, of which there is at least one."""
        first, second = map(_digests, (self.first_runs, self.second_runs))
        return bool(first) and first == second and all(first.values())

    @cached_property
    def budgets(self) -> tuple[float, float]:
        """Median environment steps of the completed trainings on both sides, NaN without any."""
        first, second = (_completed(runs)["steps"] for runs in (self.first_runs, self.second_runs))
        return float(first.median()), float(second.median())

    @cached_property
    def steps(self) -> tuple[float, float]:
        """Fewest and most environment steps of a completed training on either side, (NaN, NaN) if unknown."""
        steps = self._completed["steps"].astype(float)
        known = steps[steps > 0]
        return float(known.min()), float(known.max())

    @cached_property
    def score_sources(self) -> list[str]:
        """Sources of the scores of the completed runs, sorted."""
        return sorted(set(self._completed["score_source"]) - {""})

    @cached_property
    def has_foreign_runs(self) -> bool:
        """True if another program than the harness has written a log."""
        return bool((self._completed["status"] == "foreign").any())

    @property
    def n_doubtful(self) -> int:
        """Number of runs with an incomplete or damaged log, whose true score nobody knows."""
        return sum(int(runs["error"].str.startswith(DOUBTFUL).sum()) for runs in (self.first_runs, self.second_runs))

    @cached_property
    def _completed(self) -> pd.DataFrame:
        return _completed(pd.concat([self.first_runs, self.second_runs])[["status", "steps", "score_source"]])

    def samples(self, metric: Metric) -> tuple[FloatArray, FloatArray]:
        """Return the metric of each run of the first and of the second algorithm, [n] and [m]; NaN if it has none."""
        return self.first_runs[metric.name].to_numpy(float), self.second_runs[metric.name].to_numpy(float)

    def common_samples(self, metric: Metric) -> tuple[FloatArray, FloatArray]:
        """Return the metric of both algorithms under the seeds that both have, [k] each."""
        first, second = (runs.set_index("seed")[metric.name] for runs in (self.first_runs, self.second_runs))
        seeds = first.index.intersection(second.index)
        return first[seeds].to_numpy(float), second[seeds].to_numpy(float)

    def judged_samples(self, metric: Metric) -> tuple[FloatArray, FloatArray]:
        """Return the samples such that higher is better: negated where lower is."""
        sign = 1.0 if metric.better == "higher" else -1.0
        first, second = self.samples(metric)
        return sign * first, sign * second


@dataclass(frozen=True)
class Comparison:
    """One metric of one pair: the test, the effect size, and the verdict on the first algorithm."""

    pair: Pair
    metric: Metric
    test: stats.PermutationTest
    g: stats.Interval
    verdict: stats.Verdict


def compare_scores(metrics: pd.DataFrame, statistics: StatisticsConfig) -> list[Comparison]:
    """Compare the final scores of every pair of algorithms in every environment; adjust the p-values by Holm's method.

    The baseline, if one is declared, is compared with every other algorithm, and these are all pairs; declared pairs
    are all pairs, too.
    All runs that were started take part: a failed one counts as `statistics.failed_runs` says. The verdict on a pair
    with failed runs is made again with other scores for them, and its reason says what they would change.
    A bit-equal pair is not tested and does not count in Holm's adjustment; nor does a pair that repeats another with a
    bit-equal copy of one side.

    metrics: from `run_metrics`.
    """
    envs = list(metrics["env"].cat.categories)
    # A margin is declared in units of return: it says nothing about a metric of another unit.
    margins = {env: _margin(env, statistics) for env in envs}
    bounds = {env: score_bounds(env, metrics, statistics) for env in envs}
    counted_as = {env: failed_score(env, metrics, statistics) for env in envs}
    scored = score_failed_runs(metrics, statistics)
    comparisons, family = _compare(scored, compared_in("pairwise"), statistics, margins, bounds)
    return [
        replace(one, verdict=_with_failures(one, family, index, counted_as[one.pair.env], statistics))
        for index, one in enumerate(comparisons)
    ]


def compare_stability(metrics: pd.DataFrame, statistics: StatisticsConfig) -> list[Comparison]:
    """Compare every metric of stability as `compare_scores` does; Holm's adjustment counts all of them together.

    Failed runs are left out, as the steadiness of a run that did not end cannot be measured, except where scores are
    compared with each other (the spread over seeds).
    """
    return _compare(metrics, compared_in("stability"), statistics, {}, {})[0]


def compare_task(
    metrics: pd.DataFrame, statistics: StatisticsConfig, further: Sequence[Metric] = ()
) -> list[Comparison]:
    """Compare the metrics of the task as `compare_scores` does: successes, the worst episodes, logged information.

    Holm's adjustment counts all of them together. A metric that no run of a pair has is left out. A failed run has no
    success, and as its worst episodes the score that `statistics.failed_runs` gives it.

    metrics: from `run_metrics`. further: metrics of its other columns.
    """
    scored = score_failed_runs(metrics, statistics)
    failed = (metrics["status"] == "failed") & (statistics.failed_runs != "excluded")
    known = {name: metrics.groupby("env", observed=True)[name].transform("count") > 0 for name in _TASK}
    # Nothing is said of an environment without successes, or with too few episodes for a quantile.
    scored = scored.assign(
        success_rate=metrics["success_rate"].mask(failed & known["success_rate"], 0.0),
        score_q05=metrics["score_q05"].mask(failed & known["score_q05"], scored["score"]),
        score_cvar10=metrics["score_cvar10"].mask(failed & known["score_cvar10"], scored["score"]),
    )
    compared = [metric for metric in (*compared_in("task"), *further) if scored[metric.name].notna().any()]
    found = _compare(scored, compared, statistics, {}, {})[0] if compared else []
    return [one for one in found if one.test.n_x or one.test.n_y]


def _completed(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["status"].isin(["finished", "foreign"])]


def _digests(runs: pd.DataFrame) -> dict[int, str]:
    """Return the digest of the trained parameters of each finished seed."""
    finished = runs["status"] == "finished"
    return dict(zip(runs["seed"][finished], runs["parameters_digest"][finished], strict=True))


def pairs_of(metrics: pd.DataFrame, statistics: StatisticsConfig) -> Iterator[Pair]:
    """Yield every pair of algorithms in every environment, or those that the statistics declare."""
    baseline = statistics.baseline
    for env, runs in metrics.sort_values("seed", kind="stable").groupby("env", observed=True, sort=True):
        algos = [algo for algo in runs["algo"].cat.categories if (runs["algo"] == algo).any()]
        pairs = list(itertools.combinations(algos, 2))
        if baseline is not None:
            pairs = [(algo, baseline) for algo in algos if baseline in algos and algo != baseline]
        elif statistics.pairs:
            pairs = [pair for pair in statistics.pairs if set(pair) <= set(algos)]
        for first, second in pairs:
            yield Pair(str(env), first, second, runs[runs["algo"] == first], runs[runs["algo"] == second])


def _compare(
    metrics: pd.DataFrame,
    compared: list[Metric],
    statistics: StatisticsConfig,
    margins: Mapping[str, float | None],
    bounds: Mapping[str, stats.Bounds],
) -> tuple[list[Comparison], Family]:
    """Return the comparisons of all pairs and metrics, and the family of their tests in the same order."""
    jobs = list(itertools.product(list(pairs_of(metrics, statistics)), compared))
    repeated = _repeated([pair for pair, _ in jobs], len(compared))
    design = stats.SequentialDesign(statistics.looks, statistics.spending) if statistics.looks else None
    cases = [
        replace(_case(pair, metric, margins, bounds, design), repeats=repeats)
        for (pair, metric), repeats in zip(jobs, repeated, strict=True)
    ]
    family = Family(tuple(cases), 1.0 - statistics.confidence, design)
    comparisons = []
    for (pair, metric), one, verdict in zip(jobs, family.cases, map(_withheld, jobs, family.verdicts()), strict=True):
        g = stats.hedges_g(*pair.samples(metric), statistics.confidence)
        comparisons.append(Comparison(pair, metric, one.test, g, verdict))
    return comparisons, family


def _withheld(job: tuple[Pair, Metric], verdict: stats.Verdict) -> stats.Verdict:
    """Return the verdict, or an inconclusive one if runs were trained for unequal times or scored in unlike ways."""
    if verdict.outcome in ("identical", "inconclusive"):
        return verdict
    reason = reason_withheld(*job)
    if reason is None:
        return verdict
    return replace(verdict, outcome="inconclusive", reasons=(f"no verdict, as {reason}", *verdict.reasons))


def reason_withheld(pair: Pair, metric: Metric) -> str | None:
    """Return the reason why two algorithms cannot be compared fairly on a metric; None if they can."""
    first, second = pair.budgets
    # Rollouts are completed, so that equal budgets may end with somewhat different steps.
    if min(first, second) < 0.8 * max(first, second):
        return f"they were trained for unequal numbers of steps ({first:,.0f} against {second:,.0f})"
    if pair.has_foreign_runs and pair.steps[0] < 0.8 * pair.steps[1]:
        return "runs were trained for unequal numbers of steps ({:,.0f} to {:,.0f})".format(*pair.steps)
    if pair.has_foreign_runs and metric.name in _OF_SCORES and len(pair.score_sources) > 1:
        return f"scores come from unlike sources ({' and '.join(pair.score_sources)})"
    return None


def _repeated(pairs: Sequence[Pair], n_metrics: int) -> list[int | None]:
    """Return for each pair the place of an earlier one with bit-equal runs on both sides and the same metric, or None.

    An implementation and its bit-equal copy are one algorithm: counting their comparisons with a third one twice would
    make Holm's adjustment stricter for nothing.
    """
    same: dict[tuple[str, str], str] = {}
    for pair in pairs:
        if pair.identical:
            same.setdefault((pair.env, pair.second), same.get((pair.env, pair.first), pair.first))
    places: dict[tuple[str, frozenset[str], int], int] = {}
    repeated: list[int | None] = []
    for place, pair in enumerate(pairs):
        names = frozenset(same.get((pair.env, algo), algo) for algo in (pair.first, pair.second))
        first = places.setdefault((pair.env, names, place % n_metrics), place)
        repeated.append(first if first < place and not pair.identical else None)
    return repeated


def _case(
    pair: Pair,
    metric: Metric,
    margins: Mapping[str, float | None],
    bounds: Mapping[str, stats.Bounds],
    design: stats.SequentialDesign | None,
) -> Case:
    x, y = pair.judged_samples(metric)
    margin = margins.get(pair.env) if metric.unit == RETURN else None
    limits = bounds.get(pair.env)
    return case(x, y, margin=margin, bounds=limits, identical=pair.identical, design=design)


def _with_failures(
    comparison: Comparison, family: Family, index: int, counted_as: float, statistics: StatisticsConfig
) -> stats.Verdict:
    """Return the verdict with clauses about the failed runs of the pair, and about the outcome for other scores."""
    pair, verdict = comparison.pair, comparison.verdict
    failed = [(runs["status"] == "failed").to_numpy() for runs in (pair.first_runs, pair.second_runs)]
    if not any(side.any() for side in failed) or verdict.outcome == "identical":
        return verdict
    told = " and ".join(
        f"{side.sum()} of {side.size} runs of {algo}"
        for algo, side in zip((pair.first, pair.second), failed, strict=True)
        if side.any()
    )
    clauses = [f"{told} failed and {failed_score_in_words(pair.env, counted_as, statistics)}"]
    one = family.cases[index]
    low, high = one.bounds or (np.nan, np.nan)
    others = {
        family.outcome_with(index, np.where(failed[0], x, one.x), np.where(failed[1], y, one.y))
        for x, y in ((low, high), (high, low), (np.nan, np.nan))
    } - {verdict.outcome}
    if others:
        clauses.append(f"other scores for them would make it {' or '.join(sorted(others))}")
    else:
        clauses.append("the outcome is the same for any other scores of theirs")
    if others and pair.n_doubtful and verdict.outcome != "inconclusive":
        n = pair.n_doubtful
        reason = (
            f"no verdict, as {n} {'log is' if n == 1 else 'logs are'} incomplete, and what was not logged may decide"
        )
        return replace(verdict, outcome="inconclusive", reasons=(reason, *verdict.reasons, *clauses))
    return replace(verdict, reasons=(*verdict.reasons, *clauses))


def _margin(env: str, statistics: StatisticsConfig) -> float | None:
    """Return the half-width of the zone of equivalence in units of return; None without declared reference scores."""
    reference = statistics.references.get(env)
    return None if reference is None else statistics.equivalence_margin * abs(reference.best - reference.random)
