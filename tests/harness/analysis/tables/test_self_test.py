from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from harness.analysis.tables.family import Family, case
from harness.analysis.tables.self_test import HALVES, LABELS, self_test_sentences, self_test_table
from harness.config import StatisticsConfig
from tests.harness.analysis.tables.conftest import MakeMetrics

STATISTICS = StatisticsConfig()


def scores(n: int, mean: float, seed: int) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 1.0, n))


def row_of(table: pd.DataFrame, family: str, null: str) -> pd.Series:
    (row,) = (row for _, row in table.iterrows() if (row["family"], row["null"]) == (family, null))
    return row


def test_a_clear_difference_between_algorithms_is_no_error_of_the_rule(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("E-v0", "a"): scores(8, 0.0, 1), ("E-v0", "b"): scores(8, 50.0, 2)})

    row = row_of(self_test_table(metrics, STATISTICS), "scores", LABELS)

    assert row["can_reject"]
    assert row["n_comparisons"] == row["n_judged"] == 1
    assert row["rate_low"] <= 0.05 <= row["rate_high"] + 0.03
    assert row["n_wrong"] == round(row["rate"] * row["n_repetitions"])


def test_three_seeds_allow_no_claim_and_the_table_says_so(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("E-v0", "a"): [1.0, 2.0, 3.0], ("E-v0", "b"): [4.0, 5.0, 6.0]})

    table = self_test_table(metrics, STATISTICS)

    assert not table["can_reject"].any()
    assert (table["n_wrong"] == 0).all()


def test_equal_runs_give_an_equal_self_test(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("E-v0", "a"): scores(5, 0.0, 1), ("E-v0", "b"): [*scores(4, 0.0, 2), None]})

    pd.testing.assert_frame_equal(self_test_table(metrics, STATISTICS), self_test_table(metrics, STATISTICS))


def test_a_bit_equal_copy_is_left_out_of_the_self_test(make_metrics: MakeMetrics) -> None:
    own = scores(6, 0.0, 1)
    groups = {("E-v0", "a"): own, ("E-v0", "copy"): own, ("E-v0", "b"): scores(6, 0.0, 2)}
    metrics = make_metrics(groups, digests={"copy": "a"})

    table = self_test_table(metrics, STATISTICS)

    assert row_of(table, "scores", LABELS)["n_comparisons"] == 1
    assert row_of(table, "scores", HALVES)["n_comparisons"] == 2


def test_one_algorithm_is_tested_on_its_halves_alone(make_metrics: MakeMetrics) -> None:
    table = self_test_table(make_metrics({("E-v0", "a"): scores(8, 0.0, 1)}), STATISTICS)

    assert set(table["null"]) == {HALVES}


def test_a_family_of_many_pairs_is_judged_in_part(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("E-v0", f"a{i}"): scores(6, 0.0, i) for i in range(25)})

    row = row_of(self_test_table(metrics, STATISTICS), "scores", LABELS)

    assert row["n_comparisons"] == 300
    assert row["n_judged"] < 300
    assert row["n_repetitions"] == 50


def test_the_self_test_finds_a_rule_that_errs_too_often(
    make_metrics: MakeMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = make_metrics({("E-v0", name): scores(8, 0.0, i) for i, name in enumerate("abcd")})
    assert self_test_sentences(self_test_table(metrics, STATISTICS)) == []

    # Without Holm's adjustment, six pairs err together in about a fifth of families.
    monkeypatch.setattr("harness.analysis.stats.holm", lambda p_values: np.asarray(p_values, dtype=float))
    sentences = self_test_sentences(self_test_table(metrics, STATISTICS))

    assert any(text.startswith("self-test: with labels exchanged, ") for text in sentences)
    assert any(text.endswith("more than the level of 0.05") for text in sentences)


def test_looks_that_are_declared_are_part_of_the_self_test(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics({("E-v0", "a"): scores(8, 0.0, 1), ("E-v0", "b"): scores(8, 0.0, 2)})

    waiting = self_test_table(metrics, StatisticsConfig(looks=(10, 20)))
    judged = self_test_table(metrics, StatisticsConfig(looks=(4, 8)))

    assert not row_of(waiting, "scores", LABELS)["can_reject"]
    assert row_of(judged, "scores", LABELS)["can_reject"]


def test_outcomes_without_reasons_are_those_of_the_verdicts() -> None:
    rng = np.random.default_rng(0)
    cases = [
        case(rng.normal(shift, 0.02, 8), rng.normal(0.0, 0.02, 8), margin=0.1, bounds=None, identical=False)
        for shift in (-1.0, 0.0, 0.02, 0.1, 2.0)
    ]
    family = Family((*cases, case(cases[0].x, cases[0].x, margin=0.1, bounds=None, identical=True)), 0.05)

    assert family.outcomes() == [verdict.outcome for verdict in family.verdicts()]
    assert {"worse", "better", "equivalent", "identical"} <= set(family.outcomes())
