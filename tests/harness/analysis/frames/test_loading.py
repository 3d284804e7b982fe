from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.frames import load_results
from harness.errors import RecordError
from tests.results_factory import (
    failed,
    make_record,
    make_spec,
    write_evaluations,
    write_experiment,
    write_monitor,
    write_progress,
    write_run,
)


def test_a_finished_run_is_a_row_with_its_score_and_speed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, make_record(make_spec(seed=3), final_rewards=[1.0, 3.0, 8.0]))

    (row,) = load_results(tmp_path).runs.to_dict("records")

    # Three episodes have no quantiles, and this environment tells of no success.
    assert all(math.isnan(row.pop(name)) for name in ("score_q05", "score_cvar10", "success_rate"))
    assert row == {
        "algo": "ppo",
        "env": "CartPole-v1",
        "seed": 3,
        "status": "finished",
        "score": 4.0,
        "score_std": pytest.approx(math.sqrt(26 / 3)),
        "n_final_episodes": 3,
        "score_source": "final_evaluation",
        "steps": 1000,
        "train_seconds": 10.0,
        "wall_seconds": 12.0,
        "fps": 100.0,
        "parameters_digest": make_record(make_spec(seed=3)).parameters_digest,
        "error": "",
        "path": str(folder),
    }


def test_a_failed_run_is_a_row_without_score_and_keeps_its_episodes(tmp_path: Path) -> None:
    record = failed(make_record(make_spec()), "loss is NaN")
    folder = write_run(tmp_path, record, episodes=[[(1.0, 5), (2.0, 5)]], evaluations={5: [1.0]})
    monitor = folder / "0.monitor.csv"
    monitor.write_bytes(monitor.read_bytes()[:-2])
    (folder / "evaluations.npz").write_bytes(b"PK")

    results = load_results(tmp_path)

    (row,) = results.runs.to_dict("records")
    assert math.isnan(row["score"])
    assert (row["status"], row["error"], row["score_source"]) == ("failed", "ValueError: loss is NaN", "")
    assert results.episodes["reward"].tolist() == [1.0]
    assert results.evaluations.empty


def test_a_run_that_failed_after_its_evaluation_has_no_score_either(tmp_path: Path) -> None:
    write_run(tmp_path, replace(failed(make_record(make_spec())), final_rewards=(5.0,)))

    assert load_results(tmp_path).runs["score"].isna().all()


def test_a_damaged_file_of_a_finished_run_is_an_error(tmp_path: Path) -> None:
    folder = write_run(tmp_path, make_record(make_spec()), evaluations={5: [1.0]})
    (folder / "evaluations.npz").write_bytes(b"PK")

    with pytest.raises(RecordError, match=r"evaluations\.npz: cannot be read"):
        load_results(tmp_path)


def test_planned_runs_that_are_not_there_are_rows_with_status_missing(tmp_path: Path) -> None:
    plan = [make_spec("pkg:Agent", seed=seed) for seed in range(3)]
    write_run(tmp_path, make_record(plan[0]))
    write_monitor(tmp_path / "runs" / plan[1].run_dir / "0.monitor.csv", [(4.0, 2)])

    results = load_results(tmp_path, expected=plan)

    assert results.runs["algo"].tolist() == ["pkg:Agent"] * 3
    assert results.runs["status"].tolist() == ["finished", "missing", "missing"]
    assert results.runs["error"].tolist() == [
        "",
        "Missing: the run was interrupted before its record was written",
        "Missing: the run was planned but never begun",
    ]
    assert results.runs["score"].isna().tolist() == [False, True, True]
    assert results.episodes[["seed", "reward"]].values.tolist() == [[1, 4.0]]


def test_a_plan_without_any_run_is_a_table_of_missing_runs(tmp_path: Path) -> None:
    results = load_results(tmp_path, expected=[make_spec(), make_spec(seed=1)])

    assert results.runs["status"].tolist() == ["missing", "missing"]
    assert results.episodes.empty
    assert list(results.progress) == ["algo", "env", "seed", "timestep", "key", "value"]


