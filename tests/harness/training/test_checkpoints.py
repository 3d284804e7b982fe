"""Runs that are killed at any moment and continued end with the files of undisturbed ones, byte for byte."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.experiment.plan import RunSpec
from harness.experiment.run_folder import CHECKPOINT_NAME
from harness.experiment.run_records import RunRecord, read_record
from harness.training import checkpoints
from harness.training.checkpoint_file import KEY_VARIABLE
from harness.training.checkpoints import Checkpoint, RunPaused
from harness.training.control import Control
from harness.training.job import execute
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec
from tests.harness.training.same_results import differences

ROOT = Path(__file__).parents[3]

NO_PPO = {"batch_size": None, "n_epochs": None}
SPECS = {
    "CartPole": tiny_spec("custom_ppo", n_timesteps=1024),
    "normalised, gSDE": tiny_spec("custom_ppo", "Pendulum-v1", n_timesteps=1024, normalize=True, use_sde=True),
    "callbacks": tiny_spec(
        "custom_ppo",
        n_timesteps=1024,
        callback=[
            {"stable_baselines3.common.callbacks.CheckpointCallback": {"save_freq": 100, "save_path": "models"}},
            {"stable_baselines3.common.callbacks.StopTrainingOnMaxEpisodes": {"max_episodes": 18}},
        ],
    ),
    "A2C": tiny_spec("custom_a2c", n_timesteps=1024, n_steps=16, normalize=True, **NO_PPO),
}
SPECS = {name: replace(spec, eval_freq=192) for name, spec in SPECS.items()}


def run(spec: RunSpec, folder: Path, seconds: float = 0.0) -> RunRecord:
    record = execute(spec, folder, Control(checkpoint_seconds=seconds))
    assert record is not None
    return record


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from harness.training import callbacks, checkpoint_file, checkpoints
from harness.training.control import Control
from harness.training.job import execute
from tests.harness.training.test_checkpoints import SPECS

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

moment, number = sys.argv[3], int(sys.argv[4])
if moment == "step":
    def on_step(self):
        if self.num_timesteps >= number:
            kill()
        return True
    callbacks.ProgressReporter._on_step = on_step
else:
    counts = [0]
    def counted(original):
        def call(*arguments, **keywords):
            counts[0] += 1
            if counts[0] == number and moment != "after save":
                kill()
            result = original(*arguments, **keywords)
            if counts[0] == number:
                kill()
            return result
        return call
    if moment == "before save":
        checkpoint_file._signature = counted(checkpoint_file._signature)
    elif moment == "within save":
        Path.replace = counted(Path.replace)
    elif moment == "after save":
        checkpoints.write_checkpoint = counted(checkpoints.write_checkpoint)
    elif moment == "evaluation":
        callbacks.SaveNormalization._on_step = counted(callbacks.SaveNormalization._on_step)
execute(SPECS[sys.argv[1]], Path(sys.argv[2]), Control(checkpoint_seconds=0.0))
"""


