"""The pairwise tables: whether one algorithm is better than another, and whether it is steadier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.metrics import METRICS, Metric
from harness.analysis.tables.summary import BOOTSTRAP_SEED
from harness.config import StatisticsConfig

__all__ = ["Comparison", "compare_scores", "compare_stability", "pairwise_table", "stability_table"]

PAIRWISE_COLUMNS = (
    *("env", "first", "second", "n_first", "n_second"),
    *("difference", "difference_low", "difference_high", "p", "p_holm", "p_equivalence", "margin"),
    *("improvement", "improvement_low", "improvement_high", "hedges_g", "hedges_g_low", "hedges_g_high"),
    *("verdict", "reason"),
)
STABILITY_COLUMNS = (
    *("env", "measure", "first", "second", "first_mean", "second_mean"),
    *("p", "p_holm", "hedges_g", "steadier", "reason"),
)

STABILITY = (
    *("relative_drawdown", "roughness", "kl_tail"),  # without a unit: comparable where the returns differ, too
    *("last_std", "rolling_variance", "dispersion", "worst_change", "max_drawdown"),  # in units of return
)


@dataclass(frozen=True)
class Pair:
    """Two algorithms on one environment."""

    env: str
    first: str
    second: str
    first_runs: pd.DataFrame
    second_runs: pd.DataFrame

    @property
    def identical(self) -> bool:
        """Whether both trained to bit-equal parameters under every seed, and share at least one."""
        first, second = (
            {row.seed: row.parameters_digest for row in runs.itertuples() if row.status == "finished"}
            for runs in (self.first_runs, self.second_runs)
        )
        return bool(first) and first == second and all(first.values())


@dataclass(frozen=True)
class Comparison:
    """One measure of one pair, and what it allows to say."""

    pair: Pair
    metric: Metric
    test: stats.PermutationTest
    g: stats.Interval
    verdict: stats.Verdict


def compare_scores(metrics: pd.DataFrame, statistics: StatisticsConfig) -> list[Comparison]:
    """The final scores of every pair of algorithms on every environment; Holm over all of them.

    With a baseline, the pairs are those of all others with it.

    metrics: of `run_metrics`. A pair that is bit-equal is not tested and does not count for Holm.
    """
    return _compare(list(_pairs(metrics, statistics.baseline)), [METRICS[0]], statistics, with_margin=True)


def compare_stability(metrics: pd.DataFrame, statistics: StatisticsConfig) -> list[Comparison]:
    """Every measure of stability of every pair on every environment; Holm over all of them."""
    by_name = {metric.name: metric for metric in METRICS}
    chosen = [by_name[name] for name in STABILITY]
    return _compare(list(_pairs(metrics, statistics.baseline)), chosen, statistics, with_margin=False)


def _pairs(metrics: pd.DataFrame, baseline: str | None) -> Iterator[Pair]:
    for env, of_env in metrics.groupby("env", observed=True, sort=True):
        algos = [algo for algo in of_env["algo"].cat.categories if (of_env["algo"] == algo).any()]
        pairs = list(itertools.combinations(algos, 2))
        if baseline is not None:
            pairs = [(algo, baseline) for algo in algos if baseline in algos and algo != baseline]
        for first, second in pairs:
            yield Pair(str(env), first, second, of_env[of_env["algo"] == first], of_env[of_env["algo"] == second])


def _compare(
    pairs: Sequence[Pair], metrics: Sequence[Metric], statistics: StatisticsConfig, *, with_margin: bool
) -> list[Comparison]:
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    jobs = [(pair, metric) for pair in pairs for metric in metrics]
    samples = [_samples(pair, metric) for pair, metric in jobs]
    tests = [stats.permutation_test(x, y, rng) for x, y in samples]
    raw = [math.nan if pair.identical else test.p_value for (pair, _), test in zip(jobs, tests, strict=True)]
    adjusted = stats.holm(raw)
    n_comparisons = max(int(np.isfinite(raw).sum()), 1)
    comparisons = []
    for (pair, metric), (x, y), test, p_value in zip(jobs, samples, tests, adjusted, strict=True):
        # A verdict is about higher numbers; of what should be low, the negative is judged.
        sign = 1.0 if metric.better == "higher" else -1.0
        verdict = stats.verdict(
            sign * x,
            sign * y,
            p_value=float(p_value),
            margin=_margin(pair.env, statistics) if with_margin else None,
            identical=pair.identical,
            n_comparisons=n_comparisons,
        )
        comparisons.append(Comparison(pair, metric, test, stats.hedges_g(x, y, statistics.confidence), verdict))
    return comparisons


def _samples(pair: Pair, metric: Metric) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return pair.first_runs[metric.name].to_numpy(float), pair.second_runs[metric.name].to_numpy(float)


def _margin(env: str, statistics: StatisticsConfig) -> float | None:
    """Half-width of the zone of equivalence in units of return, or None where no reference scores are declared."""
    reference = statistics.references.get(env)
    return None if reference is None else statistics.equivalence_margin * abs(reference.best - reference.random)


def pairwise_table(comparisons: Sequence[Comparison], statistics: StatisticsConfig) -> pd.DataFrame:
    """One row for each comparison of scores: first minus second, and the verdict on the first."""
    rows = []
    for comparison in comparisons:
        pair, verdict = comparison.pair, comparison.verdict
        difference = stats.difference_interval(*_samples(pair, comparison.metric), statistics.confidence)
        improvement = stats.probability_of_improvement(*_samples(pair, comparison.metric), statistics.confidence)
        rows.append(
            {
                "env": pair.env,
                "first": pair.first,
                "second": pair.second,
                "n_first": comparison.test.n_x,
                "n_second": comparison.test.n_y,
                "difference": difference.estimate,
                "difference_low": difference.low,
                "difference_high": difference.high,
                "p": comparison.test.p_value,
                "p_holm": verdict.p_value,
                "p_equivalence": math.nan if verdict.equivalence is None else verdict.equivalence.p_value,
                "margin": math.nan if verdict.equivalence is None else verdict.equivalence.margin,
                "improvement": improvement.estimate,
                "improvement_low": improvement.low,
                "improvement_high": improvement.high,
                "hedges_g": comparison.g.estimate,
                "hedges_g_low": comparison.g.low,
                "hedges_g_high": comparison.g.high,
                "verdict": verdict.outcome,
                "reason": verdict.reason,
            }
        )
    return _table(rows, PAIRWISE_COLUMNS)


def stability_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row for each comparison of a measure of stability: both means over seeds, and which one is steadier."""
    rows = []
    for comparison in comparisons:
        pair, verdict = comparison.pair, comparison.verdict
        x, y = _samples(pair, comparison.metric)
        rows.append(
            {
                "env": pair.env,
                "measure": comparison.metric.title,
                "first": pair.first,
                "second": pair.second,
                "first_mean": _mean(x),
                "second_mean": _mean(y),
                "p": comparison.test.p_value,
                "p_holm": verdict.p_value,
                "hedges_g": comparison.g.estimate,
                "steadier": _steadier(comparison),
                "reason": verdict.reason,
            }
        )
    return _table(rows, STABILITY_COLUMNS)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    # A single algorithm makes no pair, and its table must still have a header.
    return pd.DataFrame(rows, columns=list(columns))


def _steadier(comparison: Comparison) -> str:
    names = {"better": comparison.pair.first, "worse": comparison.pair.second}
    return names.get(comparison.verdict.outcome, comparison.verdict.outcome)


def _mean(values: np.ndarray[Any, Any]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan
