from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.analysis.frames import load_results
from tests.results_factory import make_record, make_spec, write_monitor, write_run


def logs(folder: Path, algo: str, steps: list[int]) -> None:
    for seed, n_steps in enumerate(steps):
        write_monitor(folder / algo / f"CartPole-v1_{seed + 1}" / "0.monitor.csv", [(10.0, 10)] * (n_steps // 10))


def test_a_log_that_stops_at_two_fifths_has_failed_and_says_so(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 410, 1000, 960])

    runs = load_results(tmp_path).runs

    assert runs["status"].tolist() == ["foreign", "failed", "foreign", "foreign"]
    assert runs["error"][1] == "Ended early: after 410 steps, 42% of the 980 that are usual here"
    assert runs["score"].isna().tolist() == [False, True, False, False]


def test_another_budget_of_another_algorithm_is_no_failure(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 1000])
    logs(tmp_path, "a2c", [400, 400])

    assert set(load_results(tmp_path).runs["status"]) == {"foreign"}


def test_runs_of_the_harness_are_left_as_they_are(tmp_path: Path) -> None:
    write_run(tmp_path, replace(make_record(make_spec(seed=0)), steps=100))
    write_run(tmp_path, make_record(make_spec(seed=1)))
    write_run(tmp_path, make_record(make_spec(seed=2)))

    assert set(load_results(tmp_path).runs["status"]) == {"finished"}
