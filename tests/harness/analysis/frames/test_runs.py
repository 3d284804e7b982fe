from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.frames.runs import find_runs
from harness.errors import RecordError
from tests.results_factory import make_record, make_spec, write_evaluations, write_monitor, write_run

# File of rl_zoo3: yaml.dump of an OrderedDict.
ZOO_ARGS = """!!python/object/apply:collections.OrderedDict
- - - algo
    - ppo
  - - env_kwargs
    - null
  - - eval_freq
    - 25000
  - - seed
    - 2716038811
"""


def test_a_run_of_the_harness_is_identified_by_its_record(tmp_path: Path) -> None:
    folder = write_run(tmp_path, make_record(make_spec("pkg.agents:Agent", "ALE/Pong-v5", 4)))
    moved = folder.rename(tmp_path / "moved")

    (run,) = find_runs(tmp_path)

    assert (run.path, run.algo, run.env, run.seed, run.status) == (
        moved,
        "pkg.agents:Agent",
        "ALE/Pong-v5",
        4,
        "finished",
    )


def test_a_zoo_log_is_named_by_its_folders_and_seeded_by_its_arguments(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "ppo" / "CartPole-v1_3"
    write_monitor(folder / "0.monitor.csv", [(1.0, 1)])
    (folder / "CartPole-v1").mkdir()
    (folder / "CartPole-v1" / "args.yml").write_text(ZOO_ARGS)

    (run,) = find_runs(tmp_path)

    assert (run.algo, run.env, run.seed, run.status) == ("ppo", "CartPole-v1", 2716038811, "foreign")


def test_zoo_arguments_that_would_run_code_are_read_as_data(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "CartPole-v1_3"
    write_monitor(folder / "0.monitor.csv", [(1.0, 1)])
    (folder / "CartPole-v1").mkdir()
    evil = f"a: !!python/object/apply:os.mkdir ['{tmp_path}/made']\nseed: 5\n"
    (folder / "CartPole-v1" / "args.yml").write_text(evil)

    (run,) = find_runs(tmp_path)

    assert run.seed == 5
    assert not (tmp_path / "made").exists()


def test_a_zoo_log_without_arguments_has_the_number_of_its_folder_as_seed(tmp_path: Path) -> None:
    write_evaluations(tmp_path / "a2c" / "Acrobot-v1_7", {10: [1.0]})

    (run,) = find_runs(tmp_path)

    assert (run.algo, run.env, run.seed) == ("a2c", "Acrobot-v1", 7)


def test_a_zoo_folder_with_a_uuid_is_understood(tmp_path: Path) -> None:
    write_evaluations(tmp_path / "ppo" / "Acrobot-v1_7_0c94b1b6-2f3c-4b9e-8c3a-0a1b2c3d4e5f", {10: [1.0]})

    (run,) = find_runs(tmp_path)

    assert (run.env, run.seed) == ("Acrobot-v1", 7)


def test_the_monitor_header_names_an_environment_that_a_folder_cannot(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo" / "ALE-Pong-v5_1" / "0.monitor.csv", [], env_id="ALE/Pong-v5")

    (run,) = find_runs(tmp_path)

    assert run.env == "ALE/Pong-v5"


def test_a_bare_folder_of_monitors_is_named_after_its_algorithm(tmp_path: Path) -> None:
    write_monitor(tmp_path / "sac" / "monitor.csv", [(1.0, 1)], env_id="Pendulum-v1")

    (run,) = find_runs(tmp_path)

    assert (run.algo, run.env, run.seed) == ("sac", "Pendulum-v1", 0)


def test_the_folder_itself_may_be_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "CartPole-v1_2"
    write_monitor(folder / "0.monitor.csv", [])

    (run,) = find_runs(folder)

    assert (run.path, run.algo, run.seed) == (folder, "ppo", 2)


def test_a_log_within_a_run_is_no_run_of_its_own(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo" / "CartPole-v1_2" / "0.monitor.csv", [])
    write_monitor(tmp_path / "ppo" / "CartPole-v1_2" / "eval" / "0.monitor.csv", [])

    assert len(find_runs(tmp_path)) == 1


@pytest.mark.parametrize("sign", ["a record beside it", "the experiment above it"])
def test_a_harness_folder_without_a_record_is_an_interrupted_run(tmp_path: Path, sign: str) -> None:
    if sign == "a record beside it":
        write_run(tmp_path, make_record(make_spec(seed=0)))
    else:
        (tmp_path / "experiment.yml").write_text("")
    write_monitor(tmp_path / "runs" / "ppo" / "CartPole-v1_4" / "0.monitor.csv", [(9.0, 9)])

    run = find_runs(tmp_path / "runs")[-1]

    assert (run.seed, run.status, run.record) == (3, "missing", None)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as error:
        find_runs(tmp_path / "nowhere")

    assert str(error.value) == (
        f"{tmp_path}/nowhere: is not a folder, expected results of `harness compare` or logs of SB3 or rl_zoo3"
    )


def test_arguments_that_are_not_yaml_are_an_error_of_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "CartPole-v1_1"
    write_monitor(folder / "0.monitor.csv", [])
    (folder / "CartPole-v1").mkdir()
    (folder / "CartPole-v1" / "args.yml").write_text("a: [1\nb: {")

    with pytest.raises(RecordError) as error:
        find_runs(tmp_path)

    assert str(error.value).startswith(f"{folder}/CartPole-v1/args.yml: cannot be read (")
    assert "\n" not in str(error.value)