def test_a_foreign_log_is_scored_by_its_last_evaluation(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "CartPole-v1_1"
    write_monitor(folder / "0.monitor.csv", [(1.0, 30)])
    write_evaluations(folder, {10: [0.0, 0.0], 20: [4.0, 8.0]})

    (row,) = load_results(tmp_path).runs.to_dict("records")

    assert (row["score"], row["score_std"], row["n_final_episodes"]) == (6.0, 2.0, 2)
    assert (row["score_source"], row["status"], row["steps"]) == ("last_evaluation", "foreign", 30)
    assert row["wall_seconds"] == 0.03


def test_a_foreign_log_without_evaluations_is_scored_by_its_last_hundred_episodes(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo" / "CartPole-v1_1" / "0.monitor.csv", [(float(i), 1) for i in range(150)])

    (row,) = load_results(tmp_path).runs.to_dict("records")

    assert (row["score"], row["score_source"], row["n_final_episodes"]) == (99.5, "last_episodes", 100)


def test_a_foreign_log_with_neither_has_no_score(tmp_path: Path) -> None:
    write_progress(tmp_path / "ppo" / "CartPole-v1_1", [{"time/total_timesteps": 64, "time/fps": 900}])

    (row,) = load_results(tmp_path).runs.to_dict("records")

    assert math.isnan(row["score"])
    assert (row["score_source"], row["steps"]) == ("", 64)


def test_algorithms_and_environments_have_the_requested_order(tmp_path: Path) -> None:
    for algo in ("a2c", "custom_ppo", "ppo"):
        for env in ("Acrobot-v1", "CartPole-v1"):
            record = make_record(make_spec(algo, env))
            progress = [{"time/total_timesteps": 1, "x": 1.0}]
            write_run(tmp_path, record, episodes=[[(1.0, 1)]], evaluations={1: [1.0]}, progress=progress)

    results = load_results(tmp_path, algos=["ppo", "custom_ppo"], envs=["CartPole-v1"])

    assert results.algos == ("ppo", "custom_ppo", "a2c")
    assert results.envs == ("CartPole-v1", "Acrobot-v1")
    expected = [(algo, env) for algo in results.algos for env in results.envs]
    for table in (results.runs, results.episodes, results.evaluations, results.progress):
        assert list(zip(table["algo"], table["env"], strict=True)) == expected


def test_without_a_requested_order_that_of_the_plan_holds(tmp_path: Path) -> None:
    plan = [make_spec("ppo"), make_spec("a2c")]
    for spec in plan:
        write_run(tmp_path, make_record(spec))

    assert load_results(tmp_path, expected=plan).algos == ("ppo", "a2c")
    assert load_results(tmp_path).algos == ("a2c", "ppo")


def test_rows_of_every_table_belong_to_the_run_that_wrote_them(tmp_path: Path) -> None:
    for seed in (0, 1, 10):  # the folder of seed 10 comes second
        write_run(
            tmp_path,
            make_record(make_spec(seed=seed)),
            episodes=[[(float(seed), 1)] * (seed + 1)],
            evaluations={step: [10.0 * seed] for step in range(1, seed + 2)},
            progress=[{"time/total_timesteps": 1, "x": 100.0 * seed}],
        )

    results = load_results(tmp_path)

    assert (results.episodes["reward"] == results.episodes["seed"]).all()
    assert (results.evaluations["reward"] == 10 * results.evaluations["seed"]).all()
    assert results.progress["value"].tolist() == [0.0, 100.0, 1000.0]
    assert results.episodes.groupby("seed").size().to_dict() == {0: 1, 1: 2, 10: 11}


def test_two_folders_are_read_as_one_set_of_results(tmp_path: Path) -> None:
    write_run(tmp_path / "a", make_record(make_spec("ppo")))
    write_run(tmp_path / "b", make_record(make_spec("a2c")))

    assert load_results(tmp_path / "a", tmp_path / "b").algos == ("ppo", "a2c")


def test_a_seed_in_two_folders_is_an_error(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", make_record(make_spec()))
    second = write_run(tmp_path / "b", make_record(make_spec()))

    with pytest.raises(RecordError) as error:
        load_results(tmp_path)

    assert str(error.value) == (
        f"{second}: holds ppo CartPole-v1 seed 0, and so does {first}; a seed counts once, so leave one folder out"
    )


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as error:
        load_results(tmp_path)

    assert str(error.value) == (
        f"{tmp_path}: holds no runs, expected run.json, *monitor.csv, evaluations.npz, progress.csv, "
        "event files of TensorBoard, or a CSV file of scores"
    )


def test_the_tables_of_an_experiment_agree_with_each_other(tmp_path: Path) -> None:
    write_experiment(tmp_path, envs=["CartPole-v1"], n_seeds=2, n_timesteps=4000, crashed=[("a2c", "CartPole-v1", 1)])

    results = load_results(tmp_path)

    assert results.runs["status"].value_counts().to_dict() == {"finished": 5, "failed": 1}
    by_algo = {algo: rows["reward"].to_numpy() for algo, rows in results.episodes.groupby("algo", observed=True)}
    assert np.array_equal(by_algo["custom_ppo"], by_algo["ppo"])
    assert (results.episodes.groupby(["algo", "seed"], observed=True)["timestep"].diff().dropna() >= 0).all()
