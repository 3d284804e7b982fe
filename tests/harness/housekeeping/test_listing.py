from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import RecordError
from harness.housekeeping.listing import list_experiments
from harness.housekeeping.sizes import size_of, size_text
from tests.harness.experiment.test_inventory import SPECS, write_every_state
from tests.results_factory import make_record, write_run


def printed(*folders: Path) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    list_experiments(folders, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


def test_every_experiment_has_a_line_with_its_runs_by_state(tmp_path: Path) -> None:
    write_every_state(tmp_path / "a")
    write_run(tmp_path / "b", make_record(SPECS[0]))

    lines = printed(tmp_path)

    assert lines[1] == "experiment runs done failed missing stale steps run time size models"
    cells = [line.removeprefix(f"{tmp_path}/").split() for line in lines[3:5]]
    # 1,000 steps and 12 seconds for each of the runs 0, 1 and 99; run 2 has 7 steps.
    assert cells[0][:8] == ["a", "7", "1", "2", "2", "2", "3,007", "48s"]
    assert cells[1][:8] == ["b", "1", "1", "–", "–", "–", "1,000", "12s"]


def test_every_reason_is_a_line_with_the_number_of_its_runs(tmp_path: Path) -> None:
    lines = [line.removeprefix(f"{tmp_path}: ") for line in printed(write_every_state(tmp_path))[5:]]

    assert lines[0] == "1 run failed (ppo CartPole-v1 seed 1): ValueError: NaN in the policy"
    assert lines[1] == "1 run stale (ppo CartPole-v1 seed 2): has other settings than in experiment.yml"
    assert lines[2].startswith("1 run damaged (ppo CartPole-v1 seed 3): ")
    assert lines[3:] == [
        "1 run missing (ppo CartPole-v1 seed 4): was interrupted before its record was written",
        "1 run missing (ppo CartPole-v1 seed 5): has not been run",
        "1 run stale (ppo CartPole-v1 seed 99): is not in experiment.yml",
    ]


def test_a_folder_without_experiments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r": holds no results of `harness compare` or `harness train`$"):
        printed(tmp_path)


def test_sizes_count_the_files_of_folders_and_follow_no_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 1000)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a" / "file")

    assert size_of(tmp_path / "a") == 1000
    assert size_of(tmp_path / "b") < 1000
    assert size_of(tmp_path / "nowhere") == 0


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123_456, "123 kB"), (3_400_000, "3.4 MB"), (2.5e9, "2.5 GB")],
)
def test_a_size_has_a_unit(n_bytes: float, text: str) -> None:
    assert size_text(n_bytes) == text
