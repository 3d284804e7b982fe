from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import HarnessError
from harness.experiment.plan import RunSpec, plan
from harness.experiment.run_records import RunRecord, read_record, write_record
from harness.main_job import compare
from harness.training.executors.events import Finished, Job, OnEvent
from harness.training.executors.executor import Limits
from harness.training.executors.local import LocalExecutor
from harness.training.executors.stopping import StopRequest
from harness.verification import verify
from tests.harness.test_main_job import config_of

CONFIG = config_of(algorithms="[custom_ppo, ppo]", seeds="[0]")
CUSTOM, PPO = (spec for spec in plan(CONFIG))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.analysis.report.draw_all", lambda *_, **__: [])
        assert compare(CONFIG, out, 2, Console(quiet=True)) == 0
    return out


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    """Copy the results, so that a test may change them."""
    return Path(shutil.copytree(whole, tmp_path / "results"))


class Copier:
    """Executor that copies stored runs in place of training: a repetition that is known to be equal."""

    def __init__(self, source: Path) -> None:
        self.source = source

    def run(self, jobs: Iterable[Job], on_event: OnEvent, stop: StopRequest) -> None:
        for job in jobs:
            shutil.copytree(self.source / "runs" / job.spec.run_dir, job.run_path)
            record = read_record(job.run_path)
            assert record is not None
            on_event(Finished(job, record))


def verified(folder: Path, executor: Any, **choice: Any) -> tuple[int, list[str]]:
    file = io.StringIO()
    n_different = verify(folder, Console(file=file, width=500), executor, trusted=["tests"], **choice)
    return n_different, file.getvalue().splitlines()


def change(folder: Path, spec: RunSpec, **fields: Any) -> None:
    path = folder / "runs" / spec.run_dir
    record = read_record(path)
    assert record is not None
    write_record(path, replace(record, **fields))


def test_finished_runs_are_trained_again_to_the_same_bits(whole: Path) -> None:
    n_different, lines = verified(whole, LocalExecutor(2, Limits()), everything=True)

    assert n_different == 0
    assert lines[0] == f"2 of 2 finished runs in {whole} to repeat"
    assert sorted(lines[1:]) == [f"identical  {spec.label}" for spec in (CUSTOM, PPO)]


def test_one_run_is_chosen_by_the_seed(whole: Path) -> None:
    chosen = {verified(whole, Copier(whole), seed=seed)[1][1] for seed in range(10)}

    assert chosen == {f"identical  {spec.label}" for spec in (CUSTOM, PPO)}
    assert verified(whole, Copier(whole), seed=3) == verified(whole, Copier(whole), seed=3)


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edited(folder: Path) -> None:
        path = folder / "runs" / CUSTOM.run_dir / name
        path.write_text(path.read_text().replace(old, new))

    return edited


def other_reward(folder: Path) -> None:
    record = read_record(folder / "runs" / CUSTOM.run_dir)
    assert record is not None
    change(folder, CUSTOM, final_rewards=(record.final_rewards[0], *[-1.0] * (len(record.final_rewards) - 1)))


def without_an_episode(folder: Path) -> None:
    path = folder / "runs" / CUSTOM.run_dir / "1.monitor.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:4] + lines[5:]))
    change(folder, CUSTOM, files={})


def other_evaluations(folder: Path) -> None:
    shutil.copy(folder / "runs" / PPO.run_dir / "0.monitor.csv", folder / "runs" / CUSTOM.run_dir / "evaluations.npz")


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        (lambda folder: change(folder, CUSTOM, parameters_digest="0" * 64), "parameters_digest: 000000000000 and "),
        (lambda folder: change(folder, CUSTOM, steps=3), "steps: 3 and 128"),
        (other_reward, "final_rewards: episode 2"),
        (without_an_episode, "1.monitor.csv: episode 3"),
        (edit("progress.csv", "1", "2"), "progress.csv was changed after the run"),
    ],
    ids=["parameters", "steps", "rewards", "episodes", "another file"],
)
def test_a_difference_is_named(damage: Callable[[Path], None], difference: str, whole: Path, results: Path) -> None:
    damage(results)

    n_different, lines = verified(results, Copier(whole), everything=True)

    assert n_different == 1
    (line,) = [line for line in lines if line.startswith("different")]
    assert line.startswith(f"different  {CUSTOM.label}: {difference}")
    assert line.endswith("(no recorded circumstance differs)")


def test_circumstances_that_differ_are_named(whole: Path, results: Path) -> None:
    record = read_record(results / "runs" / CUSTOM.run_dir)
    assert record is not None
    versions = {**record.versions, "torch": "1.0"}
    change(results, CUSTOM, parameters_digest="0" * 64, versions=versions, cpu="Z80", threads=9)

    line = next(line for line in verified(results, Copier(whole), everything=True)[1] if line.startswith("different"))

    assert line.endswith(
        f"(torch was 1.0 and is {record.versions['torch']}; cpu was Z80 and is {record.cpu}; threads was 9 and is 1)"
    )


def test_a_record_of_an_earlier_version_can_be_verified(whole: Path, results: Path) -> None:
    path = results / "runs" / CUSTOM.run_dir / "run.json"
    data = json.loads(path.read_text())
    for key in ("files", "checksum", "hardware", "command", "config_digest", "peak_memory", "cpu_seconds"):
        del data[key]
    for key in ("attempts", "resumed_at"):
        del data[key]
    path.write_text(json.dumps(data))

    assert verified(results, Copier(whole), everything=True)[0] == 0


def test_evaluations_that_cannot_be_read_are_an_error_in_one_line(whole: Path, results: Path) -> None:
    other_evaluations(results)

    with pytest.raises(HarnessError, match=r"evaluations\.npz: cannot be read"):
        verified(results, Copier(whole), everything=True)


def test_a_folder_without_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as error:
        verified(tmp_path, Copier(tmp_path))

    assert str(error.value) == (
        f"{tmp_path / 'experiment.yml'}: there is no such file; expected the results of harness compare or train"
    )


def test_records_that_the_experiment_does_not_plan_are_not_repeated(results: Path) -> None:
    for spec in (CUSTOM, PPO):
        record = read_record(results / "runs" / spec.run_dir)
        assert isinstance(record, RunRecord)
        write_record(results / "runs" / spec.run_dir, replace(record, spec=replace(spec, algo_class="os:system")))

    with pytest.raises(HarnessError, match="holds no finished run of its experiment"):
        verified(results, Copier(results))


def test_code_of_others_is_not_run_without_being_asked_for(results: Path) -> None:
    experiment = results / "experiment.yml"
    text = experiment.read_text(encoding="utf-8").replace("class: ppo", "class: evil:PPO")
    experiment.write_text(text + "trusted_packages: [evil]\n", encoding="utf-8")

    with pytest.raises(HarnessError, match=r"evil:PPO would import evil, which runs its code.*add --trust evil"):
        verified(results, Copier(results))
