"""Tables over environments: normalisation, references, failed runs, families of tests, and verdicts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis.tables import aggregate_tables, compare_scores, display_table, write_tables
from harness.analysis.tables.aggregate_references import SHIPPED, reference_of
from harness.analysis.tables.aggregate_verdicts import PairOverTasks, judge
from harness.config import ReferenceScores, StatisticsConfig
from harness.stats import aggregates, improvement_over_tasks, stratified_permutation_test

TASKS = ("Easy-v0", "Hard-v0", "Long-v0")
STATISTICS = StatisticsConfig(n_bootstrap=200, references={task: ReferenceScores(0.0, 100.0) for task in TASKS})


def table_of_runs(scores: dict[tuple[str, str], list[float]], *, digests: dict[str, str] | None = None) -> pd.DataFrame:
    """Return a table of runs from (algorithm, environment) -> one score per seed, NaN for a failed run."""
    rows = [
        {
            "algo": algo,
            "env": env,
            "seed": seed,
            "status": "failed" if math.isnan(score) else "finished",
            "score": score,
            "steps": 1000,
            "score_source": "final_evaluation",
            "error": "",
            "parameters_digest": f"{(digests or {}).get(algo, algo)}{env}{seed}",
        }
        for (algo, env), values in scores.items()
        for seed, score in enumerate(values)
    ]
    table = pd.DataFrame(rows)
    return table.assign(
        algo=table["algo"].astype(pd.CategoricalDtype(sorted(table["algo"].unique()), ordered=True)),
        env=table["env"].astype(pd.CategoricalDtype(sorted(table["env"].unique()), ordered=True)),
    )


def tables_of(
    scores: dict[tuple[str, str], list[float]], statistics: StatisticsConfig = STATISTICS, **changes: dict[str, str]
) -> dict[str, pd.DataFrame]:
    metrics = table_of_runs(scores, **changes)
    metrics = metrics.assign(seed_deviation=0.0)
    return aggregate_tables(metrics, compare_scores(metrics, statistics), statistics)


def noisy(level: float, seed: int, n: int = 8) -> list[float]:
    return [float(x) for x in level + np.random.default_rng(seed).normal(0, 5, n)]


def suite(first: float, second: float) -> dict[tuple[str, str], list[float]]:
    return {
        (algo, task): noisy(level, 10 * place + len(algo))
        for algo, level in (("a", first), ("bb", second))
        for place, task in enumerate(TASKS)
    }


def test_estimates_are_those_of_normalised_scores() -> None:
    scores = suite(70.0, 40.0)

    table = tables_of(scores)["aggregates"]

    own = table[table["algo"] == "a"].set_index("measure")["estimate"]
    expected = aggregates([np.array(scores["a", task]) / 100.0 for task in TASKS])
    assert own.to_dict() == pytest.approx(expected)
    assert (table["low"] < table["estimate"]).all()
    assert (table["estimate"] < table["high"]).all()


def test_a_clear_lead_over_tasks_is_a_verdict_with_its_reasons() -> None:
    (row,) = tables_of(suite(70.0, 40.0))["aggregate_pairs"].to_dict("records")

    assert (row["first"], row["second"], row["verdict"], row["n_tasks"]) == ("a", "bb", "better", 3)
    assert row["reason"].startswith("mean normalised score over 3 tasks 0.7")
    assert row["iqm_difference_low"] < row["iqm_difference"] < row["iqm_difference_high"]


def test_equal_algorithms_are_inconclusive_over_tasks() -> None:
    (row,) = tables_of(suite(55.0, 55.0))["aggregate_pairs"].to_dict("records")

    assert row["verdict"] == "inconclusive"
    assert row["p_holm"] > 0.05


def test_an_environment_without_references_is_left_out_and_named() -> None:
    scores = suite(70.0, 40.0) | {("a", "Own-v0"): [1.0, 2.0], ("bb", "Own-v0"): [900.0, 950.0]}

    tables = tables_of(scores)

    left_out = tables["references"].set_index("env").loc["Own-v0"]
    assert left_out["used"] == "no"
    assert left_out["source"] == "none: the environment is left out of the aggregates"
    assert set(tables["aggregates"]["tasks"]) == {", ".join(TASKS)}


def test_one_environment_with_references_makes_no_aggregate() -> None:
    statistics = StatisticsConfig(references={"Easy-v0": ReferenceScores(0.0, 100.0)})

    assert tables_of(suite(70.0, 40.0), statistics) == {}


def test_declared_references_come_before_shipped_ones() -> None:
    declared = StatisticsConfig(references={"CartPole-v1": ReferenceScores(10.0, 400.0)})

    reference = reference_of("CartPole-v1", declared)

    assert reference is not None
    assert (reference.random, reference.best, reference.source) == (10.0, 400.0, "declared in the configuration")
    assert reference_of("CartPole-v1", StatisticsConfig()) == SHIPPED["CartPole-v1"]
    assert reference_of("Unknown-v0", StatisticsConfig()) is None


def test_every_shipped_reference_lies_above_random_actions() -> None:
    assert all(reference.random < reference.best for reference in SHIPPED.values())


def test_failed_runs_count_as_random_actions_and_are_named() -> None:
    scores = suite(70.0, 40.0)
    whole = tables_of(scores)["aggregates"].set_index(["algo", "measure"])["estimate"]
    scores["a", "Easy-v0"][:4] = [math.nan] * 4

    tables = tables_of(scores)

    broken = tables["aggregates"].set_index(["algo", "measure"])["estimate"]
    assert broken["a", "mean"] < whole["a", "mean"] - 0.1
    assert "failed runs (4 of a) count by the rule “random”" in tables["aggregate_pairs"]["reason"].iloc[0]


def test_bit_equal_algorithms_are_identical_and_count_once_in_the_family() -> None:
    scores = suite(70.0, 40.0)
    scores |= {("copy", task): scores["a", task] for task in TASKS}

    pairs = tables_of(scores, digests={"a": "x", "copy": "x"})["aggregate_pairs"].set_index(["first", "second"])

    assert pairs.loc[("a", "copy"), "verdict"] == "identical"
    lead, of_copy = pairs.loc[("a", "bb")], pairs.loc[("bb", "copy")]
    assert lead["p_holm"] == of_copy["p_holm"] == lead["p"]  # one test, not two
    assert (lead["verdict"], of_copy["verdict"]) == ("better", "worse")


def pair(x: list[list[float]], y: list[list[float]], **changes: object) -> PairOverTasks:
    first, second = ([np.array(task) for task in side] for side in (x, y))
    fields: dict[str, object] = {
        "second": "b",
        "identical": False,
        "common_seeds": True,
        "withheld": (),
        "failed": {},
        "failed_rule": "random",
    }
    return PairOverTasks(
        "a",
        tasks=tuple(f"T{place}" for place in range(len(x))),
        x=first,
        y=second,
        test=stratified_permutation_test(first, second),
        improvement=improvement_over_tasks(first, second),
        **(fields | changes),  # type: ignore[arg-type]
    )


def test_p_values_over_tasks_are_adjusted_by_holm() -> None:
    lead = pair([noisy(1, 1), noisy(1, 2)], [noisy(9, 3), noisy(9, 4)])

    one, two = judge([lead], 0.05), judge([lead, pair([noisy(1, 1)] * 2, [noisy(1, 7)] * 2, second="c")], 0.05)

    assert two[0].p_holm == pytest.approx(2 * one[0].p_holm)
    assert "(Holm, 2 tests)" in two[0].reason


def test_a_pair_that_cannot_be_compared_fairly_gets_no_verdict() -> None:
    (verdict,) = judge([pair([noisy(1, 1)] * 2, [noisy(90, 2)] * 2, withheld=("on T0 budgets differ",))], 0.05)

    assert (verdict.outcome, verdict.reason) == ("inconclusive", "no verdict, as on T0 budgets differ")


def test_single_seeds_give_no_verdict_over_tasks() -> None:
    (verdict,) = judge([pair([[1.0], [2.0]], [[5.0], [6.0]])], 0.05)

    assert (verdict.outcome, verdict.reason) == ("inconclusive", "a task has fewer than two seeds on a side")


def test_a_task_that_alone_decides_is_named() -> None:
    x = [noisy(level, place, 20) for place, level in enumerate((400, 50, 53, 53))]
    y = [noisy(level, 9 + place, 20) for place, level in enumerate((10, 65, 47, 47))]

    (verdict,) = judge([pair(x, y)], 0.05)

    assert verdict.outcome == "better"
    assert "without T0 the means would not show it" in verdict.reason


def test_tables_over_environments_are_written_for_readers(tmp_path: Path) -> None:
    tables = tables_of(suite(70.0, 40.0))

    header, rows = display_table("aggregates", tables["aggregates"])
    assert header == ["algorithm", "tasks", "runs", "IQM", "median", "mean", "optimality gap"]
    assert [row[:3] for row in rows] == [["a", "3", "24"], ["bb", "3", "24"]]
    names = {path.name for path in write_tables(tables, {}, tmp_path)}
    assert {"aggregates.csv", "aggregates.md", "aggregate_pairs.md", "references.md", "profiles.csv"} <= names
