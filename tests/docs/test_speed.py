"""Published figures of speed are those of the published measurement."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.records import BenchRecord, read_record
from tests.docs.speed import PAGES, RECORD, execution_section, sections, with_sections
from tests.harness.bench.execution.timelines import made_results


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_of_speed_are_those_of_the_published_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text == with_sections(text, read_record(RECORD)), "made anew by: python -m tests.docs.speed"


def test_only_the_text_between_the_comments_is_replaced() -> None:
    record = read_record(RECORD)
    page = "before <!-- begin: parts -->\nold\n<!-- end: parts --> after <!-- begin: speeds -->"

    made = with_sections(page, record)

    expected = f"\n\n{sections(record)['parts']}\n\n"
    assert made == f"before <!-- begin: parts -->{expected}<!-- end: parts --> after <!-- begin: speeds -->"


def test_the_section_about_experiments_names_the_machine_and_what_is_missing() -> None:
    machine = read_record(RECORD).machine
    record = BenchRecord(machine, "auto", execution=made_results(), problems={"many-runs": "no space left"})

    text = execution_section(record)

    assert "| two-workers | time with one worker / with two, 5 runs, 1 pair | 2.00x |" in text
    assert machine["cpu"] in text
    assert text.endswith("Not measured: many-runs, no space left.")


def test_every_published_training_had_equal_bits() -> None:
    assert not any(speed.unequal for speed in read_record(RECORD).speeds)
