from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3.common.monitor import ResultsWriter

from harness.analysis.frames import Results, load_results
from harness.analysis.tables import (
    compare_task,
    information_metrics,
    run_metrics,
    task_table,
    with_information,
)
from harness.config import ReferenceScores, StatisticsConfig
from harness.experiment.run_records import RunRecord, read_record
from tests.results_factory import failed, make_record, make_spec, write_run

STATISTICS = StatisticsConfig(last_episodes=2, references={"CartPole-v1": ReferenceScores(20.0, 500.0)})


def record_of(algo: str, seed: int, rewards: list[float], successes: tuple[bool, ...] = ()) -> RunRecord:
    return RunRecord(**{**vars(make_record(make_spec(algo, seed=seed), rewards)), "final_successes": successes})


def rows_of(results: Results, statistics: StatisticsConfig = STATISTICS) -> dict[str, dict[str, object]]:
    metrics = with_information(run_metrics(results, statistics), results, statistics)
    table = task_table(compare_task(metrics, statistics, information_metrics(results)))
    return {str(row["measure"]): {str(k): v for k, v in row.items()} for row in table.to_dict("records")}


def test_worst_episodes_are_quantile_and_mean_of_the_lowest_tenth(tmp_path: Path) -> None:
    rewards = [float(value) for value in np.random.default_rng(0).permutation(100)]
    write_run(tmp_path, make_record(make_spec(), rewards))

    (run,) = load_results(tmp_path).runs.to_dict("records")

    assert run["score_q05"] == np.quantile(np.arange(100), 0.05)
    assert run["score_cvar10"] == np.arange(10).mean()
    assert math.isnan(run["success_rate"])


def test_few_episodes_have_no_quantile(tmp_path: Path) -> None:
    write_run(tmp_path, make_record(make_spec(), [float(value) for value in range(12)]))

    (run,) = load_results(tmp_path).runs.to_dict("records")

    assert math.isnan(run["score_q05"])
    assert run["score_cvar10"] == 0.5


def test_successes_are_compared_and_a_failed_run_has_none(tmp_path: Path) -> None:
    for seed in range(5):
        write_run(tmp_path, record_of("a", seed, [1.0] * 4, (True, True, True, seed > 0)))
        other = record_of("b", seed, [1.0] * 4, (False, False, False, seed > 0))
        write_run(tmp_path, failed(other) if seed == 4 else other)

    row = rows_of(load_results(tmp_path))["success rate"]

    assert row["first_mean"] == pytest.approx(0.95)
    assert row["second_mean"] == pytest.approx(0.15)
    assert (row["n_second"], row["verdict"]) == (5, "higher")


def test_excluded_failed_runs_have_no_success_rate(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, record_of("a", seed, [1.0] * 2, (True, False)))
        other = record_of("b", seed, [1.0] * 2, (True, True))
        write_run(tmp_path, failed(other) if seed == 0 else other)

    row = rows_of(load_results(tmp_path), StatisticsConfig(failed_runs="excluded"))["success rate"]

    assert (row["n_second"], row["second_mean"]) == (2, 1.0)


def test_runs_without_such_data_have_no_table(tmp_path: Path) -> None:
    for algo in ("a", "b"):
        write_run(tmp_path, make_record(make_spec(algo), [1.0, 2.0]))

    assert rows_of(load_results(tmp_path)) == {}


def test_what_monitor_logged_of_the_infos_is_compared(tmp_path: Path) -> None:
    for algo, crashes in (("a", 0.0), ("b", 3.0)):
        for seed in range(5):
            path = tmp_path / algo / f"CartPole-v1_{seed + 1}" / "0.monitor.csv"
            path.parent.mkdir(parents=True)
            writer = ResultsWriter(
                str(path),
                header={"t_start": 1e9, "env_id": "CartPole-v1"},
                extra_keys=("crashes", "is_success", "name"),
            )
            for episode in range(4):
                info = {"crashes": crashes + episode + seed / 8, "is_success": algo == "a", "name": "x"}
                writer.write_row({"r": 1.0, "l": 10, "t": episode, **info})
            writer.close()
    results = load_results(tmp_path)

    rows = rows_of(results)

    assert {"info_crashes", "info_is_success"} <= set(results.episodes.columns)
    assert "info_name" not in results.episodes.columns
    row = rows["crashes, last episodes"]
    assert (row["first_mean"], row["second_mean"]) == (2.75, 5.75)
    assert row["verdict"] == "lower"
    assert rows["is_success, last episodes"]["first_mean"] == 1.0


def test_successes_are_kept_in_the_record_and_only_if_there_are_some(tmp_path: Path) -> None:
    folder = write_run(tmp_path, record_of("a", 0, [1.0, 2.0], (True, False)))
    other = write_run(tmp_path, make_record(make_spec("b")))

    kept = read_record(folder)
    assert kept is not None
    assert kept.final_successes == (True, False)
    assert "final_successes" not in (other / "run.json").read_text()
