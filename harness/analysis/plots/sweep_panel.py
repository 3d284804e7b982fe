"""Content of one panel of a sweep's figure, and the text in it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.plots.style import CHARACTERS_PER_INCH
from harness.analysis.stats import Landscape

__all__ = ["DEFAULT_COLOR", "SweepPanel", "number_text", "unequal_seeds", "verdict_lines"]

DEFAULT_COLOR = "#D55E00"
"""Colour of the mark of the usual levels."""


@dataclass(frozen=True, eq=False)
class SweepPanel:
    """One measure in one environment over the levels of one or two factors."""

    env: str
    measure: str
    """Name of the measure."""
    unit: str
    """Unit of its numbers; "" if it has none."""
    higher_is_better: bool
    factors: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    """Levels of each factor as text."""
    numeric: tuple[bool, ...]
    """True for a factor whose levels are numbers, which a line may connect."""
    defaults: tuple[int | None, ...]
    """Place of the usual level of each factor."""
    land: Landscape
    n_failed: npt.NDArray[np.int_]
    """Number of failed runs of each combination, [a] or [a, b]."""
    verdicts: tuple[str, ...] = ()
    """Verdict on each factor and on their interaction, as text."""
    averaged: tuple[str, ...] = ()
    """Factors over which the numbers are averaged."""
    limits: tuple[float, float] | None = None
    """Lowest and highest number that has a colour; None for `own_limits`."""

    @property
    def is_empty(self) -> bool:
        """True if no combination has a number."""
        return not bool(np.isfinite(self.land.mean).any())

    @property
    def own_limits(self) -> tuple[float, float]:
        """Range of all intervals, but at most as far beyond the means as the means lie apart.

        Colours over the range of the means alone would show noise as a landscape. Wide intervals, as those of two
        seeds, would leave a single colour without the bound. Raises ValueError for an empty panel.
        """
        low, high = float(np.nanmin(self.land.mean)), float(np.nanmax(self.land.mean))
        between = high - low
        lowest = np.nanmin([low, *self.land.low.ravel()])
        highest = np.nanmax([high, *self.land.high.ravel()])
        return max(float(lowest), low - between), min(float(highest), high + between)

    @property
    def color_range(self) -> tuple[float, float]:
        """Lowest and highest number that has a colour."""
        return self.limits or self.own_limits

    @property
    def direction(self) -> str:
        """Text that says which numbers are better, with the unit."""
        better = "higher is better" if self.higher_is_better else "lower is better"
        return f"{self.unit} ({better})" if self.unit else better


def unequal_seeds(panels: Sequence[SweepPanel]) -> bool:
    """Return True if the numbers of seeds differ between combinations."""
    return len({int(n) for panel in panels for n in np.unique(panel.land.n_seeds)}) > 1


def verdict_lines(panel: SweepPanel, inches: float) -> list[str]:
    """Return the verdicts as lines that fit into a width."""
    width = max(20, int(inches * CHARACTERS_PER_INCH))
    return [line for verdict in panel.verdicts for line in textwrap.wrap(verdict, width)]


def number_text(value: float) -> str:
    """Return three significant digits, and all digits before the point, with a minus sign as long as on an axis."""
    magnitude = abs(value)
    if magnitude < 0.005:
        text = "0" if magnitude < 5e-5 else f"{value:.1g}"
    elif magnitude >= 99.5:
        text = f"{value:.0f}"
    else:
        text = f"{value:.1f}" if magnitude >= 9.95 else f"{value:.2f}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text
