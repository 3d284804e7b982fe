from __future__ import annotations

import math
from pathlib import Path

import gymnasium
import pandas as pd
import pytest

from harness.analysis.frames import Results, load_results
from harness.analysis.tables import passage_table, passages, run_metrics, time_to_threshold_table
from harness.analysis.tables.thresholds import REWARD_THRESHOLDS
from harness.config import StatisticsConfig
from tests.results_factory import failed, make_record, make_spec, write_run

STATISTICS = StatisticsConfig(smoothing_window=2)


def write(root: Path, algo: str, curves: list[dict[int, float] | None], env: str = "CartPole-v1") -> None:
    """Write a run for each curve of evaluations; None is a failed run."""
    for seed, curve in enumerate(curves):
        record = make_record(make_spec(algo, env, seed))
        if curve is None:
            write_run(root, failed(record))
        else:
            write_run(root, record, evaluations={step: [value] * 2 for step, value in curve.items()})


def results_of(root: Path) -> Results:
    return load_results(root)


def test_the_thresholds_are_those_of_gymnasium() -> None:
    registered = {name: spec.reward_threshold for name, spec in gymnasium.registry.items()}

    assert {name: registered[name] for name in REWARD_THRESHOLDS} == REWARD_THRESHOLDS


def test_the_first_evaluation_at_the_threshold_counts(tmp_path: Path) -> None:
    write(tmp_path, "ppo", [{250: 10.0, 500: 475.0, 750: 100.0}, {250: 10.0, 500: 474.0}, None])

    found = passages(results_of(tmp_path), STATISTICS)

    assert found[["steps", "reached"]].to_numpy().tolist() == [[500.0, True], [1000.0, False], [1000.0, False]]
    assert set(found["measured_on"]) == {"evaluations"}
    assert not found["declared"].any()


def test_a_declared_threshold_goes_before_that_of_gymnasium(tmp_path: Path) -> None:
    write(tmp_path, "ppo", [{250: 10.0, 500: 475.0}])

    (row,) = passages(results_of(tmp_path), StatisticsConfig(thresholds={"CartPole-v1": 9.0})).to_dict("records")

    assert (row["threshold"], row["declared"], row["steps"]) == (9.0, True, 250.0)


def test_without_evaluations_smoothed_training_returns_count(tmp_path: Path) -> None:
    episodes = [(400.0, 100), (600.0, 100), (400.0, 100)]
    write_run(tmp_path, make_record(make_spec()), episodes=[episodes])

    (row,) = passages(results_of(tmp_path), STATISTICS).to_dict("records")

    assert (row["measured_on"], row["steps"], row["reached"]) == ("training returns", 200.0, True)


def test_an_environment_without_a_threshold_has_no_rows(tmp_path: Path) -> None:
    write(tmp_path, "ppo", [{250: 10.0}], env="Pendulum-v1")

    found = passages(results_of(tmp_path), STATISTICS)

    assert found.empty
    assert time_to_threshold_table(found, STATISTICS).empty


def test_medians_and_tests_count_runs_that_never_reach_it(tmp_path: Path) -> None:
    write(tmp_path, "fast", [{step: 500.0} for step in (100, 110, 120, 130, 140)])
    write(tmp_path, "slow", [{900: 500.0}, {990: 500.0}, {500: 1.0}, {500: 1.0}, None])
    results = results_of(tmp_path)

    found = passages(results, STATISTICS)
    table = time_to_threshold_table(found, STATISTICS).set_index("algo")
    (pair,) = passage_table(found, run_metrics(results, STATISTICS), STATISTICS).to_dict("records")

    assert table.loc["fast", "median"] == 120.0
    assert table.loc["slow", ["n_runs", "n_failed", "n_reached"]].tolist() == [5, 1, 2]
    assert table.loc["slow", "median"] == math.inf
    assert pair["p"] == pytest.approx(2 / 252)
    assert pair["earlier"] == "fast"


def test_equal_runs_are_neither_earlier_nor_later(tmp_path: Path) -> None:
    for algo in ("a", "b"):
        write(tmp_path, algo, [{step: 500.0} for step in (100, 200, 300, 400, 500)])
    results = results_of(tmp_path)

    table = passage_table(passages(results, STATISTICS), run_metrics(results, STATISTICS), STATISTICS)

    assert isinstance(table, pd.DataFrame)
    assert table[["p", "earlier"]].to_numpy().tolist() == [[1.0, "inconclusive"]]
