from __future__ import annotations

import math

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
    assert table["p_holm"].tolist() == pytest.approx([math.nan, 2 * 2 / 252, 2 * 2 / 252], nan_ok=True)
    assert table["reason"][0] == "the trained parameters are bit-equal for every seed"


def test_equal_scores_without_equal_bits_are_not_identical(make_metrics: MakeMetrics) -> None:
    table = pairs(make_metrics({("A-v0", "custom_ppo"): HIGH, ("A-v0", "ppo"): HIGH}))

    assert table["verdict"].tolist() == ["equivalent"]


def test_a_seed_that_only_one_side_finished_spoils_identity(make_metrics: MakeMetrics) -> None:
    same = {"custom_ppo": "bits", "ppo": "bits"}
    scores = {("A-v0", "custom_ppo"): [*HIGH, 33.0], ("A-v0", "ppo"): [*HIGH, None]}

    table = pairs(make_metrics(scores, digests=same))

    assert table["verdict"].tolist() != ["identical"]
    assert table[["n_first", "n_second"]].to_numpy().tolist() == [[6, 5]]


@pytest.mark.parametrize("second", [[5.0], [None, None]])
def test_too_few_seeds_are_inconclusive(make_metrics: MakeMetrics, second: list[float | None]) -> None:
    (row,) = pairs(make_metrics({("A-v0", "ppo"): HIGH, ("A-v0", "a2c"): second})).to_dict("records")

    n = sum(score is not None for score in second)
    assert (row["verdict"], row["reason"]) == (
        "inconclusive",
        f"5 against {n} seeds: at least 2 on each side are needed",
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

    # 252 splits and eight or more tests: 8 * 2 / 252 = 0.063 is not enough.
    assert n_tests >= 8
    assert set(table["steadier"]) == {"inconclusive"}
    assert table["p_holm"].tolist() == pytest.approx([n_tests * 2 / 252] * n_tests)

    more = make_metrics({("A-v0", "ppo"): [*HIGH, 32.0], ("A-v0", "a2c"): [*LOW, 11.5]})
    table = stability_table(compare_stability(more, STATISTICS)).set_index("measure")
    assert (
        table["steadier"].to_dict().items()
        >= {
            "relative drawdown": "a2c",
            "roughness": "a2c",
            "KL tail": "a2c",
            "last episodes, std": "a2c",
            "rolling variance": "a2c",
            "dispersion": "a2c",
            "worst changes": "ppo",  # higher is better
            "max drawdown": "a2c",
        }.items()
    )
    assert table["first_mean"].tolist() == pytest.approx([203 / 6] * n_tests)
