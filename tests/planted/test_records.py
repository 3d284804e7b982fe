from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.errors import HarnessError
from tests.planted.outcomes import Outcome
from tests.planted.records import append, append_command, append_row, commands, commits, read, read_alarms
from tests.planted.selection import Planted
from tests.planted.subjects import mutants

BUG = Planted("adam_eps_1e-8", mutants.MODULE, ("parameters",), ("adam_eps_1e-8",), ("TightBounds",))
FOUND = Outcome(
    BUG, "parameters", ("parameters",), (("adam_eps_1e-8", "other"),), "explained exactly", "different", 4.2
)
MISSED = dataclasses.replace(FOUND, planted=dataclasses.replace(BUG, name="sgd"), named=(("other",),), found_at="loss")


def test_recorded_outcomes_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert (read(file), read_alarms(file)) == ([], [])

    append(file, MISSED)
    append(file, FOUND)
    assert read(file) == [MISSED, FOUND]
    assert len(commits(file)) == 2


def test_the_last_outcome_of_a_subject_counts(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    append(file, FOUND)
    append(file, dataclasses.replace(FOUND, verdict="identical"))

    assert [row.verdict for row in read(file)] == ["identical"]


def test_a_command_is_recorded_without_its_files(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    append_command(file, ["--sample", "3", "--record", "rows.jsonl", "--markdown", "page.md"])

    assert commands(file) == ["benchmark --sample 3"]


def test_a_row_with_other_fields_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    append_row(file, {"planted": {"name": "sgd", "worlds": []}, "named": [], "faults": []})

    with pytest.raises(HarnessError, match=r"rows.jsonl: a row of another version of the benchmark .*'worlds'.*anew"):
        read(file)
