from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from scipy import stats as scipy_stats

from harness.analysis.tables import summary_table
from harness.config import ReferenceScores, StatisticsConfig
from tests.harness.analysis.tables.conftest import MakeMetrics

STATISTICS = StatisticsConfig(n_bootstrap=200)
SCORES = [3.0, 9.0, 4.0, 8.0]


def only_row(metrics: pd.DataFrame, statistics: StatisticsConfig = STATISTICS) -> dict[str, float]:
    (row,) = summary_table(metrics, statistics).to_dict("records")
    return row


def test_the_mean_has_a_t_interval_over_seeds(make_metrics: MakeMetrics) -> None:
    row = only_row(make_metrics({("CartPole-v1", "ppo"): SCORES}), StatisticsConfig(n_bootstrap=10, confidence=0.9))

    interval = scipy_stats.ttest_1samp(SCORES, 0.0).confidence_interval(0.9)
    assert (row["mean"], row["mean_low"], row["mean_high"]) == pytest.approx((6.0, interval.low, interval.high))
    assert row["std"] == pytest.approx(2.943920288775949)  # sqrt(26 / 3)
    assert row["iqm"] == pytest.approx(6.0)  # of 4 and 8


@pytest.mark.parametrize(("rule", "mean"), [("random", 5.8), ("lowest", 5.4), ("excluded", 6.0)])
def test_failed_runs_count_as_the_configuration_says(make_metrics: MakeMetrics, rule: Any, mean: float) -> None:
    statistics = replace(STATISTICS, failed_runs=rule, references={"CartPole-v1": ReferenceScores(5.0, 500.0)})

    row = only_row(make_metrics({("CartPole-v1", "ppo"): [*SCORES, None]}), statistics)

    assert (row["n_runs"], row["n_seeds"], row["n_failed"], row["n_missing"]) == (5, 4, 1, 0)
    assert row["mean"] == pytest.approx(mean)


def test_the_rate_of_failures_has_wilsons_limits(make_metrics: MakeMetrics) -> None:
    row = only_row(make_metrics({("CartPole-v1", "ppo"): [*SCORES, None]}))

    limits = scipy_stats.binomtest(1, 5).proportion_ci(method="wilson")
    assert row["failure_rate"] == pytest.approx(0.2)
    assert (row["failure_rate_low"], row["failure_rate_high"]) == pytest.approx((limits.low, limits.high))


def test_a_score_of_nan_counts_as_a_run_but_not_as_a_seed(make_metrics: MakeMetrics) -> None:
    row = only_row(make_metrics({("CartPole-v1", "ppo"): [*SCORES, math.nan]}))

    assert (row["n_runs"], row["n_seeds"], row["n_failed"]) == (5, 4, 0)


def test_a_single_seed_has_a_mean_and_no_interval(make_metrics: MakeMetrics) -> None:
    row = only_row(make_metrics({("CartPole-v1", "ppo"): [5.0]}))

    assert row["mean"] == row["iqm"] == 5.0
    assert math.isnan(row["mean_low"])
    assert math.isnan(row["std"])


def test_rows_follow_the_order_of_environments_then_algorithms(make_metrics: MakeMetrics) -> None:
    cells = [("B-v0", "ppo"), ("B-v0", "a2c"), ("A-v0", "ppo"), ("A-v0", "a2c")]

    table = summary_table(make_metrics(dict.fromkeys(cells, SCORES)), STATISTICS)

    assert list(zip(table["env"], table["algo"], strict=True)) == cells


def test_the_same_results_give_the_same_table(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("A-v0", "ppo"): SCORES, ("B-v0", "ppo"): [1.0, 2.0, 2.5, 7.0]})

    pd.testing.assert_frame_equal(
        summary_table(metrics, STATISTICS), summary_table(metrics, STATISTICS), check_exact=True
    )
