"""Sections of the page that stand on one table each, and are left out without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from harness.analysis.page.grids import Grid, grid
from harness.analysis.page.repeats import find_copies
from harness.analysis.page.section import Section
from harness.analysis.plots.save import DrawnFigure
from harness.analysis.tables import display_table

__all__ = ["EVIDENCE_FIGURES", "EVIDENCE_TABLES", "evidence_sections", "further_families"]

EVIDENCE_TABLES = ("task", "effects", "self_test", "time_to_threshold", "time_pairs")
"""Tables and notes that have a section of their own here."""

EVIDENCE_FIGURES = ("time_to_threshold",)
"""Figures that belong to these sections."""


def evidence_sections(
    tables: Mapping[str, pd.DataFrame], notes: Mapping[str, str], figures: Sequence[DrawnFigure]
) -> Iterator[Section]:
    """Yield the sections of those tables that have rows."""
    copies = find_copies(tables["pairwise"])

    def pairs(name: str, caption: str, source: str | None = None) -> Grid:
        return _grid(name, caption, copies.without_repeats(tables[source or name]))

    if _has_rows(tables, "task"):
        yield Section(
            "task",
            "Task metrics",
            "What the mean return hides: successes, the worst episodes, and what the environment tells of itself.",
            grids=(pairs("task", "Measures of the task for each pair"),),
            notes=_notes(notes, "task"),
        )
    if _has_rows(tables, "time_to_threshold"):
        earlier = (pairs("time_pairs", "Which algorithm reaches the threshold earlier"),)
        yield Section(
            "threshold",
            "Steps to the threshold",
            "How soon the runs reach the score that counts as a solution, and how many never do.",
            grids=(
                _grid("time_to_threshold", "Steps until the threshold is reached", tables["time_to_threshold"]),
                *(earlier if _has_rows(tables, "time_pairs") else ()),
            ),
            notes=_notes(notes, "time_to_threshold"),
            figures=tuple(figure for figure in figures if figure.name == "time_to_threshold"),
        )
    if _has_rows(tables, "pairwise"):
        yield Section(
            "effects",
            "Effect sizes and other tests",
            "How large each difference is in three units, and what other tests of the same scores say.",
            grids=(
                pairs("effects", "Effect sizes", "pairwise"),
                pairs("other_tests", "Tests of ranks, and paired forms over common seeds", "pairwise"),
            ),
            notes=_notes(notes, "effects"),
        )
    if _has_rows(tables, "self_test"):
        yield _self_test(tables["self_test"], notes)


def further_families(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the numbers of tests in the families of these tables, as the end of a list: "; 12 tests of the task"."""
    names = {"task": "the task", "time_pairs": "steps to the threshold"}
    counts = {words: int(tables[name]["p_holm"].notna().sum()) for name, words in names.items() if name in tables}
    return "".join(f"; {count:,} tests of {words}" for words, count in counts.items())


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
