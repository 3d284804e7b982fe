from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.experiment.plan import RunSpec
from tests.harness.campaign.faults import FAULTS, FULL_DISK
from tests.harness.campaign.outcomes import Round, outcomes, table
from tests.harness.campaign.rounds import play, undisturbed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RunSpec]]:
    """Return the folder of an experiment that ran without a disturbance, and its runs."""
    folder = tmp_path_factory.mktemp("campaign")
    return folder, undisturbed(folder, n_timesteps=2_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != FULL_DISK])
def test_an_experiment_that_is_hit_ends_with_the_bits_of_an_undisturbed_one(
    kind: str, experiment: tuple[Path, list[RunSpec]]
) -> None:
    folder, specs = experiment

    result = play(kind, folder, folder / kind, specs, random.Random(kind), hits=2)

    assert result.moments > 0
    assert len(result.runs) == 12
    assert result.is_good, result


@pytest.mark.slow
def test_an_experiment_on_a_full_disk_ends_with_the_bits_of_an_undisturbed_one() -> None:
    command = [sys.executable, "-m", "tests.harness.campaign", "2", "--kinds", FULL_DISK]
    answer = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    if "file systems cannot be mounted here" in answer.stdout:
        pytest.skip("file systems cannot be mounted here")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"| {FULL_DISK} | 1 |" in answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outcome"), [("run.json", "lost"), ("0.monitor.csv", "wrong"), ("best_model.zip", "wrong")]
)
def test_a_lost_or_changed_run_is_found(
    name: str, outcome: str, experiment: tuple[Path, list[RunSpec]], tmp_path: Path
) -> None:
    folder, specs = experiment
    spec = specs[0]
    copy = tmp_path / "runs" / spec.run_dir
    copy.parent.mkdir(parents=True)
    copy.symlink_to(folder / "undisturbed" / "runs" / spec.run_dir)
    assert found_in(folder, specs[:1], tmp_path) == []
    copy.unlink()
    subprocess.run(["cp", "-r", folder / "undisturbed" / "runs" / spec.run_dir, copy], check=True)

    path = copy / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    assert found_in(folder, specs[:1], tmp_path)[:1] == [outcome]


def found_in(folder: Path, specs: Sequence[RunSpec], out: Path) -> list[str]:
    """Return the outcomes of the only run below a folder."""
    (found,) = outcomes(specs, folder / "undisturbed", out, {}).values()
    return found


def test_a_table_has_a_row_for_each_kind_and_their_sum() -> None:
    rounds = [
        Round("interrupt", 3, {"a": ["continued"], "b": []}),
        Round("full disk", 1, {"a": ["lost"], "b": ["wrong", "0.monitor.csv differs", "restarted"]}, ["traceback"]),
    ]

    assert [one.is_good for one in rounds] == [True, False]
    assert table(rounds).splitlines()[2:] == [
        "| full disk | 1 | 1 | 2 | 1 | 1 | 0 | 1 | 1 |",
        "| interrupt | 1 | 3 | 2 | 0 | 0 | 1 | 0 | 0 |",
        "| all | 2 | 4 | 4 | 1 | 1 | 1 | 1 | 1 |",
    ]
