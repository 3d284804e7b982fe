"""Published figures of speed are those of the published measurement."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.records import read_record
from tests.docs.speed import PAGES, RECORD, sections, with_sections


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


def test_every_published_training_had_equal_bits() -> None:
    assert not any(speed.unequal for speed in read_record(RECORD).speeds)
