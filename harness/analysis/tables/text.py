"""Tables as files: CSV and Parquet with every digit, Markdown and LaTeX for readers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.analysis.tables.aggregate_text import OVER_TASKS, aggregate_cells
from harness.analysis.tables.formats import Cell, interval, p_value, plain, seeds, share, whole
from harness.analysis.tables.latex import latex
from harness.analysis.tables.metrics import named_estimates

__all__ = ["display_table", "has_parquet", "markdown", "tidy", "write_tables"]

Columns = Mapping[str, Cell]

PAIRWISE: Columns = {
    "environment": plain("env"),
    "measure": plain("measure"),
    "first": plain("first"),
    "second": plain("second"),
    "first − second": interval("difference"),
    "p": p_value("p"),
    "p (Holm)": p_value("p_holm"),
    "p (rank)": p_value("p_rank"),
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
AUDIT: Columns = {
    "file": plain("file"),
    "algorithm": plain("algo"),
    "environment": plain("env"),
    "seed": whole("seed"),
    "steps": whole("steps"),
    "status": plain("status"),
    "score": plain("score"),
    "source of the score": plain("score_source"),
    "episodes": whole("n_final_episodes"),
    "remarks": plain("remarks"),
}
SELF_TEST: Columns = {
    "family": plain("family"),
    "no difference, because": plain("null"),
    "comparisons": whole("n_judged"),
    "repetitions": whole("n_repetitions"),
    "with a wrong claim": share("rate"),
    "level": plain("level"),
    "wrong claims of all": lambda row: f"{row['claims_rate']:.1%}",
    "can it claim?": lambda row: "yes" if row["can_reject"] else "no: too few seeds",
}
EFFECTS: Columns = {
    "environment": plain("env"),
    "first": plain("first"),
    "second": plain("second"),
    "Hedges g": interval("hedges_g"),
    "A, P(improvement)": interval("improvement"),
    "Cliff's delta": interval("cliffs_delta"),
}
OTHER_TESTS: Columns = {
    "environment": plain("env"),
    "first": plain("first"),
    "second": plain("second"),
    "p (permutation)": p_value("p"),
    "p (Mann-Whitney)": p_value("p_mann_whitney"),
    "p (Brunner-Munzel)": p_value("p_rank"),
    "common seeds": whole("n_common_seeds"),
    "r of seeds": plain("seed_correlation"),
    "p (paired)": p_value("p_paired"),
    "g (paired)": plain("hedges_g_paired"),
}
TIME_TO_THRESHOLD: Columns = {
    "environment": plain("env"),
    "threshold": plain("threshold"),
    "measured on": plain("measured_on"),
    "algorithm": plain("algo"),
    "reached": lambda row: f"{row['n_reached']} of {row['n_runs']}",
    "share": interval("reached"),
    "median steps": interval("median"),
}
TIME_PAIRS: Columns = {
    "environment": plain("env"),
    "first": plain("first"),
    "second": plain("second"),
    "first reached": whole("n_reached_first"),
    "second reached": whole("n_reached_second"),
    "p (logrank)": p_value("p"),
    "p (Holm)": p_value("p_holm"),
    "earlier": plain("earlier"),
}
TASK: Columns = {
    "environment": plain("env"),
    "measure": plain("measure"),
    "first": plain("first"),
    "second": plain("second"),
    "first is": plain("verdict"),
    "mean of first": plain("first_mean"),
    "mean of second": plain("second_mean"),
    "first − second": interval("difference"),
    "p (Holm)": p_value("p_holm"),
    "Hedges g": plain("hedges_g"),
}
FIXED: Mapping[str, Columns] = {
    "task": TASK,
    "stability": STABILITY,
    "audit": AUDIT,
    "self_test": SELF_TEST,
    "effects": EFFECTS,
    "other_tests": OTHER_TESTS,
    "time_to_threshold": TIME_TO_THRESHOLD,
    "time_pairs": TIME_PAIRS,
}
"""Tables whose columns do not depend on the results."""

FOR_READERS = (
    *("summary", "pairwise", "stability", "audit", "task", "self_test", "time_to_threshold", "time_pairs"),
    *OVER_TASKS,
)
"""Tables that are also written as Markdown."""


def display_table(name: str, table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of a table for readers.

    name: one of FOR_READERS; "effects" and "other_tests" for further columns of pairwise; "terminal" for the shorter
    version of a summary.
    """
    if name in OVER_TASKS:
        return aggregate_cells(name, table)
    columns = _columns(name, table)
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    return list(columns), [[show(row) for show in columns.values()] for row in rows]


def _columns(name: str, table: pd.DataFrame) -> Columns:
    if name in FIXED:
        return FIXED[name]
    if name == "pairwise":
        return {header: cell for header, cell in PAIRWISE.items() if header != "measure" or "measure" in table}
    return {
        "environment": plain("env"),
        "algorithm": plain("algo"),
        "seeds": seeds,
        **{
            shown.header: shown.format(column)
            for column, _, estimate in named_estimates()
            for shown in estimate.shown
            if shown.table == name
        },
    }


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a GitHub table, its cells padded so that the source is readable as well."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def write_tables(tables: Mapping[str, pd.DataFrame], notes: Mapping[str, str], folder: Path) -> list[Path]:
    """Write NAME.csv for each table, NAME.md with notes and NAME.tex for the tables FOR_READERS; return the paths.

    If pyarrow is installed, each table is also NAME.parquet, with its types: texts, numbers and truth values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False)
        paths.append(path)
        if has_parquet():
            path = folder / f"{name}.parquet"
            tidy(table).to_parquet(path, index=False)
            paths.append(path)
        if name in FOR_READERS:
            header, rows = display_table(name, table)
            note = f"\n{notes[name]}\n" if name in notes else ""
            for suffix, text in (("md", markdown(header, rows) + note), ("tex", latex(header, rows))):
                path = folder / f"{name}.{suffix}"
                path.write_text(text, encoding="utf-8")
                paths.append(path)
    return paths


def has_parquet() -> bool:
    """Return True if pyarrow, which writes Parquet, is installed: the extra `parquet`."""
    return importlib.util.find_spec("pyarrow") is not None


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with one type in each column, as Parquet demands: a mixed one becomes text."""
    mixed = [
        name
        for name in table.columns
        if table[name].dtype == object and len({type(value) for value in table[name]}) > 1
    ]
    return table.astype(dict.fromkeys(mixed, str)) if mixed else table
