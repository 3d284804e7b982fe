from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from harness.analysis.tables import compare_scores, compare_stability, pairwise_table, stability_table
from harness.analysis.tables.metrics import compared_in
from harness.config import ReferenceScores, StatisticsConfig
from tests.harness.analysis.tables.conftest import MakeMetrics

STATISTICS = StatisticsConfig(references={"A-v0": ReferenceScores(0.0, 500.0)})
LOW, HIGH = [10.0, 12.0, 11.0, 14.0, 13.0], [30.0, 35.0, 31.0, 39.0, 36.0]
BETWEEN = [20.0, 14.5, 12.5, 22.0, 10.5]


def pairs(metrics: pd.DataFrame) -> pd.DataFrame:
    return pairwise_table(compare_scores(metrics, STATISTICS), STATISTICS)


def test_numbers_of_a_pair_are_those_of_scipy(make_metrics: MakeMetrics) -> None:
    (row,) = pairs(make_metrics({("A-v0", "ppo"): BETWEEN, ("A-v0", "a2c"): LOW})).to_dict("records")

    welch = scipy_stats.ttest_ind(BETWEEN, LOW, equal_var=False)
    interval = welch.confidence_interval()
    permutation = scipy_stats.permutation_test(
        (BETWEEN, LOW), lambda x, y: scipy_stats.ttest_ind(x, y, equal_var=False).statistic, n_resamples=10_000
    )
    shares = [(x > y) + 0.5 * (x == y) for x in BETWEEN for y in LOW]
    assert row["difference"] == pytest.approx(sum(BETWEEN) / 5 - sum(LOW) / 5)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((interval.low, interval.high))
    assert row["p"] == pytest.approx(permutation.pvalue)
    assert row["improvement"] == pytest.approx(sum(shares) / 25)
    assert (row["n_first"], row["n_second"], row["margin"]) == (5, 5, 50.0)


