"""Figures of a sweep: heatmaps over two factors, or profiles over one, with uncertainty and candidates for the best."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, withStroke

from harness.analysis.plots.save import DrawnFigure, save_drawn
from harness.analysis.plots.style import CHARACTERS_PER_INCH, finish, themed
from harness.analysis.plots.sweep_heatmap import REGION_COLORS, draw_heatmap, heatmap_size
from harness.analysis.plots.sweep_panel import DEFAULT_COLOR, SweepPanel, verdict_lines
from harness.analysis.plots.sweep_profile import PROFILE_COLOR, draw_profile, profile_size

__all__ = ["SweepPanel", "save_sweeps", "sweep_figure"]

_PANELS_IN_A_ROW = 3
_CHARACTERS_OF_A_HANDLE = 10
_VERDICT_SIZE, _VERDICT_LINE_INCHES = 6.2, 0.12


def save_sweeps(
    figures: Sequence[tuple[str, Sequence[Sequence[SweepPanel]]]], folder: Path, *, confidence: float, pdf: bool = False
) -> list[DrawnFigure]:
    """Write NAME.svg and NAME.png for each figure, given as its name and its rows of panels; return what was drawn.

    pdf: also write NAME.pdf. The same panels give the same bytes. Raises OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        save_drawn(sweep_figure(rows, confidence=confidence), name, 1, folder, pdf=pdf)
        for name, rows in figures
        if any(not panel.is_empty for row in rows for panel in row)
    ]


@themed()
def sweep_figure(rows: Sequence[Sequence[SweepPanel]], *, confidence: float = 0.95) -> Figure:
    """Draw rows of panels: a heatmap for two factors, a profile for one.

    More than three panels of a row are continued below. Raises ValueError without any panel.
    """
    grid = [row[start : start + _PANELS_IN_A_ROW] for row in rows for start in range(0, len(row), _PANELS_IN_A_ROW)]
    if not grid:
        raise ValueError("expected at least one panel")
    n_columns = max(map(len, grid))
    widths = [max(_size(row[place])[0] for row in grid if place < len(row)) for place in range(n_columns)]
    verdicts = [[verdict_lines(panel, width) for panel, width in zip(row, widths, strict=False)] for row in grid]
    heights = [
        max(_size(panel)[1] + _VERDICT_LINE_INCHES * len(lines) for panel, lines in zip(row, told, strict=True))
        for row, told in zip(grid, verdicts, strict=True)
    ]
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=(max(3.4, sum(widths)), sum(heights) + 0.4), layout=layout)
    axes = figure.subplots(len(grid), n_columns, squeeze=False, width_ratios=widths, height_ratios=heights)
    for line, row, told in zip(axes, grid, verdicts, strict=True):
        for ax in line[len(row) :]:
            ax.set_axis_off()
        for ax, panel, lines in zip(line, row, told, strict=False):
            if len(panel.factors) == 2:
                draw_heatmap(figure, ax, panel)
            else:
                draw_profile(ax, panel)
            _head(ax, panel, lines)
    panels = list(itertools.chain(*grid))
    handles = _handles(panels, confidence, figure.get_figwidth())
    return finish(figure, title=_title(panels), caption=_note(panels, confidence), handles=handles)


def _size(panel: SweepPanel) -> tuple[float, float]:
    return heatmap_size(panel) if len(panel.factors) == 2 else profile_size(panel)


def _head(axes: Axes, panel: SweepPanel, verdicts: Sequence[str]) -> None:
    """Write environment and measure above a panel, and the verdicts between them and the panel."""
    axes.set_title(f"{panel.env}: {panel.measure}", pad=4.0 + 72 * _VERDICT_LINE_INCHES * len(verdicts))
    if verdicts:
        axes.annotate(
            "\n".join(verdicts),
            (0.5, 1.0),
            (0.0, 3.5),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=_VERDICT_SIZE,
            color="0.25",
            linespacing=1.15,
        )


def _title(panels: Sequence[SweepPanel]) -> str:
    """Return the measures of the panels, and the factors over which they are drawn."""
    measures = list(dict.fromkeys(panel.measure for panel in panels))
    factors = list(dict.fromkeys(" and ".join(panel.factors) for panel in panels))
    text = f"{', '.join(measures)} over {', '.join(factors)}"
    return text[0].upper() + text[1:]


def _note(panels: Sequence[SweepPanel], confidence: float) -> str:
    heat = len(panels[0].factors) == 2
    counts = sorted({int(n) for panel in panels for n in np.unique(panel.land.n_seeds)})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    seeds = f"{number} seed{'' if counts == [1] else 's'}"
    each = "combination" if heat else "level"
    many = counts[-1] > 1
    parts = [f"Mean over {seeds} with the {confidence:.0%} t interval of each {each} alone." if many else "One seed."]
    if heat:
        parts.append("Colours span the intervals; yellow is better." if many else "Yellow is better.")
    else:
        parts.append("Grey dots: seeds.")
    if any(panel.averaged for panel in panels):
        parts.append("Averaged over the factors that a panel does not show.")
    if any(panel.n_failed.any() for panel in panels):
        parts.append("Failed runs are counted in their cells." if heat else "Failed runs are counted at their levels.")
    if many and any(panel.verdicts for panel in panels):
        parts.append("p is adjusted by Holm's method.")
    return " ".join(parts)


def _handles(panels: Sequence[SweepPanel], confidence: float, inches: float) -> list[tuple[Any, str]]:
    handles: list[tuple[Any, str]] = []
    heat = len(panels[0].factors) == 2
    dot: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 4.2, "mec": PROFILE_COLOR}
    default: Any
    if any(panel.land.n_seeds.max(initial=0) > 1 for panel in panels):
        told = f"may be the best: no other is shown to be better ({confidence:.0%}, all comparisons together)"
        label = "\n".join(textwrap.wrap(told, int(inches * CHARACTERS_PER_INCH) - _CHARACTERS_OF_A_HANDLE))
        if heat:
            casing = [withStroke(linewidth=4.0, foreground=REGION_COLORS[0]), Normal()]
            handles.append((Rectangle((0, 0), 1, 1, fc="0.8", ec=REGION_COLORS[1], lw=2, path_effects=casing), label))
        else:
            handles += [(Line2D([], [], mfc=PROFILE_COLOR, **dot), label)]
            handles += [(Line2D([], [], mfc="white", **dot), "worse than another one")]
    if any(all(place is not None for place in panel.defaults) for panel in panels):
        default = Rectangle((0, 0), 1, 1, fill=False, ec=DEFAULT_COLOR, lw=1.4, ls="--")
        if not heat:
            default = Line2D([], [], color=DEFAULT_COLOR, lw=1.0, ls=(0, (3, 2)))
        handles.append((default, "default"))
    return handles
