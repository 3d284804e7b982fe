"""Aggregates over environments: normalised scores of each algorithm, of each pair, and a verdict over all tasks.

A task is an environment with reference scores. Algorithms are compared on the tasks that both were run on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.aggregate_references import Reference, reference_of
from harness.analysis.tables.aggregate_verdicts import PairOverTasks, judge
from harness.analysis.tables.comparisons import Comparison, reason_withheld
from harness.analysis.tables.estimand import score_failed_runs
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import StatisticsConfig

__all__ = ["aggregate_tables"]

FloatArray = npt.NDArray[np.float64]

THRESHOLDS = 201
"""Number of normalised scores at which a performance profile is read."""

AGGREGATE_COLUMNS = ("algo", "measure", "estimate", "low", "high", "n_tasks", "n_runs", "method", "tasks")
PAIR_COLUMNS = (
    *("first", "second", "n_tasks", "n_first", "n_second", "difference", "p", "p_holm"),
    *("iqm_difference", "iqm_difference_low", "iqm_difference_high"),
    *("iqm_difference_common", "iqm_difference_common_low", "iqm_difference_common_high", "seed_correlation"),
    *("improvement", "improvement_low", "improvement_high", "verdict", "reason", "tasks"),
)
PROFILE_COLUMNS = ("algo", "threshold", "share", "low", "high", "tasks")
REFERENCE_COLUMNS = ("env", "random", "best", "used", "source")


def aggregate_tables(
    metrics: pd.DataFrame, comparisons: Sequence[Comparison], statistics: StatisticsConfig
) -> dict[str, pd.DataFrame]:
    """Return the tables over environments by name; none if fewer than two environments have reference scores.

    aggregates       a row for each algorithm and aggregate, with its interval
    aggregate_pairs  a row for each pair of algorithms: differences, tests, and the verdict on the first
    profiles         a row for each algorithm and threshold: share of runs above it, with a band
    references       a row for each environment: its reference scores and their source, or that it has none

    Failed runs take part, scored as `statistics.failed_runs` says. metrics: from `run_metrics`; comparisons: from
    `compare_scores`, which know what is identical and what cannot be compared.
    """
    envs = [str(env) for env in metrics["env"].cat.categories if (metrics["env"] == env).any()]
    found = {env: reference_of(env, statistics) for env in envs}
    references = {env: reference for env, reference in found.items() if reference is not None}
    if len(references) < 2:
        return {}
    suite = Suite(score_failed_runs(metrics, statistics), references, statistics)
    return {
        "aggregates": pd.DataFrame(list(_aggregate_rows(suite)), columns=list(AGGREGATE_COLUMNS)),
        "aggregate_pairs": pd.DataFrame(list(_pair_rows(suite, comparisons)), columns=list(PAIR_COLUMNS)),
        "profiles": pd.DataFrame(list(_profile_rows(suite)), columns=list(PROFILE_COLUMNS)),
        "references": pd.DataFrame(list(_reference_rows(found)), columns=list(REFERENCE_COLUMNS)),
    }


@dataclass(frozen=True, eq=False)
class Suite:
    """Scores of all algorithms on all tasks."""

    runs: pd.DataFrame
    """Table of runs, failed ones scored."""
    references: Mapping[str, Reference]
    statistics: StatisticsConfig

    @cached_property
    def scores(self) -> dict[str, dict[str, pd.Series[float]]]:
        """Algorithm -> task -> normalised scores by seed, in the order of the seeds, without missing runs.

        An algorithm with fewer than two tasks is left out.
        """
        found: dict[str, dict[str, pd.Series[float]]] = {}
        known = self.runs[self.runs["env"].astype(str).isin(list(self.references)) & self.runs["score"].notna()]
        for (algo, env), own in known.sort_values("seed", kind="stable").groupby(["algo", "env"], observed=True):
            reference = self.references[str(env)]
            values = stats.normalised(own["score"].to_numpy(float), reference.random, reference.best)
            found.setdefault(str(algo), {})[str(env)] = pd.Series(values, index=own["seed"].to_numpy())
        return {algo: tasks for algo, tasks in found.items() if len(tasks) > 1}

    def tasks(self, algo: str, names: Sequence[str]) -> list[FloatArray]:
        """Return the scores of an algorithm on the named tasks."""
        tasks: list[FloatArray] = []
        for name in names:
            scores: FloatArray = np.asarray(self.scores[algo][name], dtype=np.float64)
            tasks.append(scores)
        return tasks

    def resampled(self, algo: str, names: tuple[str, ...], *, common: bool) -> FloatArray:
        """Return the resampled aggregates of an algorithm on the named tasks, [4, B].

        common: True draws the same seeds for every algorithm, False draws them for each algorithm on its own.
        """
        key = (algo, names, common)
        if key not in self._resampled:
            place = 0 if common else 1 + sorted(self.scores).index(algo)
            rng = np.random.default_rng([BOOTSTRAP_SEED, place])
            resampled = stats.resampled_aggregates(self.tasks(algo, names), rng, self.statistics.n_bootstrap)
            self._resampled[key] = resampled
        return self._resampled[key]

    @cached_property
    def _resampled(self) -> dict[tuple[str, tuple[str, ...], bool], FloatArray]:
        return {}


def _aggregate_rows(suite: Suite) -> Iterator[dict[str, Any]]:
    for algo, by_task in suite.scores.items():
        scores = suite.tasks(algo, list(by_task))
        # A generator of its own for each algorithm: bit-equal algorithms must get equal intervals.
        rng = np.random.default_rng(BOOTSTRAP_SEED)
        statistics = suite.statistics
        intervals = stats.aggregate_intervals(scores, rng, statistics.confidence, statistics.n_bootstrap)
        for measure, one in intervals.items():
            yield {
                "algo": algo,
                "measure": measure,
                "estimate": one.estimate,
                "low": one.low,
                "high": one.high,
                "n_tasks": len(scores),
                "n_runs": one.n,
                "method": one.method,
                "tasks": _joined(by_task),
            }


def _profile_rows(suite: Suite) -> Iterator[dict[str, Any]]:
    everything = [one.to_numpy() for by_task in suite.scores.values() for one in by_task.values()]
    if not everything:
        return
    values = np.concatenate(everything)
    # A few runs far beyond the reference would press all others into a corner.
    low, high = min(0.0, float(np.quantile(values, 0.02))), max(1.0, float(np.quantile(values, 0.98)))
    grid = np.linspace(low - 0.02 * (high - low), high + 0.02 * (high - low), THRESHOLDS)
    for algo, by_task in suite.scores.items():
        profile = stats.performance_profile(suite.tasks(algo, list(by_task)), grid, suite.statistics.confidence)
        for row in zip(profile.thresholds, profile.share, profile.low, profile.high, strict=True):
            threshold, share, low, high = map(float, row)
            yield {
                "algo": algo,
                "threshold": threshold,
                "share": share,
                "low": low,
                "high": high,
                "tasks": _joined(by_task),
            }


def _reference_rows(found: Mapping[str, Reference | None]) -> Iterator[dict[str, Any]]:
    for env, reference in found.items():
        yield {
            "env": env,
            "random": math.nan if reference is None else reference.random,
            "best": math.nan if reference is None else reference.best,
            "used": "no" if reference is None else "yes",
            "source": "none: the environment is left out of the aggregates" if reference is None else reference.source,
        }


def _pair_rows(suite: Suite, comparisons: Sequence[Comparison]) -> Iterator[dict[str, Any]]:
    by_pair: dict[tuple[str, str], dict[str, Comparison]] = {}
    for one in comparisons:
        if one.metric.name == "score" and one.pair.env in suite.references:
            by_pair.setdefault((one.pair.first, one.pair.second), {})[one.pair.env] = one
    pairs = [
        _pair(suite, first, second, of_tasks)
        for (first, second), of_tasks in by_pair.items()
        if len(_common(suite, first, second)) > 1
    ]
    for pair, verdict in zip(pairs, judge(pairs, 1.0 - suite.statistics.confidence), strict=True):
        independent, common = (_iqm_difference(suite, pair, common=common) for common in (False, True))
        yield {
            "first": pair.first,
            "second": pair.second,
            "n_tasks": len(pair.tasks),
            "n_first": sum(map(len, pair.x)),
            "n_second": sum(map(len, pair.y)),
            "difference": pair.test.difference,
            "p": pair.test.p_value,
            "p_holm": verdict.p_holm,
            **_columns("iqm_difference", independent),
            **_columns("iqm_difference_common", common),
            "seed_correlation": pair.seed_correlation,
            **_columns("improvement", pair.improvement),
            "verdict": verdict.outcome,
            "reason": verdict.reason,
            "tasks": _joined(pair.tasks),
        }


def _common(suite: Suite, first: str, second: str) -> tuple[str, ...]:
    if first not in suite.scores or second not in suite.scores:
        return ()
    return tuple(env for env in suite.scores[first] if env in suite.scores[second])


def _pair(suite: Suite, first: str, second: str, of_tasks: Mapping[str, Comparison]) -> PairOverTasks:
    tasks = _common(suite, first, second)
    failed = {
        algo: sum(
            int((runs["status"] == "failed").sum())
            for runs in (getattr(of_tasks[env].pair, side) for env in tasks if env in of_tasks)
        )
        for algo, side in ((first, "first_runs"), (second, "second_runs"))
    }
    compared = [of_tasks[env] for env in tasks]
    withheld = [
        f"on {one.pair.env} {reason}"
        for one in compared
        if (reason := reason_withheld(one.pair, one.metric)) is not None
    ]
    withheld += [f"on {one.pair.env} a log is incomplete" for one in compared if one.pair.n_doubtful]
    x, y = suite.tasks(first, tasks), suite.tasks(second, tasks)
    shared = all(suite.scores[first][env].index.equals(suite.scores[second][env].index) for env in tasks)
    return PairOverTasks(
        first,
        second,
        tasks,
        x,
        y,
        test=stats.stratified_permutation_test(x, y, BOOTSTRAP_SEED),
        improvement=stats.improvement_over_tasks(x, y, suite.statistics.confidence),
        identical=all(one.pair.identical for one in compared),
        common_seeds=shared,
        withheld=tuple(withheld),
        failed={algo: count for algo, count in failed.items() if count},
        failed_rule=suite.statistics.failed_runs,
    )


def _iqm_difference(suite: Suite, pair: PairOverTasks, *, common: bool) -> stats.Interval:
    nothing = math.nan
    statistics = suite.statistics
    if pair.identical or (common and not pair.common_seeds):
        return stats.Interval(nothing, nothing, nothing, statistics.confidence, 0, 0, "")
    first, second = (suite.resampled(algo, pair.tasks, common=common)[0] for algo in (pair.first, pair.second))
    estimate = stats.aggregates(pair.x)["IQM"] - stats.aggregates(pair.y)["IQM"]
    sizes = [[len(task) for task in side] for side in ((pair.x,) if common else (pair.x, pair.y))]
    low, high = stats.expanded_limits(first - second, sizes, statistics.confidence)
    return stats.Interval(estimate, low, high, statistics.confidence, sum(map(sum, sizes)), 0, "stratified bootstrap")


def _columns(name: str, interval: stats.Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _joined(tasks: Iterator[str] | Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(itertools.chain(tasks))
