from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.config import parse_config
from harness.errors import RecordError
from harness.experiment.inventory import find_experiments, problems_of, runs_at, take_inventory
from harness.experiment.plan import plan
from tests.results_factory import failed, make_record, write_run

EXPERIMENT = """\
name: tiny
algorithms: [ppo]
environments: {CartPole-v1: {n_timesteps: 1000}}
seeds: 0-5
evaluation: {n_evaluations: 2, n_eval_episodes: 5, n_final_episodes: 10}
hyperparameters: {ppo: {default: {policy: MlpPolicy}}}
"""
SPECS = plan(parse_config(EXPERIMENT, Path("experiment.yml")))


def write_every_state(root: Path) -> Path:
    """Write an experiment whose seeds 0 to 5 are finished, failed, stale, damaged, interrupted, and never begun."""
    write_run(root, make_record(SPECS[0]))
    write_run(root, failed(make_record(SPECS[1])))
    write_run(root, make_record(dataclasses.replace(SPECS[2], n_timesteps=7)))
    write_run(root, make_record(SPECS[3]))
    (root / "runs" / SPECS[3].run_dir / "run.json").write_text('{"schema": 1, "sp')
    write_run(root, make_record(SPECS[4]), progress=[{"a": 1.0}])
    (root / "runs" / SPECS[4].run_dir / "run.json").unlink()
    write_run(root, make_record(dataclasses.replace(SPECS[0], seed=99)))
    (root / "experiment.yml").write_text(EXPERIMENT)
    return root


def test_every_planned_run_has_a_state_and_others_are_stale(tmp_path: Path) -> None:
    experiment = take_inventory(write_every_state(tmp_path))

    assert [(run.seed, run.state) for run in experiment.runs] == [
        (0, "finished"),
        (1, "failed"),
        (2, "stale"),
        (3, "damaged"),
        (4, "missing"),
        (5, "missing"),
        (99, "stale"),
    ]
    assert (experiment.count("missing"), experiment.count("stale", "damaged"), experiment.problem) == (2, 3, "")
    assert [run.problem.removeprefix(str(tmp_path))[:40] for run in experiment.runs] == [
        "",
        "ValueError: NaN in the policy",
        "has other settings than in experiment.ym",
        "/runs/ppo/CartPole-v1_4/run.json: cannot",
        "was interrupted before its record was wr",
        "has not been run",
        "is not in experiment.yml",
    ]


def test_an_experiment_without_readable_plan_has_the_runs_on_disk(tmp_path: Path) -> None:
    write_every_state(tmp_path)
    (tmp_path / "experiment.yml").write_text("name: [")

    experiment = take_inventory(tmp_path)

    assert [(run.seed, run.state) for run in experiment.runs] == [
        (0, "finished"),
        (1, "failed"),
        (2, "finished"),
        (3, "damaged"),
        (4, "foreign"),
        (99, "finished"),
    ]
    assert experiment.problem.startswith(f"{tmp_path}/experiment.yml:1")


def test_experiments_are_found_at_any_depth(tmp_path: Path) -> None:
    write_every_state(tmp_path / "a")
    write_run(tmp_path / "b" / "c", make_record(SPECS[0]))
    (tmp_path / "empty" / "runs").mkdir(parents=True)

    assert [path.relative_to(tmp_path).as_posix() for path in find_experiments(tmp_path)] == ["a", "b/c"]
    assert find_experiments(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(RecordError, match=r"nowhere: is not a folder, expected results of"):
        find_experiments(tmp_path / "nowhere")


def test_runs_are_found_from_a_run_a_subfolder_and_the_results(tmp_path: Path) -> None:
    write_every_state(tmp_path)
    run = tmp_path / "runs" / SPECS[0].run_dir

    assert [found.path for found in runs_at([run])] == [run]
    assert [found.seed for found in runs_at([tmp_path / "runs" / "ppo"])] == [0, 1, 2, 3, 4, 99]
    assert len(runs_at([tmp_path, run, tmp_path / "runs"])) == 7, "no run counts twice"


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("x")
    with pytest.raises(RecordError, match=r"a\.yml: is a file, expected the folder of a run, or a folder with results"):
        runs_at([tmp_path / "a.yml"])
    (tmp_path / "a.yml").unlink()
    with pytest.raises(RecordError, match=r": holds no runs, expected results of `harness compare`"):
        runs_at([tmp_path])


def test_runs_are_grouped_by_their_problem(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, failed(make_record(SPECS[seed])))

    ((problem, runs),) = problems_of(take_inventory(tmp_path).runs).items()

    assert (problem, [run.seed for run in runs]) == ("ValueError: NaN in the policy", [0, 1])
