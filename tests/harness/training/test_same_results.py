from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.experiment.run_records import write_record
from harness.training import train
from harness.training.envs import SB3_CLASSES
from harness.training.train import train_run
from tests.harness.toy_subjects import tiny_spec
from tests.harness.training.same_results import differences


def write_results(folder: Path) -> None:
    folder.mkdir()
    (folder / "run.json").write_text('{"started": "today", "steps": 5}')
    (folder / "progress.csv").write_text("time/fps,train/loss\n100,0.5\n")
    (folder / "0.monitor.csv").write_text('#{"t_start": 1.0, "env_id": "CartPole-v1"}\nr,l,t\n1.0,9,0.1\n')
    np.savez(folder / "evaluations.npz", results=np.array([[1.0, 2.0]]))


def replace(name: str, old: str, new: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (replace("run.json", "today", "tomorrow"), []),
        (replace("progress.csv", "100", "101"), []),
        (replace("0.monitor.csv", "0.1", "0.2"), []),
        (replace("run.json", "5", "6"), ["run.json: /steps: 5 and 6"]),
        (replace("progress.csv", "0.5", "0.6"), ["progress.csv: [0]/train/loss: 0.5 and 0.6"]),
        (replace("0.monitor.csv", ",9,", ",8,"), ["0.monitor.csv: [1][0]/l: 9 and 8"]),
    ],
)
def test_only_differences_that_a_clock_does_not_explain_are_named(
    change: Callable[[Path], Any], expected: list[str], tmp_path: Path
) -> None:
    for name in ("before", "after"):
        write_results(tmp_path / name)
    change(tmp_path / "after")

    assert list(differences(tmp_path / "before", tmp_path / "after")) == expected


def test_another_last_bit_of_an_evaluation_and_a_missing_file_are_named(tmp_path: Path) -> None:
    for name in ("before", "after"):
        write_results(tmp_path / name)
    np.savez(tmp_path / "after" / "evaluations.npz", results=np.array([[1.0, np.nextafter(2, 3)]]))
    (tmp_path / "after" / "run.json").unlink()

    (missing, other) = differences(tmp_path / "before", tmp_path / "after")

    assert missing == f"run.json: only in {tmp_path / 'before'}"
    assert other.startswith("evaluations.npz: /results")


@pytest.mark.parametrize(
    ("algo", "hyperparams"),
    [
        ("custom_ppo", {"normalize": True}),
        ("ppo", {"normalize": True}),
        ("a2c", {"n_steps": 16, "batch_size": None, "n_epochs": None}),
    ],
)
def test_a_run_leaves_the_files_that_it_leaves_with_sb3s_own_environments(
    algo: str, hyperparams: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec(algo, n_timesteps=512, **hyperparams)
    lean, usual = tmp_path / "lean", tmp_path / "usual"
    write_record(lean, train_run(spec, lean))

    monkeypatch.setattr(train, "lean_classes", lambda: SB3_CLASSES)
    write_record(usual, train_run(spec, usual))

    assert list(differences(usual, lean)) == []
    assert json.loads((lean / "run.json").read_text())["status"] == "finished"
