"""Tables of the page: rows of text that the browser sorts, filters and shows in portions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["FIRST_ROWS", "MOST_ROWS", "Grid", "grid"]

FIRST_ROWS = 50
"""Rows that stand in the document; the script adds the others, so that thousands of rows open at once."""

MOST_ROWS = 5_000
"""Rows that the page holds of one table; the CSV file beside it holds all of them."""


@dataclass(frozen=True)
class Grid:
    """A table: its name in the page, its caption, its header, and its rows of plain text."""

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: int
    """Number of rows of the whole table, of which `rows` are the first."""

    @property
    def first(self) -> tuple[tuple[str, ...], ...]:
        """Rows that stand in the document."""
        return self.rows[:FIRST_ROWS]

    @property
    def rest(self) -> tuple[tuple[str, ...], ...]:
        """Rows that the script adds."""
        return self.rows[FIRST_ROWS:]


def grid(name: str, caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    """Return a table for the page, cut after MOST_ROWS rows."""
    shown = tuple(tuple(row) for row in rows[:MOST_ROWS])
    return Grid(name, caption, tuple(name.replace("\n", " ") for name in header), shown, len(rows))
