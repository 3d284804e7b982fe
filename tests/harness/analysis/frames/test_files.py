from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.frames.files import monitor_env_id, monitor_paths, read_evaluations, read_monitors, read_progress
from harness.errors import RecordError
from tests.results_factory import write_evaluations, write_monitor, write_progress


def test_an_episode_ends_at_n_envs_times_the_steps_of_its_sub_environment(tmp_path: Path) -> None:
    write_monitor(tmp_path / "0.monitor.csv", [(1.0, 3), (2.0, 4)])
    write_monitor(tmp_path / "1.monitor.csv", [(5.0, 5), (6.0, 2), (7.0, 9)])

    episodes = read_monitors(tmp_path, partial=False)

    # By hand: the first ends episodes at its steps 3 and 7, the second at 5, 7 and 16; both step together.
    assert episodes["timestep"].tolist() == [6, 10, 14, 14, 32]
    assert episodes["reward"].tolist() == [1.0, 5.0, 2.0, 6.0, 7.0]
    assert episodes["length"].tolist() == [3, 5, 4, 2, 9]


def test_the_timestep_equals_that_of_a_simulated_vector_environment(tmp_path: Path) -> None:
    lengths = [[2, 5, 1], [4, 4], [1, 1, 1, 1, 3]]
    finished, remaining = [], [list(own) for own in lengths]
    for tick in range(1, 9):
        for index, own in enumerate(remaining):
            if own:
                own[0] -= 1
                if own[0] == 0:
                    own.pop(0)
                    finished.append((tick * 3, index))
    for index, own in enumerate(lengths):
        write_monitor(tmp_path / f"{index}.monitor.csv", [(float(index), length) for length in own])

    episodes = read_monitors(tmp_path, partial=False)

    assert list(zip(episodes["timestep"], episodes["reward"], strict=True)) == finished


def test_ten_sub_environments_are_ordered_by_number(tmp_path: Path) -> None:
    for index in range(11):
        write_monitor(tmp_path / f"{index}.monitor.csv", [(float(index), 7)])

    assert [path.name for path in monitor_paths(tmp_path)] == [f"{index}.monitor.csv" for index in range(11)]
    assert read_monitors(tmp_path, partial=False)["reward"].tolist() == list(range(11))


def test_seconds_count_from_the_environment_that_was_made_first(tmp_path: Path) -> None:
    write_monitor(tmp_path / "0.monitor.csv", [(1.0, 1000)], t_start=100.0)
    write_monitor(tmp_path / "1.monitor.csv", [(1.0, 2000)], t_start=107.0)

    assert read_monitors(tmp_path, partial=False)["seconds"].tolist() == [1.0, 9.0]


def test_a_folder_without_files_has_no_rows_but_all_columns(tmp_path: Path) -> None:
    assert read_monitors(tmp_path, partial=False).dtypes.to_dict() == {
        "timestep": np.int64,
        "reward": np.float64,
        "length": np.int64,
        "seconds": np.float64,
    }
    assert list(read_evaluations(tmp_path, partial=False)) == ["timestep", "reward", "std", "length", "n_episodes"]
    assert list(read_progress(tmp_path, partial=False)) == ["timestep", "key", "value"]


def test_a_monitor_without_a_finished_episode_has_no_rows(tmp_path: Path) -> None:
    write_monitor(tmp_path / "0.monitor.csv", [])

    assert read_monitors(tmp_path, partial=False).empty


def test_the_environment_is_that_of_the_first_header_that_names_one(tmp_path: Path) -> None:
    write_monitor(tmp_path / "0.monitor.csv", [], env_id="None")
    assert monitor_env_id(tmp_path) is None
    write_monitor(tmp_path / "1.monitor.csv", [], env_id="ALE/Pong-v5")
    assert monitor_env_id(tmp_path) == "ALE/Pong-v5"


@pytest.fixture
def cut_monitor(tmp_path: Path) -> Path:
    path = tmp_path / "0.monitor.csv"
    write_monitor(path, [(1.5, 3), (2.5, 4)])
    path.write_bytes(path.read_bytes()[:-4])
    return path


def test_a_killed_run_keeps_the_episodes_before_a_truncated_line(cut_monitor: Path) -> None:
    assert read_monitors(cut_monitor.parent, partial=True)["reward"].tolist() == [1.5]


