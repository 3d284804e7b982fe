from __future__ import annotations

import fcntl
import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import HarnessError, RecordError
from harness.experiment.inventory import take_inventory
from harness.housekeeping.cleaning import clean, removable
from tests.harness.experiment.test_inventory import SPECS, write_every_state
from tests.results_factory import failed, make_record, write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an experiment with leftovers of every kind."""
    root = write_every_state(tmp_path / "mine")
    finished = root / "runs" / SPECS[0].run_dir
    for name in ("checkpoint.zip", "checkpoint.previous.zip", "CartPole-v1.zip", "best_model.zip", "failed-1.json"):
        (finished / name).write_text("x")
    (finished / ".run.json.123.tmp").write_text("x")
    (finished / "CartPole-v1").mkdir()
    (finished / "CartPole-v1" / "vecnormalize.pkl").write_text("x")
    (finished / "progress.csv").write_text("a\n1\n")
    (root / "runs" / SPECS[1].run_dir / "checkpoint.zip").write_text("x")
    (root / "set_aside").mkdir()
    (root / "set_aside" / "damaged").write_text("x")
    return root


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def cleaned(folder: Path, *, models: bool = False, yes: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200)
    clean(folder, console, models=models, yes=yes)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


LEFTOVERS = {
    "runs/ppo/CartPole-v1_1/failed-1.json",
    "runs/ppo/CartPole-v1_1/.run.json.123.tmp",
    "runs/ppo/CartPole-v1_1/checkpoint.zip",
    "runs/ppo/CartPole-v1_1/checkpoint.previous.zip",
    "runs/ppo/CartPole-v1_5/progress.csv",
    "set_aside/damaged",
}
MODELS = {
    "runs/ppo/CartPole-v1_1/CartPole-v1.zip",
    "runs/ppo/CartPole-v1_1/best_model.zip",
    "runs/ppo/CartPole-v1_1/CartPole-v1/vecnormalize.pkl",
}


def test_a_dry_run_removes_nothing_and_says_how_to(folder: Path) -> None:
    before = files(folder)

    text = cleaned(folder, models=True)

    assert files(folder) == before
    assert text.splitlines()[-1].startswith("dry run, nothing was removed; add --yes to remove ")
    assert f"{folder}: interrupted runs: 1, " in text
    assert "  runs/ppo/CartPole-v1_5\n" in text


def test_leftovers_are_removed_and_nothing_else(folder: Path) -> None:
    before = files(folder)

    text = cleaned(folder, yes=True)

    assert before - files(folder) == LEFTOVERS
    assert text.splitlines()[-1].startswith("removed ")
    assert cleaned(folder, yes=True) == "nothing to remove\n"


def test_models_are_removed_on_demand_and_records_stay(folder: Path) -> None:
    before = files(folder)

    cleaned(folder, models=True, yes=True)

    assert before - files(folder) == LEFTOVERS | MODELS
    assert [run.state for run in take_inventory(folder).runs[:3]] == ["finished", "failed", "stale"]


def test_a_folder_that_a_harness_writes_into_is_left_alone(folder: Path) -> None:
    before = files(folder) | {".lock"}
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("4711")
        file.flush()
        for yes in (False, True):
            with pytest.raises(HarnessError, match=r"mine: another harness \(process 4711\) is writing here; wait"):
                cleaned(folder, yes=yes)

    assert files(folder) == before


def test_a_run_that_a_worker_still_writes_is_left_alone(folder: Path) -> None:
    run = folder / "runs" / SPECS[4].run_dir
    descriptor = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(HarnessError, match=r"CartPole-v1_5: is being written by another process"):
            cleaned(folder, yes=True)
    finally:
        os.close(descriptor)

    assert (run / "progress.csv").exists()


def test_links_out_of_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    run = folder / "runs" / SPECS[5].run_dir
    run.symlink_to(outside)
    (folder / "runs" / SPECS[4].run_dir / "link").symlink_to(outside)

    cleaned(folder, models=True, yes=True)

    assert (outside / "precious").exists()


def test_folders_that_no_plan_names_are_left_alone(tmp_path: Path) -> None:
    write_run(tmp_path, make_record(SPECS[0]))
    write_run(tmp_path, failed(make_record(SPECS[1])), progress=[{"a": 1.0}])
    (tmp_path / "runs" / SPECS[1].run_dir / "run.json").unlink()

    assert removable(take_inventory(tmp_path), models=True) == []


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")

    with pytest.raises(RecordError, match=r": holds no results of `harness compare` or `harness train`$"):
        cleaned(tmp_path, yes=True)
