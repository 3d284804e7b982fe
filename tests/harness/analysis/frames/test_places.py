from __future__ import annotations

from pathlib import Path

from harness.analysis.frames.places import find_places
from tests.results_factory import write_evaluations, write_monitor

EPISODES = [(1.0, 1)]


def write(root: Path, *names: str) -> None:
    for name in names:
        write_monitor(root / name, EPISODES)


def test_monitor_files_with_names_are_a_run_each(tmp_path: Path) -> None:
    write(tmp_path, "ppo_seed0.monitor.csv", "ppo_seed1.monitor.csv", "a2c_seed0.monitor.csv")

    places, left_out = find_places(tmp_path)

    assert [place.names_below(tmp_path) for place in places] == [("a2c_seed0",), ("ppo_seed0",), ("ppo_seed1",)]
    assert left_out == {}


def test_numbered_monitor_files_are_the_sub_environments_of_one_run(tmp_path: Path) -> None:
    write(tmp_path, "ppo/0.monitor.csv", "ppo/1.monitor.csv", "a.0.monitor.csv", "a.1.monitor.csv")

    places, _ = find_places(tmp_path)

    assert [(place.names_below(tmp_path), len(place.files.monitors)) for place in places] == [
        (("a",), 2),
        (("ppo",), 2),
    ]


def test_the_monitor_of_evaluations_is_not_that_of_the_training(tmp_path: Path) -> None:
    write(tmp_path, "ppo/train.monitor.csv", "ppo/eval.monitor.csv")

    (place,), left_out = find_places(tmp_path)

    assert (place.path, [path.name for path in place.files.monitors]) == (tmp_path / "ppo", ["train.monitor.csv"])
    assert left_out == {tmp_path / "ppo" / "eval.monitor.csv": "episodes of evaluations, not of the training"}


def test_logs_within_a_run_and_empty_folders_beside_it_are_told(tmp_path: Path) -> None:
    write(tmp_path, "ppo/a_1/0.monitor.csv", "ppo/a_1/eval/0.monitor.csv")
    (tmp_path / "ppo" / "a_2").mkdir()

    places, left_out = find_places(tmp_path)

    assert [place.path.name for place in places] == ["a_1"]
    assert left_out == {
        tmp_path / "ppo" / "a_1" / "*": "1 log files in folders within the run a_1",
        tmp_path / "ppo" / "a_2": "holds no log; if a run crashed there, it is not counted",
    }


def test_evaluations_beside_several_runs_belong_to_none(tmp_path: Path) -> None:
    write(tmp_path, "ppo_0.monitor.csv", "ppo_1.monitor.csv")
    write_evaluations(tmp_path, {10: [1.0]})

    places, left_out = find_places(tmp_path)

    assert all(place.files.evaluations is None for place in places)
    assert list(left_out) == [tmp_path / "evaluations.npz"]


def test_evaluations_beside_the_only_monitor_file_belong_to_it(tmp_path: Path) -> None:
    write(tmp_path, "ppo_0/mine.monitor.csv")
    write_evaluations(tmp_path / "ppo_0", {10: [1.0]})

    (place,), _ = find_places(tmp_path)

    assert (place.path, place.files.evaluations) == (tmp_path / "ppo_0", tmp_path / "ppo_0" / "evaluations.npz")
