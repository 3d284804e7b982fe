"""Print the audit of foreign logs: what was understood of each file, and what was left out and why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from harness.analysis.tables import display_table

__all__ = ["audit_notes", "print_audit"]

MOST_LINES = 20
"""Rows of the table, and notes, that the terminal shows; the file has all."""

NUMBERS = ("seed", "steps", "episodes")
"""Columns that are aligned to the right."""


def print_audit(audit: pd.DataFrame, notes: Sequence[str], path: Path, console: Console) -> None:
    """Print how many runs there are, how they were named, a table of at most MOST_LINES files, and notes.

    Failed runs and files that were left out come first where the table cannot show all.
    audit: from `audit_table`. notes: others to print. path: file with the whole audit.
    """
    runs = audit[audit["status"] != "left out"]
    counts = ", ".join(f"{count} {status}" for status, count in audit["status"].value_counts().items())
    _line(console, f"{len(runs)} runs ({counts})")
    layouts = [layout for layout in runs["layout"].value_counts().index if layout]
    if layouts:
        named = " or ".join(layouts[:3])
        _line(console, f"names were read from paths as {named}; if that is wrong, say it with --pattern")
    shown = audit
    if len(audit) > MOST_LINES:
        shown = audit.assign(rank=_rank(audit)).sort_values("rank", kind="stable").head(MOST_LINES)
    prefix = _common_folder([str(file) for file in shown["file"]])
    if prefix:
        _line(console, f"files below {prefix.rstrip('/')}")
    console.print(_grid(shown, prefix), markup=False, highlight=False)
    if len(shown) < len(audit):
        _line(console, f"{len(audit) - len(shown)} more files: see {path}")
    lines = [*audit_notes(audit), *notes]
    for note in lines[:MOST_LINES]:
        _line(console, f"note: {note}")
    if len(lines) > MOST_LINES:
        _line(console, f"note: {len(lines) - MOST_LINES} more notes: see the column remarks of {path}")


def audit_notes(audit: pd.DataFrame) -> Iterator[str]:
    """Yield what readers must know: each failed run, each remark with its files, and unlike sources of scores."""
    for row in audit[audit["status"] == "failed"].to_dict("records"):
        yield f"{row['file']}: {_lower(str(row['remarks']))}; it counts as a failed run"
    others = audit[(audit["status"] != "failed") & (audit["remarks"] != "")]
    for remark, rows in others.groupby("remarks", sort=False):
        files = list(rows["file"])
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        left_out = "left out: " if (rows["status"] == "left out").all() else ""
        yield f"{files[0]}{more}: {left_out}{_lower(str(remark))}"
    scored = audit[audit["score_source"] != ""]
    for env, sources in scored.groupby("env")["score_source"]:
        by_source = sources.value_counts()
        if len(by_source) > 1:
            kinds = ", ".join(f"{count} {source}" for source, count in by_source.items())
            yield f"{env}: scores come from unlike sources ({kinds}); --score evaluations or episodes takes one for all"


def _rank(audit: pd.DataFrame) -> pd.Series[int]:
    """Return 0 for failed runs, 1 for files that were left out, 2 for those with remarks, 3 for others."""
    ranks = audit["status"].map({"failed": 0, "left out": 1}).fillna(3)
    return ranks.where((ranks < 3) | (audit["remarks"] == ""), 2).astype(int)


def _grid(shown: pd.DataFrame, prefix: str) -> Table:
    header, rows = display_table("audit", shown)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = [index for index, name in enumerate(header) if name not in ("remarks", "score")]
    for index in columns:
        grid.add_column(header[index], overflow="fold", justify="right" if header[index] in NUMBERS else "left")
    for row in rows:
        cells = [row[index] for index in columns]
        grid.add_row(cells[0].removeprefix(prefix), *cells[1:], style="yellow" if row[-1] else None)
    return grid


def _common_folder(files: Sequence[str]) -> str:
    """Return the folder, with its slash, that all paths lie in, "" if there is none."""
    try:
        folder = os.path.commonpath([os.path.dirname(file) for file in files])
    except ValueError:  # no path at all, or absolute and relative ones
        return ""
    return f"{folder}/" if folder not in ("", "/") else ""


def _lower(text: str) -> str:
    return text if text[:1].isupper() and text[1:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