def test_with_a_baseline_all_others_are_compared_with_it(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics(
        {("B-v0", "ppo"): LOW, ("B-v0", "a2c"): BETWEEN, ("B-v0", "dqn"): HIGH, ("C-v0", "dqn"): LOW}
    )
    statistics = StatisticsConfig(baseline="a2c")
    scores, stability = (compare(metrics, statistics) for compare in (compare_scores, compare_stability))
    expected = {("B-v0", "ppo", "a2c"), ("B-v0", "dqn", "a2c")}  # in C-v0 there is no run of the baseline
    for found in (scores, stability):
        assert {(one.pair.env, one.pair.first, one.pair.second) for one in found} == expected


def test_only_declared_pairs_are_compared_and_adjusted(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics(
        {("B-v0", "ppo"): LOW, ("B-v0", "a2c"): BETWEEN, ("B-v0", "dqn"): HIGH, ("C-v0", "dqn"): LOW}
    )
    statistics = StatisticsConfig(pairs=(("dqn", "ppo"), ("a2c", "ppo")))
    for compare in (compare_scores, compare_stability):
        found = [(one.pair.env, one.pair.first, one.pair.second) for one in compare(metrics, statistics)]
        assert list(dict.fromkeys(found)) == [("B-v0", "dqn", "ppo"), ("B-v0", "a2c", "ppo")]
    one = compare_scores(metrics, replace(statistics, pairs=(("dqn", "ppo"),)))[0]
    assert one.verdict.p_value == one.test.p_value


def test_the_verdict_is_about_the_first(make_metrics: MakeMetrics) -> None:
    table = pairs(make_metrics({("B-v0", "ppo"): HIGH, ("B-v0", "a2c"): LOW, ("B-v0", "dqn"): HIGH}))

    assert list(zip(table["first"], table["verdict"], table["second"], strict=True)) == [
        ("ppo", "better", "a2c"),
        ("ppo", "inconclusive", "dqn"),
        ("a2c", "worse", "dqn"),
    ]


def test_holm_counts_every_pair_that_was_tested(make_metrics: MakeMetrics) -> None:
    table = pairs(make_metrics({("B-v0", "ppo"): HIGH, ("B-v0", "a2c"): LOW, ("B-v0", "dqn"): BETWEEN}))

    raw = sorted(table["p"])
    assert raw[0] == pytest.approx(2 / math.comb(10, 5))
    assert sorted(table["p_holm"])[0] == pytest.approx(3 * raw[0])
    assert table["p_holm"].max() == pytest.approx(max(3 * raw[0], 2 * raw[1], raw[2]))


def test_an_identical_pair_is_not_tested_and_not_counted(make_metrics: MakeMetrics) -> None:
    same = {"custom_ppo": "bits", "ppo": "bits"}
    scores = {("A-v0", "custom_ppo"): HIGH, ("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW}

    table = pairs(make_metrics(scores, digests=same))

    assert table["verdict"].tolist() == ["identical", "better", "better"]
    # The two others are one comparison, made under two names.
    assert table["p_holm"].tolist() == pytest.approx([math.nan, 2 / 252, 2 / 252], nan_ok=True)
    assert table["reason"][0] == "the trained parameters are bit-equal for every seed"


def test_equal_scores_without_equal_bits_are_not_identical(make_metrics: MakeMetrics) -> None:
    seven = [score for score in HIGH for _ in range(7)]

    table = pairs(make_metrics({("A-v0", "custom_ppo"): seven, ("A-v0", "ppo"): seven}))

    assert table["verdict"].tolist() == ["equivalent"]


def test_five_equal_scores_are_too_few_to_be_equivalent(make_metrics: MakeMetrics) -> None:
    (row,) = pairs(make_metrics({("A-v0", "custom_ppo"): [500.0] * 5, ("A-v0", "ppo"): [500.0] * 5})).to_dict("records")

    assert row["verdict"] == "inconclusive"
    assert "5 seeds cannot exclude a rare collapse, of up to 45% of all runs" in row["reason"]


def test_p_values_of_equivalence_are_adjusted_together(make_metrics: MakeMetrics) -> None:
    same = [500.0] * 29  # p = 0.048 for one pair: below 5% alone, and not among three

    one = pairs(make_metrics({("A-v0", "ppo"): same, ("A-v0", "a2c"): same}))
    three = pairs(make_metrics({("A-v0", "ppo"): same, ("A-v0", "a2c"): same, ("A-v0", "dqn"): same}))

    assert one["verdict"].tolist() == ["equivalent"]
    assert three["verdict"].tolist() == ["inconclusive"] * 3


def test_a_p_value_does_not_depend_on_the_other_pairs(make_metrics: MakeMetrics) -> None:
    rng = np.random.default_rng(0)
    x, y, z = (list(rng.normal(size=12)) for _ in range(3))  # 2.7 million splits: drawn at random

    alone = pairs(make_metrics({("A-v0", "ppo"): x, ("A-v0", "a2c"): y}))
    among = pairs(make_metrics({("A-v0", "dqn"): z, ("A-v0", "ppo"): x, ("A-v0", "a2c"): y}))

    assert among.loc[(among["first"] == "ppo"), "p"].tolist() == alone["p"].tolist()


def test_the_confidence_of_the_configuration_is_the_level_of_the_tests(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW})  # p = 2 / 252

    verdicts = {
        confidence: compare_scores(metrics, StatisticsConfig(confidence=confidence))[0].verdict.outcome
        for confidence in (0.95, 0.999)
    }

    assert verdicts == {0.95: "better", 0.999: "inconclusive"}


def test_half_of_the_runs_that_crashed_do_not_leave_the_better_half(make_metrics: MakeMetrics) -> None:
    (row,) = pairs(
        make_metrics({("A-v0", "ppo"): [*[450.0 + i for i in range(5)], *[None] * 5], ("A-v0", "a2c"): [400.0] * 10})
    ).to_dict("records")

    assert row["verdict"] == "inconclusive"
    assert (row["n_first"], row["n_failed_first"]) == (10, 5)
    assert "5 of 10 runs of ppo failed and count as 0, the score of random actions" in row["reason"]
    assert row["reason"].endswith("other scores for them would make it better")


def test_failed_runs_that_cannot_change_the_outcome_are_told_as_such(make_metrics: MakeMetrics) -> None:
    (row,) = pairs(
        make_metrics(
            {("A-v0", "ppo"): [400.0 + i for i in range(10)], ("A-v0", "a2c"): [*[float(i) for i in range(9)], None]}
        )
    ).to_dict("records")

    assert row["verdict"] == "better"
    assert "1 of 10 runs of a2c failed" in row["reason"]
    assert row["reason"].endswith("the outcome is the same for any other scores of theirs")


def test_excluded_failures_are_left_out_and_told(make_metrics: MakeMetrics) -> None:
    statistics = StatisticsConfig(failed_runs="excluded")
    metrics = make_metrics({("A-v0", "ppo"): [*HIGH, None], ("A-v0", "a2c"): LOW})

    (row,) = pairwise_table(compare_scores(metrics, statistics), statistics).to_dict("records")

    assert row["n_first"] == 5
    assert "1 of 6 runs of ppo failed and are left out" in row["reason"]


def test_a_seed_that_only_one_side_finished_spoils_identity(make_metrics: MakeMetrics) -> None:
    same = {"custom_ppo": "bits", "ppo": "bits"}
    scores = {("A-v0", "custom_ppo"): [*HIGH, 33.0], ("A-v0", "ppo"): [*HIGH, None]}

    table = pairs(make_metrics(scores, digests=same))

    assert table["verdict"].tolist() != ["identical"]
    assert table[["n_first", "n_second", "n_failed_second"]].to_numpy().tolist() == [[6, 6, 1]]


def test_too_few_seeds_are_inconclusive(make_metrics: MakeMetrics) -> None:
    (row,) = pairs(make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): [5.0]})).to_dict("records")

    assert (row["verdict"], row["reason"]) == (
        "inconclusive",
        "5 against 1 seeds: at least 2 on each side are needed",
    )