def test_a_truncated_line_is_an_error_in_a_finished_run(cut_monitor: Path) -> None:
    with pytest.raises(RecordError) as error:
        read_monitors(cut_monitor.parent, partial=False)

    assert str(error.value) == f"{cut_monitor}:4: ends within a line; move the run's folder away and run it again"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "ValueError: no header"),
        ('#{"t_start": 1}\nreward,length\n1,2\n', "ValueError: 'r' is not in list"),
        ('#{"env_id": "X"}\nr,l,t\n1,2,3\n', "KeyError: 't_start'"),
        ('#{"t_start": 1}\nr,l,t\n1,0,3\n', "ValueError: an episode without a length"),
        ('#{"t_start": 1}\nr,l,t\n1,2,3\n1,x,3\n', "could not convert string 'x' to float64 at row 1, column 2"),
    ],
)
def test_a_damaged_monitor_is_an_error_only_in_a_finished_run(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "0.monitor.csv"
    path.write_text(content)

    with pytest.raises(RecordError) as error:
        read_monitors(tmp_path, partial=False)

    assert str(error.value).startswith(f"{path}: cannot be read (")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert read_monitors(tmp_path, partial=True).empty


def test_a_lost_monitor_is_an_error_because_it_would_shift_every_timestep(tmp_path: Path) -> None:
    for index in (0, 1, 3):
        write_monitor(tmp_path / f"{index}.monitor.csv", [(1.0, 1)])

    with pytest.raises(RecordError) as error:
        read_monitors(tmp_path, partial=False)

    assert str(error.value) == (
        f"{tmp_path}: 2.monitor.csv is missing between 0.monitor.csv and 3.monitor.csv; "
        "restore it, or move the run's folder away and run it again"
    )
    assert read_monitors(tmp_path, partial=True)["timestep"].tolist() == [4, 4, 4]


def test_evaluations_are_summarised_over_their_episodes(tmp_path: Path) -> None:
    write_evaluations(tmp_path, {500: [1.0, 3.0], 1000: [4.0, 4.0]})

    evaluations = read_evaluations(tmp_path, partial=False)

    assert evaluations.to_dict("list") == {
        "timestep": [500, 1000],
        "reward": [2.0, 4.0],
        "std": [1.0, 0.0],
        "length": [2.0, 4.0],
        "n_episodes": [2, 2],
    }


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_truncated_evaluations_are_an_error_only_in_a_finished_run(tmp_path: Path, keep: int) -> None:
    write_evaluations(tmp_path, {500: [1.0, 3.0]})
    path = tmp_path / "evaluations.npz"
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(RecordError) as error:
        read_evaluations(tmp_path, partial=False)

    assert str(error.value).startswith(f"{path}: cannot be read (")
    assert read_evaluations(tmp_path, partial=True).empty


def test_pickled_evaluations_are_not_unpickled(tmp_path: Path) -> None:
    array = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "evaluations.npz", timesteps=array, results=array, ep_lengths=array)

    with pytest.raises(RecordError, match="allow_pickle=False"):
        read_evaluations(tmp_path, partial=False)


def test_a_blank_cell_of_the_log_is_absent_and_not_zero(tmp_path: Path) -> None:
    write_progress(
        tmp_path,
        [
            {"time/total_timesteps": 128, "rollout/ep_rew_mean": 0.0},
            {"time/total_timesteps": 256, "rollout/ep_rew_mean": 9.5, "train/approx_kl": 0.1},
            {"eval/mean_reward": 7.0},
        ],
    )

    progress = read_progress(tmp_path, partial=False)

    assert list(progress.itertuples(index=False, name=None)) == [
        (128, "rollout/ep_rew_mean", 0.0),
        (256, "rollout/ep_rew_mean", 9.5),
        (256, "train/approx_kl", 0.1),
    ]


def test_text_in_the_log_is_left_out_and_the_numbers_beside_it_are_kept(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text('note,time/total_timesteps,x\n"a, b",128,1.5\n3,256,\n')

    progress = read_progress(tmp_path, partial=False)

    assert list(progress.itertuples(index=False, name=None)) == [(128, "x", 1.5), (256, "note", 3.0)]


def test_a_log_without_timesteps_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text("x\n1\n")

    with pytest.raises(RecordError, match="no column time/total_timesteps"):
        read_progress(tmp_path, partial=False)
    assert read_progress(tmp_path, partial=True).empty


@given(value=st.floats(allow_nan=False))
def test_every_number_of_the_log_is_read_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, value: float
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write_progress(folder, [{"time/total_timesteps": 1, "x": value}])

    assert read_progress(folder, partial=False)["value"].tolist() == [value]


@pytest.fixture
def quiet_sb3() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet_sb3")
def test_files_of_sb3_are_read_as_sb3_reads_them(tmp_path: Path) -> None:
    monitor = pytest.importorskip("stable_baselines3.common.monitor")
    logger = pytest.importorskip("stable_baselines3.common.logger")
    header = {"t_start": 50.0, "env_id": "CartPole-v1"}
    for index in range(2):
        writer = monitor.ResultsWriter(str(tmp_path / str(index)), header=header, extra_keys=("is_success",))
        for episode in range(3):
            writer.write_row(
                {"r": 0.1 * episode + index, "l": 10 + episode, "t": episode + 0.5 * index, "is_success": 1}
            )
        writer.close()
    log = logger.CSVOutputFormat(str(tmp_path / "progress.csv"))
    log.write({"time/total_timesteps": 66, "a": 1.5}, {"time/total_timesteps": (), "a": ()})
    log.write({"time/total_timesteps": 99, "b": -2.0}, {"time/total_timesteps": (), "b": ()})
    log.close()

    episodes = read_monitors(tmp_path, partial=False)
    expected = monitor.load_results(str(tmp_path))  # sorted by time, which is the order of steps here

    assert episodes["reward"].tolist() == expected["r"].tolist()
    assert episodes["length"].tolist() == expected["l"].tolist()
    assert episodes["seconds"].tolist() == expected["t"].tolist()
    rows = list(read_progress(tmp_path, partial=False).itertuples(index=False, name=None))
    assert rows == [(66, "a", 1.5), (99, "b", -2.0)]


def become_folder(path: Path) -> None:
    path.mkdir()


def become_loop(path: Path) -> None:
    path.symlink_to(path)


def become_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("change", [become_folder, become_loop, become_pipe])
@pytest.mark.parametrize(
    ("name", "read"),
    [("0.monitor.csv", read_monitors), ("evaluations.npz", read_evaluations), ("progress.csv", read_progress)],
)
def test_what_is_no_file_is_an_error_in_one_line(
    name: str, read: Callable[..., pd.DataFrame], change: Callable[[Path], None], tmp_path: Path
) -> None:
    change(tmp_path / name)
    if (name, change) == ("progress.csv", become_loop):
        pytest.skip("a link to nothing is no file at all, and a log may be missing")

    with pytest.raises(RecordError) as error:
        read(tmp_path, partial=False)

    assert str(error.value).startswith(f"{tmp_path / name}: cannot be read (")
    assert "\n" not in str(error.value)
    assert read(tmp_path, partial=True).empty


def test_a_header_that_is_nested_deeply_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "0.monitor.csv").write_text("#" + "[" * 100_000 + "\nr,l,t\n1,2,3\n")

    with pytest.raises(RecordError, match="RecursionError"):
        read_monitors(tmp_path, partial=False)
    assert monitor_env_id(tmp_path) is None


def test_a_long_file_is_read_to_the_last_bit_like_a_short_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    returns = rng.normal(size=5000) * 10.0 ** rng.integers(-20, 20, 5000)
    path = tmp_path / "0.monitor.csv"
    rows = "".join(f"{value!r},1,0.5\r\n" for value in returns.tolist())
    path.write_bytes(f'#{{"t_start": 1}}\r\nr,l,t\r\n{rows}'.encode())
    assert path.stat().st_size > 50_000  # from which on pandas reads it

    assert read_monitors(tmp_path, partial=False)["reward"].tolist() == returns.tolist()


def test_a_blank_cell_of_a_long_file_is_damage_and_not_nan(tmp_path: Path) -> None:
    rows = "1.5,1,0.5\n" * 6000 + ",1,0.5\n"
    (tmp_path / "0.monitor.csv").write_text(f'#{{"t_start": 1}}\nr,l,t\n{rows}')

    with pytest.raises(RecordError, match="could not convert string '' to float64 at row 6000"):
        read_monitors(tmp_path, partial=False)


def test_evaluations_of_an_old_version_of_sb3_are_read(tmp_path: Path) -> None:
    results = np.array([[[1.0], [3.0]]])
    np.savez(tmp_path / "evaluations.npz", timesteps=[10], results=results, ep_lengths=[[1, 1]])

    assert read_evaluations(tmp_path, partial=False)["reward"].tolist() == [2.0]
