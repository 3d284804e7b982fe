"""Print the catalogue as two tables, or some of its entries in full: `python -m harness.catalogue [ID ...]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from harness.catalogue import CATALOGUE, MISTAKES, Deviation, Mistake
from harness.errors import did_you_mean

__all__ = ["details", "deviation_table", "main", "mistake_table"]

_WIDTH_IN_A_FILE = 200
"""Width in characters if the output is not a terminal, so that rows can be searched line by line."""


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        # An id that is broken over two lines cannot be copied or searched.
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "first divergence at"))
    return table


def deviation_table() -> Table:
    """Return a table with a row for each deviation."""
    title = f"{len(CATALOGUE)} deviations from PPO and A2C of Stable-Baselines3, which CustomPPO can be trained with"
    table = _table(title, ("id", "first divergence at", "of", "difference from SB3"))
    for entry in CATALOGUE:
        table.add_row(entry.id, entry.stage, ", ".join(entry.algorithms), entry.description)
    return table


def mistake_table() -> Table:
    """Return a table with a row for each mistake that only function checks report."""
    others = [mistake for mistake in MISTAKES if not isinstance(mistake, Deviation)]
    table = _table(
        f"{len(others)} more mistakes, reported by function checks only", ("id", "role", "difference from SB3")
    )
    for mistake in others:
        table.add_row(mistake.id, ", ".join(role for role, hint in mistake.hints.items() if hint), mistake.description)
    return table


def details(mistake: Mistake) -> Iterator[str]:
    """Yield the lines of the full description of one mistake."""
    yield mistake.id
    yield f"  difference from SB3: {mistake.description}"
    if isinstance(mistake, Deviation):
        yield f"  first divergence at: {mistake.stage} (algorithms: {', '.join(mistake.algorithms)})"
        yield f"  makes a difference:  {f'only with {mistake.shows}' if mistake.shows else 'always'}"
        yield f"  remedy:              {mistake.remedy}"
        yield f"  source:              {mistake.source}"
    else:
        yield f"  not a deviation:     {mistake.no_deviation}"
    roles = [role for role, hint in mistake.hints.items() if hint]
    if roles:
        yield f"  function checks:     {', '.join(roles)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print tables or entries; return 0, or 2 if an id is unknown."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.catalogue",
        description="List the known mistakes in implementations of PPO, each with the id that every command uses.",
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="describe these mistakes in full instead of listing all")
    ids = parser.parse_args(arguments).ids
    by_id = {mistake.id: mistake for mistake in MISTAKES}
    for unknown in (name for name in ids if name not in by_id):
        print(f"error: {unknown}: no mistake has this id{did_you_mean(unknown, by_id)}", file=sys.stderr)  # noqa: T201
        return 2
    # Without markup: "[t + 1]" in a description is text.
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_IN_A_FILE
    if ids:
        console.print("\n\n".join("\n".join(details(by_id[name])) for name in ids), soft_wrap=True)
    else:
        console.print(deviation_table(), mistake_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
