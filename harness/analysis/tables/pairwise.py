"""Tables of comparisons: which algorithm scores higher (pairwise), and which is steadier (stability)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.comparisons import Comparison, FloatArray
from harness.analysis.tables.metrics import compared_in
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import StatisticsConfig

__all__ = ["pairwise_table", "stability_table", "task_table"]

PAIRWISE_COLUMNS = (
    *("env", "first", "second", "n_first", "n_second", "n_failed_first", "n_failed_second"),
    *("difference", "difference_low", "difference_high", "p", "p_holm", "p_rank", "p_mann_whitney"),
    *("p_equivalence", "margin"),
    *("improvement", "improvement_low", "improvement_high", "hedges_g", "hedges_g_low", "hedges_g_high"),
    *("cliffs_delta", "cliffs_delta_low", "cliffs_delta_high"),
    *("n_common_seeds", "seed_correlation", "p_paired", "hedges_g_paired"),
    *("detectable", "seeds_low", "seeds_high", "seeds_equivalence", "verdict", "reason"),
)
STABILITY_COLUMNS = (
    *("env", "measure", "first", "second", "first_mean", "second_mean"),
    *("p", "p_holm", "hedges_g", "steadier", "reason"),
)

TASK_COLUMNS = (
    *("env", "measure", "first", "second", "n_first", "n_second", "first_mean", "second_mean"),
    *("difference", "difference_low", "difference_high", "p", "p_holm", "hedges_g", "verdict", "reason"),
)


def pairwise_table(comparisons: Sequence[Comparison], statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each comparison of scores: first minus second, and the verdict on the first.

    The column `measure` exists only if more than one metric is declared for this table.
    """
    rows = [_pairwise_row(comparison, statistics) for comparison in comparisons]
    measure = ("measure",) if len(compared_in("pairwise")) > 1 else ()
    return _table(rows, (PAIRWISE_COLUMNS[0], *measure, *PAIRWISE_COLUMNS[1:]))


def _pairwise_row(comparison: Comparison, statistics: StatisticsConfig) -> dict[str, Any]:
    pair, metric, verdict = comparison.pair, comparison.metric, comparison.verdict
    difference = stats.difference_interval(*pair.samples(metric), statistics.confidence)
    common = pair.common_samples(metric)
    improvement = stats.probability_of_improvement(*pair.judged_samples(metric), statistics.confidence)
    delta = stats.cliffs_delta(*pair.judged_samples(metric), statistics.confidence)
    return {
        "env": pair.env,
        "measure": metric.title,
        "first": pair.first,
        "second": pair.second,
        "n_first": comparison.test.n_x,
        "n_second": comparison.test.n_y,
        "n_failed_first": int((pair.first_runs["status"] == "failed").sum()),
        "n_failed_second": int((pair.second_runs["status"] == "failed").sum()),
        "difference": difference.estimate,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p": comparison.test.p_value,
        "p_holm": verdict.p_value,
        "p_rank": stats.brunner_munzel(*pair.samples(metric)),
        "p_mann_whitney": stats.mann_whitney(*pair.samples(metric)),
        "p_equivalence": math.nan if verdict.equivalence is None else verdict.equivalence.p_value,
        "margin": math.nan if verdict.equivalence is None else verdict.equivalence.margin,
        "improvement": improvement.estimate,
        "improvement_low": improvement.low,
        "improvement_high": improvement.high,
        "hedges_g": comparison.g.estimate,
        "hedges_g_low": comparison.g.low,
        "hedges_g_high": comparison.g.high,
        "cliffs_delta": delta.estimate,
        "cliffs_delta_low": delta.low,
        "cliffs_delta_high": delta.high,
        "n_common_seeds": int((~np.isnan(common[0]) & ~np.isnan(common[1])).sum()),
        "seed_correlation": stats.seed_correlation(*common),
        "p_paired": stats.paired_test(*common, np.random.default_rng(BOOTSTRAP_SEED)),
        "hedges_g_paired": stats.paired_g(*common),
        "detectable": verdict.detectable,
        "seeds_low": verdict.seeds_for_difference.low,
        "seeds_high": verdict.seeds_for_difference.high,
        "seeds_equivalence": verdict.seeds_for_equivalence,
        "verdict": verdict.outcome,
        "reason": verdict.reason,
    }


def stability_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return a row for each comparison of stability: both means over seeds, and the steadier algorithm.

    If that algorithm has the lower mean score, the cell says so: a policy that reached nothing is steady by default.
    """
    return _table([_stability_row(comparison) for comparison in comparisons], STABILITY_COLUMNS)


def _stability_row(comparison: Comparison) -> dict[str, Any]:
    pair, verdict = comparison.pair, comparison.verdict
    first, second = pair.samples(comparison.metric)
    score = {pair.first: _mean(pair.first_runs["score"].to_numpy(float))}
    score[pair.second] = _mean(pair.second_runs["score"].to_numpy(float))
    winners = {"better": (pair.first, pair.second), "worse": (pair.second, pair.first)}
    steadier: str = verdict.outcome
    if verdict.outcome in winners:
        winner, other = winners[verdict.outcome]
        steadier = f"{winner} (scores lower)" if score[winner] < score[other] else winner
    return {
        "env": pair.env,
        "measure": comparison.metric.title,
        "first": pair.first,
        "second": pair.second,
        "first_mean": _mean(first),
        "second_mean": _mean(second),
        "p": comparison.test.p_value,
        "p_holm": verdict.p_value,
        "hedges_g": comparison.g.estimate,
        "steadier": steadier,
        "reason": verdict.reason,
    }


def task_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return a row for each comparison of a metric of the task: both means over seeds, and the verdict on the first.

    verdict: "higher", "lower", "inconclusive" or "identical": only the user knows which is better.
    """
    return _table([_task_row(comparison) for comparison in comparisons], TASK_COLUMNS)


def _task_row(comparison: Comparison) -> dict[str, Any]:
    pair, verdict = comparison.pair, comparison.verdict
    first, second = pair.samples(comparison.metric)
    difference = verdict.difference
    return {
        "env": pair.env,
        "measure": comparison.metric.title,
        "first": pair.first,
        "second": pair.second,
        "n_first": comparison.test.n_x,
        "n_second": comparison.test.n_y,
        "first_mean": _mean(first),
        "second_mean": _mean(second),
        "difference": difference.estimate,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p": comparison.test.p_value,
        "p_holm": verdict.p_value,
        "hedges_g": comparison.g.estimate,
        "verdict": {"better": "higher", "worse": "lower"}.get(verdict.outcome, verdict.outcome),
        "reason": verdict.reason,
    }


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    # A single algorithm makes no pair, but its table must still have a header.
    return pd.DataFrame(rows, columns=list(columns))


def _mean(values: FloatArray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan
