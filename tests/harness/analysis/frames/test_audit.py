from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.frames import Reading, load_results
from harness.analysis.frames.pattern import path_pattern
from harness.errors import RecordError
from tests.results_factory import (
    make_record,
    make_spec,
    write_evaluations,
    write_monitor,
    write_progress,
    write_run,
)


def logs(folder: Path, algo: str, steps: Sequence[int], env: str = "CartPole-v1") -> None:
    for seed, n_steps in enumerate(steps):
        path = folder / algo / f"{env}_{seed + 1}" / "0.monitor.csv"
        write_monitor(path, [(10.0, 10)] * (n_steps // 10), env_id=env)


def test_a_log_that_stops_at_two_fifths_has_failed_and_says_so(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 410, 1000, 960])

    runs = load_results(tmp_path).runs

    assert runs["status"].tolist() == ["foreign", "failed", "foreign", "foreign"]
    assert runs["error"][1] == "Ended early: after 410 steps, 42% of the 980 that are usual here"
    assert runs["score"].isna().tolist() == [False, True, False, False]


def test_the_steps_that_the_zoo_was_asked_for_are_those_of_a_complete_run(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [410, 410])
    for number, line in ((1, "- - - n_timesteps\n    - 1000.0\n"), (2, "n_timesteps: 410\n")):
        settings = tmp_path / "ppo" / f"CartPole-v1_{number}" / "CartPole-v1" / "config.yml"
        settings.parent.mkdir()
        settings.write_text("!!python/object/apply:collections.OrderedDict\n" + line if "- -" in line else line)

    runs = load_results(tmp_path).runs

    assert runs["error"].tolist() == ["Ended early: after 410 steps, 41% of the 1,000 that its settings ask for", ""]


def test_another_budget_of_another_algorithm_is_no_failure(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 1000])
    logs(tmp_path, "a2c", [400, 400])

    assert set(load_results(tmp_path).runs["status"]) == {"foreign"}


def test_runs_of_the_harness_are_left_as_they_are(tmp_path: Path) -> None:
    write_run(tmp_path, replace(make_record(make_spec(seed=0)), steps=100))
    write_run(tmp_path, make_record(make_spec(seed=1)))
    write_run(tmp_path, make_record(make_spec(seed=2)))

    assert set(load_results(tmp_path).runs["status"]) == {"finished"}


def test_a_broken_line_fails_the_run_and_is_named(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 1000])
    path = tmp_path / "ppo" / "CartPole-v1_2" / "0.monitor.csv"
    path.write_text(path.read_text().replace("10.0,10,0.5\n", "10.0,x,0.5\n"))

    results = load_results(tmp_path)

    assert results.runs["status"].tolist() == ["foreign", "failed"]
    assert results.runs["error"][1].startswith(f"Unreadable: {path}: cannot be read (ValueError: could not convert")
    assert results.audit["remarks"].tolist() == ["", results.runs["error"][1]]


def test_a_broken_log_keeps_the_score_of_its_evaluations(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 1000])
    for number in (1, 2):
        write_evaluations(tmp_path / "ppo" / f"CartPole-v1_{number}", {1000: [7.0, 9.0]})
    (tmp_path / "ppo" / "CartPole-v1_2" / "0.monitor.csv").write_bytes(b"\xff\x00\n\n\n")

    results = load_results(tmp_path)

    assert results.runs["score"].tolist() == [8.0, 8.0]
    assert "cannot be read" in results.audit["remarks"][1]
    assert set(results.episodes["seed"]) == {1}


def test_a_cut_line_is_left_out_and_told(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000])
    path = tmp_path / "ppo" / "CartPole-v1_1" / "0.monitor.csv"
    path.write_bytes(path.read_bytes()[:-4])

    results = load_results(tmp_path)

    assert (results.runs["status"][0], results.runs["steps"][0]) == ("foreign", 990)
    assert results.audit["remarks"][0] == f"{path}:102: ends within a line, which is left out"


def test_a_run_without_a_finished_episode_has_failed(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 0])

    runs = load_results(tmp_path).runs

    assert runs["error"].tolist() == ["", "Empty: no episode was finished"]


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), float("-inf")])
def test_a_return_that_is_not_finite_fails_the_run(reward: float, tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000])
    write_monitor(tmp_path / "ppo" / "CartPole-v1_2" / "0.monitor.csv", [(10.0, 10)] * 50 + [(reward, 500)])

    results = load_results(tmp_path)

    assert results.runs["error"][1] == f"Not finite: the return of the episode at step 1,000 is {reward}"
    assert results.episodes["reward"].tolist() == [10.0] * 150


def test_scores_come_from_the_source_that_all_runs_have(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 1000])
    logs(tmp_path, "ppo", [1000], env="Acrobot-v1")
    write_evaluations(tmp_path / "ppo" / "CartPole-v1_1", {1000: [500.0]})
    write_evaluations(tmp_path / "ppo" / "Acrobot-v1_1", {1000: [500.0]})

    runs = load_results(tmp_path).runs.set_index(["env", "seed"])

    assert runs["score_source"].to_dict() == {
        ("Acrobot-v1", 1): "last_evaluation",
        ("CartPole-v1", 1): "last_episodes",
        ("CartPole-v1", 2): "last_episodes",
    }


def test_runs_without_a_common_source_are_scored_as_well_as_they_can(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000])
    write_evaluations(tmp_path / "ppo" / "CartPole-v1_2", {1000: [500.0]})

    assert load_results(tmp_path).runs["score_source"].tolist() == ["last_episodes", "last_evaluation"]


def test_a_source_that_is_asked_for_fails_runs_that_do_not_have_it(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 1000])
    write_evaluations(tmp_path / "ppo" / "CartPole-v1_1", {1000: [500.0]})

    runs = load_results(tmp_path, reading=Reading(score="evaluations")).runs

    assert runs["score_source"].tolist() == ["last_evaluation", ""]
    assert runs["error"].tolist() == ["", "No score: the log holds no evaluations"]


def test_the_harness_and_others_are_scored_alike(tmp_path: Path) -> None:
    write_run(tmp_path / "ours", make_record(make_spec("ppo"), [9.0]), evaluations={1000: [1.0, 3.0]})
    write_evaluations(tmp_path / "theirs" / "a2c" / "CartPole-v1_1", {1000: [5.0]})

    runs = load_results(tmp_path / "ours", tmp_path / "theirs").runs

    assert runs["score"].tolist() == [2.0, 5.0]
    assert runs["score_source"].tolist() == ["last_evaluation"] * 2


def test_a_logged_mean_is_a_score_if_there_is_no_other(tmp_path: Path) -> None:
    rows = [{"time/total_timesteps": step, "rollout/ep_rew_mean": step / 2} for step in (10, 20)]
    write_progress(tmp_path / "ppo" / "CartPole-v1_1", rows)

    (row,) = load_results(tmp_path).runs.to_dict("records")

    assert (row["score"], row["score_source"], row["status"]) == (10.0, "logged_mean", "foreign")


def test_a_common_budget_compares_all_runs_at_the_steps_of_the_shortest(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 600])
    write_evaluations(tmp_path / "ppo" / "CartPole-v1_1", {600: [1.0], 1000: [5.0]})
    write_evaluations(tmp_path / "ppo" / "CartPole-v1_2", {600: [2.0]})
    logs(tmp_path, "ppo", [50], env="Acrobot-v1")

    results = load_results(tmp_path, reading=Reading(budget="common"))

    assert results.runs["steps"].tolist() == [50, 600, 600]
    assert results.runs["score"].tolist() == [10.0, 1.0, 2.0]
    assert results.episodes.groupby("env", observed=True)["timestep"].max().tolist() == [50, 600]


def test_a_run_that_does_not_reach_the_budget_has_failed(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 600])

    runs = load_results(tmp_path, reading=Reading(budget=800)).runs

    assert runs["steps"].tolist() == [800, 600]
    assert runs["error"].tolist() == ["", "Ended early: after 600 steps, 75% of the budget 800"]


def test_frames_of_an_atari_game_are_counted_as_steps(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "PongNoFrameskip-v4_1"
    write_monitor(folder / "0.monitor.csv", [(1.0, 400)] * 10, env_id="PongNoFrameskip-v4")
    write_evaluations(folder, {1000: [1.0]})

    results = load_results(tmp_path)

    assert results.runs["steps"].tolist() == [1000]
    assert results.episodes["timestep"].tolist() == list(range(100, 1001, 100))
    assert results.audit["remarks"].tolist() == ["its Monitor files count 4 frames for each step"]


def test_the_audit_has_a_row_for_each_run_and_each_file_left_out(tmp_path: Path) -> None:
    logs(tmp_path, "ppo", [1000, 410, 1000])
    (tmp_path / "ppo" / "CartPole-v1_9").mkdir()

    audit = load_results(tmp_path).audit

    assert audit["file"].tolist() == [str(tmp_path / "ppo" / f"CartPole-v1_{number}") for number in (1, 2, 3, 9)]
    assert audit["status"].tolist() == ["foreign", "failed", "foreign", "left out"]
    assert audit["steps"].fillna(-1).tolist() == [1000, 410, 1000, -1]
    assert audit["layout"].tolist() == ["{algo}/{env}_{seed}"] * 3 + [""]


def test_a_pattern_names_runs_and_leaves_out_others(tmp_path: Path) -> None:
    for name in ("mine-Drone-3", "theirs-Drone-3", "notes"):
        write_monitor(tmp_path / name / "monitor.csv", [(1.0, 1)], env_id="None")

    results = load_results(tmp_path, reading=Reading(pattern=path_pattern("{algo}-{env}-{seed}")))

    assert list(zip(results.runs["algo"], results.runs["env"], results.runs["seed"], strict=True)) == [
        ("mine", "Drone", 3),
        ("theirs", "Drone", 3),
    ]
    assert results.audit["remarks"].tolist()[-1] == 'does not match --pattern "{algo}-{env}-{seed}"'


def test_seeds_that_a_pattern_does_not_name_are_counted(tmp_path: Path) -> None:
    for name in ("ppo/x", "ppo/y", "a2c/x"):
        write_monitor(tmp_path / name / "monitor.csv", [(1.0, 1)])

    runs = load_results(tmp_path, reading=Reading(pattern=path_pattern("{algo}/*"))).runs

    assert list(zip(runs["algo"], runs["env"], runs["seed"], strict=True)) == [
        ("a2c", "CartPole-v1", 0),
        ("ppo", "CartPole-v1", 0),
        ("ppo", "CartPole-v1", 1),
    ]


def test_a_name_that_cannot_be_guessed_is_asked_for_with_a_pattern(tmp_path: Path) -> None:
    for name in ("foo_bar_1", "foo_baz_1"):
        write_monitor(tmp_path / name / "monitor.csv", [(1.0, 1)], env_id="None")

    with pytest.raises(RecordError) as error:
        load_results(tmp_path)

    assert str(error.value) == (
        f"{tmp_path}/foo_bar_1: does not say which environment it is of; say what the parts of the paths are, such as "
        '--pattern "{algo}_{env}_{seed}" (without {env}: the same for all)'
    )


def test_a_run_without_an_environment_is_of_the_only_one_and_says_so(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo_seed0.monitor.csv", [(1.0, 1)])
    (tmp_path / "ppo_seed1.monitor.csv").write_bytes(b"\xff")

    results = load_results(tmp_path)

    assert results.runs["env"].tolist() == ["CartPole-v1"] * 2
    assert "environment taken from the other runs: CartPole-v1" in results.audit["remarks"][1]


def test_settings_in_the_path_tell_runs_of_one_name_apart(tmp_path: Path) -> None:
    for setting in ("fast", "slow"):
        for seed in (0, 1):
            write_monitor(tmp_path / setting / "ppo" / f"CartPole-v1_{seed}" / "0.monitor.csv", [(1.0, 1)])

    assert load_results(tmp_path).algos == ("fast/ppo", "slow/ppo")


def test_runs_that_cannot_be_told_apart_are_an_error_with_a_way_out(tmp_path: Path) -> None:
    for name in ("ppo_seed1", "ppo_run1"):
        write_monitor(tmp_path / name / "monitor.csv", [(1.0, 1)])

    with pytest.raises(RecordError) as error:
        load_results(tmp_path)

    assert str(error.value).startswith(f"{tmp_path}/ppo_seed1: holds ppo CartPole-v1 seed 1, and so does {tmp_path}/")
    assert str(error.value).endswith('say what the parts of the paths are: --pattern "{algo}_{env}_seed{seed}"')


def test_a_folder_that_was_renamed_is_told(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo" / "Pendulum-v1_1" / "0.monitor.csv", [(1.0, 1)], env_id="Pendulum-v0")

    results = load_results(tmp_path)

    assert results.runs[["algo", "env"]].to_numpy().tolist() == [["ppo", "Pendulum-v0"]]
    assert results.audit["remarks"].tolist() == ["its path names Pendulum-v1, its Monitor file Pendulum-v0"]
