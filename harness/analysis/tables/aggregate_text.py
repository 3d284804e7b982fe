"""Tables over environments for readers: a row for each algorithm, for each pair, and for each reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.analysis.tables.formats import Cell, Row, interval, p_value, plain
from harness.config import StatisticsConfig

__all__ = ["OVER_TASKS", "aggregate_cells", "aggregate_notes"]

OVER_TASKS = ("aggregates", "aggregate_pairs", "references")
"""Tables over environments that readers get."""

MEASURES = ("IQM", "median", "mean", "optimality gap")


def _correlation(row: Row) -> str:
    """Return the correlation of common seeds, or a dash where the seeds differ or do not vary."""
    value = row["seed_correlation"]
    return "–" if math.isnan(value) else f"{value:+.2f}"


PAIRS: Mapping[str, Cell] = {
    "first": plain("first"),
    "second": plain("second"),
    "first is": plain("verdict"),
    "tasks": plain("n_tasks"),
    "mean difference": plain("difference"),
    "p": p_value("p"),
    "p (Holm)": p_value("p_holm"),
    "IQM difference": interval("iqm_difference"),
    "the same, common seeds": interval("iqm_difference_common"),
    "correlation of seeds": _correlation,
    "P(improvement)": interval("improvement"),
    "because": plain("reason"),
}
REFERENCES: Mapping[str, Cell] = {
    "environment": plain("env"),
    "random": plain("random"),
    "best": plain("best"),
    "in the aggregates": plain("used"),
    "source": plain("source"),
}


def aggregate_cells(name: str, table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of one of the tables OVER_TASKS."""
    if name == "aggregates":
        rows = [_wide(str(algo), own) for algo, own in table.groupby("algo", sort=False)]
        return ["algorithm", "tasks", "runs", *MEASURES], rows
    columns = PAIRS if name == "aggregate_pairs" else REFERENCES
    records: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    return list(columns), [[show(row) for show in columns.values()] for row in records]


def _wide(algo: str, own: pd.DataFrame) -> list[str]:
    by_measure = {str(row["measure"]): row for row in own.to_dict("records")}
    cells = []
    for measure in MEASURES:
        row = by_measure[measure]
        one = {"x": row["estimate"], "x_low": row["low"], "x_high": row["high"]}
        cells.append(interval("x")(one))
    first = own.iloc[0]
    return [algo, str(first["n_tasks"]), str(first["n_runs"]), *cells]


def aggregate_notes(statistics: StatisticsConfig) -> dict[str, str]:
    """Return the notes of the tables over environments."""
    percent = f"{100 * statistics.confidence:g}%"
    level = f"{1 - statistics.confidence:.2g}"
    return {
        "aggregates": (
            "Normalised score: (score − random) / (best − random), with the references of the table references; an "
            "environment without them is left out. IQM: mean of the middle half of all runs of all tasks. Median and "
            "mean: of the means of the tasks. Optimality gap: 1 − mean(min(score, 1)); less is better. Every task "
            f"counts equally. {percent} intervals: bootstrap of {statistics.n_bootstrap:,} resamples of the seeds "
            "within each task, its percentiles widened for few seeds (Hesterberg 2015). Like every bootstrap, "
            "it cannot know collapses that no seed showed. The tasks are taken as they are: nothing is said of "
            "other tasks."
        ),
        "aggregate_pairs": (
            "Tasks: those on which both algorithms were run. p: stratified permutation test of the mean normalised "
            f"score, 19,999 relabellings of the seeds within each task; (Holm): adjusted over all pairs, a family of "
            f"its own at the level {level}. Better and worse need p (Holm) below {level}, and a probability of "
            "improvement whose interval excludes 1/2 on the same side. Equivalence is not judged over tasks. IQM "
            "difference: both sides resampled independently; “common seeds” draws the same seeds for both, which is "
            "narrower if runs with a common seed resemble each other (correlation above 0); the verdict uses neither. "
            "P(improvement): mean over tasks of the probability that a run of the first scores higher."
        ),
    }
