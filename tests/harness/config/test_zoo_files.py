from __future__ import annotations

import pytest

from harness.config.sources import zoo_folder
from tests.harness.zoo_table import ROWS, entries

FILES = {
    "a2c": 22, "ars": 23, "crossq": 16, "ddpg": 20, "dqn": 6, "her": 7, "ppo": 44, "ppo_lstm": 32, "qrdqn": 6,
    "sac": 26, "td3": 21, "tqc": 34, "trpo": 26,
}  # fmt: skip
"""File of rl_zoo3 -> number of its entries."""


def test_all_files_of_the_zoo_are_known() -> None:
    assert {path.stem for path in zoo_folder().glob("*.yml")} == set(FILES)


@pytest.mark.parametrize("row", ROWS)
def test_every_entry_of_a_file_of_the_zoo_loads(row: str) -> None:
    found = list(entries(row))

    assert [problem for entry in found for problem in entry.problems] == []
    assert len(found) == FILES[ROWS[row][1]]


def test_every_file_of_the_zoo_has_a_row() -> None:
    assert {file for _, file in ROWS.values()} == set(FILES)
