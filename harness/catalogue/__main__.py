"""`python -m harness.catalogue`: the catalogue as two tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from harness.catalogue import CATALOGUE, MISTAKES, Deviation

__all__ = ["deviation_table", "mistake_table"]


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def deviation_table() -> Table:
    """Table with a row for each deviation."""
    title = f"{len(CATALOGUE)} deviations from PPO and A2C of Stable-Baselines3"
    table = _table(title, ("id", "shows first in", "what is different", "found in"))
    for entry in CATALOGUE:
        table.add_row(entry.id, entry.stage, entry.description, entry.source)
    return table


def mistake_table() -> Table:
    """Table with a row for each mistake that only function checks name."""
    others = [mistake for mistake in MISTAKES if not isinstance(mistake, Deviation)]
    title = f"{len(others)} more mistakes that only the function checks name"
    table = _table(title, ("id", "checked in", "what is different"))
    for mistake in others:
        table.add_row(mistake.id, ", ".join(role for role, hint in mistake.hints.items() if hint), mistake.description)
    return table


if __name__ == "__main__":
    console = Console(markup=False)  # "[t + 1]" in a description is no markup
    for table in (deviation_table(), mistake_table()):
        console.print(table)
