"""Tables for people: numbers rounded to what their spread supports, with intervals, as Markdown; and all as CSV."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["display_table", "markdown", "write_tables"]

Row = Mapping[str, Any]


def number(value: float) -> str:
    """Three or four significant digits, all of large numbers; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    if magnitude >= 100:
        return f"{value:.4g}"
    return f"{value:.3g}" if magnitude >= 1e-3 or value == 0 else f"{value:.1e}"


def interval(name: str) -> Callable[[Row], str]:
    """A column "estimate [low, high]"."""

    def show(row: Row) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        limits = "" if math.isnan(low) else f" [{number(low)}, {number(high)}]"
        return f"{number(row[name])}{limits}"

    return show


def plain(name: str) -> Callable[[Row], str]:
    """A column of numbers or words as they are."""

    def show(row: Row) -> str:
        value = row[name]
        return number(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

    return show


def p_value(name: str) -> Callable[[Row], str]:
    """A column of p-values: two digits, never "0"."""

    def show(row: Row) -> str:
        value = row[name]
        return "–" if math.isnan(value) else "<0.0001" if value < 1e-4 else f"{value:.2g}"

    return show


def seeds(row: Row) -> str:
    """Seeds with a score out of all, as in "9/10"."""
    total = row["n_runs"]
    return f"{row['n_seeds']}/{total}" if row["n_seeds"] < total else f"{total}"


Columns = Mapping[str, Callable[[Row], str]]

SUMMARY: Columns = {
    "environment": plain("env"),
    "algorithm": plain("algo"),
    "seeds": seeds,
    "mean score": interval("mean"),
    "IQM": interval("iqm"),
    "std over seeds": interval("std"),
    "AUC": interval("auc"),
    "last episodes": lambda row: f"{number(row['last_mean'])} ± {number(row['last_std'])}",
    "rolling variance": plain("rolling_variance"),
    "relative drawdown": plain("relative_drawdown"),
    "KL tail": plain("kl_tail"),
    "steps": lambda row: number(row["steps"]),
    "seconds": plain("train_seconds"),
}
TERMINAL: Columns = {
    "environment": plain("env"),
    "algorithm": plain("algo"),
    "seeds": seeds,
    "mean score": interval("mean"),
    "IQM": plain("iqm"),
    "std over\nseeds": plain("std"),
    "relative\ndrawdown": plain("relative_drawdown"),
    "KL\ntail": plain("kl_tail"),
    "seconds": plain("train_seconds"),
}
"""The summary without what does not fit on eighty columns."""
PAIRWISE: Columns = {
    "environment": plain("env"),
    "first": plain("first"),
    "second": plain("second"),
    "first − second": interval("difference"),
    "p": p_value("p"),
    "p (Holm)": p_value("p_holm"),
    "P(improvement)": interval("improvement"),
    "Hedges g": interval("hedges_g"),
    "first is": plain("verdict"),
    "because": plain("reason"),
}
STABILITY: Columns = {
    "environment": plain("env"),
    "measure": plain("measure"),
    "first": plain("first"),
    "second": plain("second"),
    "mean of first": plain("first_mean"),
    "mean of second": plain("second_mean"),
    "p (Holm)": p_value("p_holm"),
    "Hedges g": plain("hedges_g"),
    "steadier": plain("steadier"),
}
DISPLAYED: Mapping[str, Columns] = {
    "summary": SUMMARY,
    "terminal": TERMINAL,
    "pairwise": PAIRWISE,
    "stability": STABILITY,
}


def display_table(name: str, table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and cells of a table as people read it: "summary", "pairwise", "stability"; "terminal" is a summary."""
    columns = DISPLAYED[name]
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    return list(columns), [[show(row) for show in columns.values()] for row in rows]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; cells are padded so that it reads well as text, too."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def write_tables(tables: Mapping[str, pd.DataFrame], notes: Mapping[str, str], folder: Path) -> list[Path]:
    """Write NAME.csv with every digit and, where people read it, NAME.md with its notes; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False)
        paths.append(path)
        if name in DISPLAYED:
            path = folder / f"{name}.md"
            text = markdown(*display_table(name, table)) + (f"\n{notes[name]}\n" if name in notes else "")
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    return paths
