from __future__ import annotations

from pathlib import Path

import pandas as pd

from harness.analysis.frames import load_results
from harness.analysis.frames.audit import fail_runs_that_end_early
from tests.results_factory import write_monitor


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


def test_runs_of_the_harness_are_left_as_they_are() -> None:
    runs = pd.DataFrame({"algo": ["ppo"] * 2, "env": ["A"] * 2, "status": ["finished", "missing"], "steps": [100, 0]})

    assert fail_runs_that_end_early(runs) is runs
