"""Section of the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.analysis.page.grids import Grid
from harness.analysis.plots.save import DrawnFigure

__all__ = ["Section"]


@dataclass(frozen=True)
class Section:
    """A section of the page: its anchor, its heading, and what stands below it in this order."""

    name: str
    heading: str
    lead: str
    facts: tuple[tuple[str, str], ...] = ()
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    figures: tuple[DrawnFigure, ...] = ()
    folded: bool = False
    """True if the section is closed until a reader opens it."""
    details: tuple[tuple[str, str], ...] = field(default=())
    """Headings and verbatim texts that are folded."""