def test_a_single_algorithm_makes_tables_with_columns_and_no_rows(make_metrics: MakeMetrics) -> None:
    alone = make_metrics({("A-v0", "ppo"): HIGH})
    two = make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW})

    assert len(pairs(alone)) == 0
    assert list(pairs(alone)) == list(pairs(two))
    empty, full = (stability_table(compare_stability(metrics, STATISTICS)) for metrics in (alone, two))
    assert len(empty) == 0
    assert list(empty) == list(full)


def test_algorithms_are_paired_only_where_both_were_run(make_metrics: MakeMetrics) -> None:
    table = pairs(make_metrics({("A-v0", "ppo"): HIGH, ("B-v0", "a2c"): LOW, ("B-v0", "ppo"): LOW}))

    assert table["env"].tolist() == ["B-v0"]


def test_the_lower_is_steadier_unless_higher_is_better(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW})
    n_tests = len(compared_in("stability"))

    table = stability_table(compare_stability(metrics, STATISTICS)).set_index("measure")

    assert n_tests == 5
    assert table["p_holm"].tolist() == pytest.approx([n_tests * 2 / 252] * n_tests)
    assert set(table["steadier"]) == {"a2c (scores lower)"}
    assert table["first_mean"].tolist() == pytest.approx([171 / 5] * n_tests)


def test_the_steadier_is_said_to_score_lower_only_if_it_does(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW})
    metrics["fluctuation"] = -metrics["fluctuation"]

    table = stability_table(compare_stability(metrics, STATISTICS)).set_index("measure")

    assert table["steadier"]["fluctuation"] == "ppo"


def test_unequal_budgets_withhold_the_verdict(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW})
    assert compare_scores(metrics, STATISTICS)[0].verdict.outcome == "better"
    metrics.loc[metrics["algo"] == "a2c", "steps"] = 50

    verdict = compare_scores(metrics, STATISTICS)[0].verdict

    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0] == "no verdict, as they were trained for unequal numbers of steps (100 against 50)"


def foreign(metrics: pd.DataFrame) -> pd.DataFrame:
    completed = metrics["status"] == "finished"
    metrics.loc[completed, ["status", "score_source"]] = ["foreign", "last_episodes"]
    return metrics


def test_one_run_of_another_budget_withholds_the_verdict_on_logs(make_metrics: MakeMetrics) -> None:
    metrics = foreign(make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW}))
    assert compare_scores(metrics, STATISTICS)[0].verdict.outcome == "better"
    metrics.loc[3, "steps"] = 250

    verdict = compare_scores(metrics, STATISTICS)[0].verdict

    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0] == "no verdict, as runs were trained for unequal numbers of steps (100 to 250)"


def test_unlike_sources_of_scores_withhold_the_verdict(make_metrics: MakeMetrics) -> None:
    metrics = foreign(make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): LOW}))
    metrics.loc[metrics["algo"] == "a2c", "score_source"] = "last_evaluation"

    verdict = compare_scores(metrics, STATISTICS)[0].verdict

    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0] == "no verdict, as scores come from unlike sources (last_episodes and last_evaluation)"
