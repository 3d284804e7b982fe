"""Sections of the page that stand on one table each, and are left out without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from harness.analysis.page.grids import Grid, grid
from harness.analysis.page.section import Section
from harness.analysis.plots.save import DrawnFigure
from harness.analysis.tables import display_table

__all__ = ["EVIDENCE_FIGURES", "EVIDENCE_TABLES", "evidence_sections"]

EVIDENCE_TABLES = ("task", "effects", "self_test", "time_to_threshold", "time_pairs")
"""Tables and notes that have a section of their own here."""

EVIDENCE_FIGURES = ("time_to_threshold",)
"""Figures that belong to these sections."""


def evidence_sections(
    tables: Mapping[str, pd.DataFrame], notes: Mapping[str, str], figures: Sequence[DrawnFigure]
) -> Iterator[Section]:
    """Yield the sections of those tables that have rows."""
    if _has_rows(tables, "task"):
        yield Section(
            "task",
            "Task metrics",
            "What the mean return hides: successes, the worst episodes, and what the environment tells of itself.",
            grids=(_grid("task", "Measures of the task for each pair", tables["task"]),),
            notes=_notes(notes, "task"),
        )
    if _has_rows(tables, "time_to_threshold"):
        pairs = (_grid("time_pairs", "Which algorithm reaches the threshold earlier", tables["time_pairs"]),)
        yield Section(
            "threshold",
            "Steps to the threshold",
            "How soon the runs reach the score that counts as a solution, and how many never do.",
            grids=(
                _grid("time_to_threshold", "Steps until the threshold is reached", tables["time_to_threshold"]),
                *(pairs if _has_rows(tables, "time_pairs") else ()),
            ),
            notes=_notes(notes, "time_to_threshold"),
            figures=tuple(figure for figure in figures if figure.name == "time_to_threshold"),
        )
    if _has_rows(tables, "pairwise"):
        yield Section(
            "effects",
            "Effect sizes and other tests",
            "How large each difference is, in four units, and what other tests of the same scores say.",
            grids=(_grid("effects", "Effect sizes, tests of ranks, and paired forms", tables["pairwise"]),),
            notes=_notes(notes, "effects"),
        )
    if _has_rows(tables, "self_test"):
        yield _self_test(tables["self_test"], notes)


def _has_rows(tables: Mapping[str, pd.DataFrame], name: str) -> bool:
    return name in tables and len(tables[name]) > 0


def _self_test(table: pd.DataFrame, notes: Mapping[str, str]) -> Section:
    able = table[table["can_reject"].astype(bool)]
    above = able[able["rate_low"] > able["level"]]
    if able.empty:
        lead = (
            "With so few seeds no difference can be claimed, neither rightly nor wrongly: the rates below say nothing."
        )
    elif above.empty:
        lead = (
            "The rule of this report was tried on its own runs where no difference exists. Nowhere does it claim one "
            f"more often than the level of {able['level'].iloc[0]:.2g}, as far as the interval of the rate tells."
        )
    else:
        lead = (
            "The rule of this report was tried on its own runs where no difference exists, and claims one too often: "
            f"in {above['rate'].max():.1%} of families at a level of {above['level'].iloc[0]:.2g}. Read the verdicts "
            "with that rate in mind."
        )
    return Section(
        "self-test",
        "Self-test: the same against the same",
        lead,
        grids=(_grid("self_test", "Wrong claims where there is nothing to claim", table),),
        notes=_notes(notes, "self_test"),
    )


def _grid(name: str, caption: str, table: pd.DataFrame) -> Grid:
    return grid(name, caption, *display_table(name, table))


def _notes(notes: Mapping[str, str], name: str) -> tuple[str, ...]:
    return (notes[name],) if name in notes else ()
