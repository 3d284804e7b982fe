"""`python -m harness.catalogue`: the catalogue as a table."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from harness.catalogue import CATALOGUE

__all__ = ["catalogue_table"]


def catalogue_table() -> Table:
    """A row for each deviation."""
    title = f"{len(CATALOGUE)} deviations from PPO and A2C of Stable-Baselines3"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "shows first in", "what is different", "found in"):
        table.add_column(column, overflow="fold")
    for entry in CATALOGUE:
        table.add_row(entry.id, entry.stage, entry.description, entry.source)
    return table


if __name__ == "__main__":
    Console().print(catalogue_table())