def run_killed(name: str, folder: Path, moment: str, number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, name, str(folder), moment, str(number)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert read_record(folder) is None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("undisturbed")
    for name, spec in SPECS.items():
        run(spec, root / name, seconds=1e9)
    return {name: root / name for name in SPECS}


@pytest.mark.parametrize(
    ("name", "moment", "number"),
    [
        ("CartPole", "step", 700),
        ("CartPole", "evaluation", 1),
        ("CartPole", "after save", 3),
        ("normalised, gSDE", "step", 500),
        ("normalised, gSDE", "within save", 2),
        ("callbacks", "step", 700),
        ("A2C", "step", 777),
        ("A2C", "before save", 5),
    ],
)
def test_a_killed_run_continues_to_the_same_bytes(
    name: str, moment: str, number: int, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    run_killed(name, tmp_path / "run", moment, number)

    record = run(SPECS[name], tmp_path / "run")

    assert len(record.resumed_at) == 1
    assert list(differences(undisturbed[name], tmp_path / "run")) == []


def test_a_run_that_is_killed_twice_continues_twice(undisturbed: dict[str, Path], tmp_path: Path) -> None:
    for steps in (300, 700):
        run_killed("CartPole", tmp_path, "step", steps)

    record = run(SPECS["CartPole"], tmp_path)

    assert record.resumed_at == (256, 640)
    assert list(differences(undisturbed["CartPole"], tmp_path)) == []
    assert record.wall_seconds > record.train_seconds > 0


def test_a_run_pauses_when_asked_and_continues(undisturbed: dict[str, Path], tmp_path: Path) -> None:
    control = Control(stop_requested=True)

    assert execute(SPECS["A2C"], tmp_path, control) is None
    assert (tmp_path / CHECKPOINT_NAME).exists()

    assert run(SPECS["A2C"], tmp_path).resumed_at == (32,)
    assert list(differences(undisturbed["A2C"], tmp_path)) == []


@pytest.mark.parametrize("damage", ["truncated", "removed"])
def test_a_damaged_best_model_is_restored_from_the_checkpoint(
    damage: str, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    run_killed("normalised, gSDE", tmp_path, "step", 900)
    for path in (tmp_path / "best_model.zip", tmp_path / "Pendulum-v1" / "best_vecnormalize.pkl"):
        if damage == "truncated":
            path.write_bytes(path.read_bytes()[:100])
        else:
            path.unlink()

    record = run(SPECS["normalised, gSDE"], tmp_path)

    assert len(record.resumed_at) == 1
    assert list(differences(undisturbed["normalised, gSDE"], tmp_path)) == []


@pytest.mark.parametrize("damage", ["a digit", "truncated", "removed"])
def test_a_run_whose_episodes_were_damaged_begins_anew(
    damage: str, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    run_killed("CartPole", tmp_path, "step", 700)
    path = tmp_path / "0.monitor.csv"
    content = path.read_bytes()
    assert Checkpoint.find(tmp_path, SPECS["CartPole"]) is not None
    match damage:
        case "a digit":
            path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "removed":
            path.unlink()

    assert run(SPECS["CartPole"], tmp_path).resumed_at == ()
    assert list(differences(undisturbed["CartPole"], tmp_path)) == []


def test_what_a_killed_process_was_writing_is_removed(undisturbed: dict[str, Path], tmp_path: Path) -> None:
    run_killed("CartPole", tmp_path, "step", 700)
    (tmp_path / ".run.json.1.tmp").write_text("{")

    assert len(run(SPECS["CartPole"], tmp_path).resumed_at) == 1
    assert list(differences(undisturbed["CartPole"], tmp_path)) == []


@pytest.mark.parametrize("change", ["one byte", "truncated", "another key", "another spec", "another version"])
def test_a_checkpoint_that_is_not_certain_is_not_continued(
    change: str, undisturbed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECS["A2C"]
    execute(spec, tmp_path, Control(stop_requested=True))
    path = tmp_path / CHECKPOINT_NAME
    content = bytearray(path.read_bytes())
    assert Checkpoint.find(tmp_path, spec) is not None
    match change:
        case "one byte":
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        case "truncated":
            path.write_bytes(content[:-1])
        case "another key":
            monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        case "another spec":
            spec = replace(spec, seed=1)
        case "another version":
            monkeypatch.setattr(checkpoints, "provenance", lambda: {"versions": {"torch": "9"}})

    assert Checkpoint.find(tmp_path, spec) is None


def test_a_copied_folder_begins_anew_and_leaves_the_original_alone(
    undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    original, copy = tmp_path / "run", tmp_path / "copy"
    execute(SPECS["A2C"], original, Control(stop_requested=True))
    shutil.copytree(original, copy)
    before = {path: path.read_bytes() for path in original.rglob("*") if path.is_file()}

    assert run(SPECS["A2C"], copy).resumed_at == ()

    assert {path: path.read_bytes() for path in original.rglob("*") if path.is_file()} == before
    assert list(differences(undisturbed["A2C"], copy)) == []


def test_machines_with_one_key_in_their_environment_know_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    execute(SPECS["A2C"], tmp_path, Control(stop_requested=True))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of another machine"))

    assert Checkpoint.find(tmp_path, SPECS["A2C"]) is not None

    monkeypatch.delenv(KEY_VARIABLE)
    assert Checkpoint.find(tmp_path, SPECS["A2C"]) is None


def test_code_that_was_changed_during_a_run_makes_no_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "env.py"
    changed.write_text("")
    os.utime(changed, (time.time() + 60, time.time() + 60))
    monkeypatch.setattr(checkpoints, "_own_sources", lambda: [changed])

    run(SPECS["CartPole"], tmp_path / "run")

    assert not (tmp_path / "run" / CHECKPOINT_NAME).exists()


def test_an_environment_that_cannot_be_saved_makes_no_checkpoints(tmp_path: Path, capfd: Any) -> None:
    spec = tiny_spec("custom_ppo", FAULTY_ENV, env_kwargs={"trouble": "generator"})

    assert execute(spec, tmp_path, Control(checkpoint_seconds=0.0, stop_requested=True)) is not None
    assert "no checkpoints: an exact checkpoint is not possible" in capfd.readouterr().err


def test_other_algorithms_go_on_to_their_end(tmp_path: Path) -> None:
    record = execute(tiny_spec("ppo"), tmp_path, Control(stop_requested=True))

    assert record is not None
    assert record.status == "finished"


def test_a_pause_is_no_exception_that_others_catch() -> None:
    assert not issubclass(RunPaused, Exception)
