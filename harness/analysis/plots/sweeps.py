"""Figures of a sweep: heatmaps over two factors, or profiles over one, with uncertainty and candidates for the best."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from harness.analysis.plots.style import finish, save_figure, say_empty, themed
from harness.analysis.stats import Landscape

__all__ = ["SweepPanel", "save_sweeps", "sweep_figure"]

_COLORS = "cividis"
"""Colour map that looks alike to readers with and without colour blindness, and in grey."""
_DEFAULT_COLOR = "#D55E00"
_MISSING_COLOR = "0.88"
_INTERVAL_COLUMNS, _NUMBER_COLUMNS = 6, 12
"""Largest numbers of columns whose cells have room for an interval, and for a number."""
_PANELS_IN_A_ROW = 3
_UPRIGHT_LEVELS, _UPRIGHT_CHARACTERS = 12, 40
_MOST_MARKED = 40
"""Largest number of levels along an axis whose names are all written."""


@dataclass(frozen=True, eq=False)
class SweepPanel:
    """One measure in one environment over the levels of one or two factors."""

    env: str
    title: str
    """Name of the measure, with its unit."""
    higher_is_better: bool
    factors: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    """Levels of each factor as text."""
    numeric: tuple[bool, ...]
    """True for a factor whose levels are numbers, which a line may connect."""
    defaults: tuple[int | None, ...]
    """Place of the usual level of each factor."""
    land: Landscape
    averaged: tuple[str, ...] = ()
    """Factors over which the numbers are averaged."""
    limits: tuple[float, float] | None = None
    """Range of the colours; None for that of the means."""

    @property
    def color_range(self) -> tuple[float, float]:
        """Lowest and highest number that has a colour."""
        return self.limits or (float(np.nanmin(self.land.mean)), float(np.nanmax(self.land.mean)))


def save_sweeps(
    figures: Sequence[tuple[str, Sequence[Sequence[SweepPanel]]]], folder: Path, *, confidence: float
) -> list[Path]:
    """Write NAME.svg and NAME.png for each figure, given as its name and its rows of panels; return the paths.

    The same panels give the same bytes. Raises OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, rows in figures:
        if any(np.isfinite(panel.land.mean).any() for row in rows for panel in row):
            written += save_figure(sweep_figure(rows, confidence=confidence), folder / name)
    return written


@themed()
def sweep_figure(rows: Sequence[Sequence[SweepPanel]], *, confidence: float = 0.95) -> Figure:
    """Draw rows of panels: a heatmap for two factors, a profile for one.

    More than three panels of a row are continued below. Raises ValueError without any panel.
    """
    grid = [row[start : start + _PANELS_IN_A_ROW] for row in rows for start in range(0, len(row), _PANELS_IN_A_ROW)]
    if not grid:
        raise ValueError("expected at least one panel")
    n_columns = max(map(len, grid))
    widths = [max(_width(row[place]) for row in grid if place < len(row)) for place in range(n_columns)]
    heights = [max(map(_height, row)) for row in grid]
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=(max(3.4, sum(widths)), sum(heights) + 0.4), layout=layout)
    axes = figure.subplots(len(grid), n_columns, squeeze=False, width_ratios=widths, height_ratios=heights)
    for line, row in zip(axes, grid, strict=True):
        for place, ax in enumerate(line):
            if place >= len(row):
                ax.set_axis_off()
            elif len(row[place].factors) == 2:
                _draw_heatmap(figure, ax, row[place])
            else:
                _draw_profile(ax, row[place])
    panels = list(itertools.chain(*grid))
    return finish(figure, note=_note(panels, confidence), handles=_handles(panels, confidence))


def _width(panel: SweepPanel) -> float:
    if len(panel.factors) == 1:
        return 2.6
    return float(np.clip(0.62 * len(panel.levels[1]) + 1.0, 2.4, 7.0))


def _height(panel: SweepPanel) -> float:
    if len(panel.factors) == 1:
        return 1.9 if _is_upright(panel) else 0.8 + 0.12 * len(panel.levels[0])
    return float(np.clip(0.34 * len(panel.levels[0]) + 0.6, 1.5, 6.0))


def _draw_heatmap(figure: Figure, axes: Axes, panel: SweepPanel) -> None:
    """Draw the means as colours, with their numbers, the candidates for the best, and the usual combination."""
    axes.set_title(_titled(panel))
    land = panel.land
    if not np.isfinite(land.mean).any():
        say_empty(axes, "no results")
        return
    n_columns = land.mean.shape[1]
    axes.set_facecolor(_MISSING_COLOR)
    sns.heatmap(
        land.mean,
        ax=axes,
        cmap=_COLORS if panel.higher_is_better else f"{_COLORS}_r",
        cbar=False,
        vmin=panel.color_range[0],
        vmax=panel.color_range[1],
        linewidths=0.6 if n_columns <= _NUMBER_COLUMNS else 0.0,
        linecolor="white",
        xticklabels=_tick_names(panel.levels[1]),
        yticklabels=_tick_names(panel.levels[0]),
    )
    axes.invert_yaxis()  # as on any axis, numbers grow upwards
    axes.grid(visible=False)
    axes.tick_params(length=0, rotation=0)
    if max(map(len, panel.levels[1])) > 7 or n_columns > _NUMBER_COLUMNS:
        axes.tick_params(axis="x", rotation=40 if n_columns <= _NUMBER_COLUMNS else 90)
    axes.set_xlabel(panel.factors[1])
    axes.set_ylabel(panel.factors[0])
    colors = axes.collections[0]
    bar = figure.colorbar(colors, ax=axes, fraction=0.05, pad=0.02, aspect=25)
    bar.set_label(panel.title)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(length=0)
    bar.locator = MaxNLocator(5)
    if not panel.higher_is_better:
        bar.ax.invert_yaxis()  # the better end is on top in every panel
    for place in np.ndindex(land.mean.shape):
        _draw_cell(axes, panel, (place[0], place[1]))
    if all(default is not None for default in panel.defaults):
        row, column = (int(default or 0) for default in panel.defaults)
        axes.add_patch(
            Rectangle((column + 0.03, row + 0.04), 0.94, 0.92, fill=False, ec=_DEFAULT_COLOR, lw=1.6, zorder=5)
        )


def _draw_cell(axes: Axes, panel: SweepPanel, place: tuple[int, int]) -> None:
    """Write mean, interval and, where they differ between cells, the number of seeds into a cell."""
    land, n_columns = panel.land, panel.land.mean.shape[1]
    row, column = place
    if np.isnan(land.mean[place]):
        if n_columns <= _NUMBER_COLUMNS:
            axes.text(column + 0.5, row + 0.5, "none", ha="center", va="center", fontsize=5.5, color="0.4")
        return
    color = _text_color(panel, float(land.mean[place]))
    if land.candidates[place]:
        large = n_columns <= _NUMBER_COLUMNS
        at = (column + 0.1, row + 0.8) if large else (column + 0.5, row + 0.5)
        axes.plot(*at, marker="o", ms=2.6 if large else 2.0, color=color, mew=0, zorder=6)
    if n_columns > _NUMBER_COLUMNS:
        return
    lines = []
    if n_columns <= _INTERVAL_COLUMNS:
        if land.constant[place]:
            lines.append("all equal")
        elif np.isfinite(land.low[place]):
            lines.append(f"{_short(land.low[place])} to {_short(land.high[place])}")
        if _unequal([panel]):
            lines.append(f"n = {land.n_seeds[place]}")
    is_best = land.mean[place] == (np.nanmax(land.mean) if panel.higher_is_better else np.nanmin(land.mean))
    weight = "bold" if is_best else "normal"
    middle = row + 0.5 + (0.17 if lines else 0.0)
    axes.text(
        column + 0.5,
        middle,
        _short(land.mean[place]),
        ha="center",
        va="center",
        color=color,
        fontsize=6.8,
        weight=weight,
    )
    if lines:
        size = 5.0 if len(lines) == 1 else 4.4
        axes.text(
            column + 0.5,
            row + 0.4,
            "\n".join(lines),
            ha="center",
            va="top",
            color=color,
            fontsize=size,
            linespacing=0.95,
        )


def _draw_profile(axes: Axes, panel: SweepPanel) -> None:
    """Draw seeds, means and intervals over the levels of one factor, connected if the levels are numbers."""
    axes.set_title(_titled(panel))
    land, names = panel.land, panel.levels[0]
    if not np.isfinite(land.mean).any():
        say_empty(axes, "no results")
        return
    upright = _is_upright(panel)
    places = np.arange(len(names), dtype=float)
    jitter = np.linspace(-0.12, 0.12, len(land.values)) if len(land.values) > 1 else np.zeros(1)

    def plot(x: Any, y: Any, **style: Any) -> None:
        axes.plot(x, y, **style) if upright else axes.plot(y, x, **style)

    for offset, values in zip(jitter, land.values, strict=True):
        plot(places + offset, values, ls="none", marker="o", ms=1.8, mew=0, color="0.6", alpha=0.7, zorder=2)
    color = "#0072B2"
    if panel.numeric[0]:
        plot(places, land.mean, color=color, lw=1.2, zorder=3)
        fill = axes.fill_between if upright else axes.fill_betweenx
        fill(places, land.low, land.high, color=color, alpha=0.18, lw=0, zorder=1)
    bars = axes.vlines if upright else axes.hlines
    shown = np.where(land.constant, np.nan, 1.0)
    bars(places, land.low * shown, land.high * shown, color=color, lw=1.0, zorder=3)
    for chosen, face in ((land.candidates, color), (~land.candidates, "white")):
        plot(places[chosen], land.mean[chosen], ls="none", marker="o", ms=4.2, mec=color, mfc=face, mew=0.9, zorder=4)
    default = panel.defaults[0]
    if default is not None:
        line = axes.axvline if upright else axes.axhline
        line(default, color=_DEFAULT_COLOR, lw=1.0, ls=(0, (3, 2)), zorder=1)
    labels = [f"{name} (n = {n})" if _unequal([panel]) else name for name, n in zip(names, land.n_seeds, strict=True)]
    margin = (-0.5, len(names) - 0.5)
    if upright:
        axes.set_xticks(places, labels)
        axes.set(xlim=margin, xlabel=panel.factors[0], ylabel=panel.title)
    else:
        axes.set_yticks(places, labels)
        axes.set(ylim=margin[::-1], ylabel=panel.factors[0], xlabel=panel.title)
    axes.grid(visible=False, axis="x" if upright else "y")


def _is_upright(panel: SweepPanel) -> bool:
    """Return True if the levels have room side by side below a panel."""
    names = panel.levels[0]
    return len(names) <= _UPRIGHT_LEVELS and sum(len(name) + 2 for name in names) <= _UPRIGHT_CHARACTERS


def _titled(panel: SweepPanel) -> str:
    return panel.env


def _tick_names(names: Sequence[str]) -> list[str]:
    """Return the names, of which every second one or fewer stay if there are too many."""
    step = -(-len(names) // _MOST_MARKED)
    return [name if place % step == 0 else "" for place, name in enumerate(names)]


def _text_color(panel: SweepPanel, value: float) -> str:
    low, high = panel.color_range
    position = float(Normalize(low, high)(value)) if high > low else 0.5
    red, green, blue, _ = mpl.colormaps[_COLORS](position if panel.higher_is_better else 1.0 - position)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _short(value: float) -> str:
    """Return three significant digits, and all digits before the point."""
    magnitude = abs(value)
    if magnitude >= 99.5:
        return f"{value:.0f}"
    if magnitude >= 9.95:
        return f"{value:.1f}"
    return f"{value:.2f}" if magnitude >= 0.005 else "0"


def _unequal(panels: Sequence[SweepPanel]) -> bool:
    return len({int(n) for panel in panels for n in np.unique(panel.land.n_seeds)}) > 1


def _note(panels: Sequence[SweepPanel], confidence: float) -> str:
    heat = any(len(panel.factors) == 2 for panel in panels)
    counts = sorted({int(n) for panel in panels for n in np.unique(panel.land.n_seeds)})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    seeds = f"{number} seed{'' if counts == [1] else 's'} per {'combination' if heat else 'level'}"
    interval = f"{confidence:.0%} t interval" if counts[-1] > 1 else "one seed has no interval"
    averaged = panels[0].averaged
    over = "" if not averaged else f" Averaged over the other factors ({', '.join(_all_averaged(panels))})."
    if heat:
        better = (
            " Yellow is better." if len({panel.title for panel in panels}) == 1 else " Yellow is better everywhere."
        )
        return f"Mean over seeds, and {interval} of each combination alone; {seeds}.{better}{over}"
    return f"Mean over seeds with {interval} of each level alone; grey dots: seeds; {seeds}."


def _all_averaged(panels: Sequence[SweepPanel]) -> list[str]:
    return list(dict.fromkeys(name for panel in panels for name in panel.averaged))


def _handles(panels: Sequence[SweepPanel], confidence: float) -> list[tuple[Any, str]]:
    handles: list[tuple[Any, str]] = []
    heat = any(len(panel.factors) == 2 for panel in panels)
    style: dict[str, Any] = {"ls": "none", "marker": "o"}
    if any(panel.land.n_seeds.max(initial=0) > 1 for panel in panels):
        dot = Line2D([], [], color="0.1", ms=3, **style) if heat else Line2D([], [], color="#0072B2", ms=4.2, **style)
        handles.append((dot, f"may be the best ({confidence:.0%}, all comparisons together)"))
    if not heat:
        handles.append((Line2D([], [], mfc="white", mec="#0072B2", ms=4.2, **style), "worse than another one"))
    if any(all(place is not None for place in panel.defaults) for panel in panels):
        mark = (
            Rectangle((0, 0), 1, 1, fill=False, ec=_DEFAULT_COLOR, lw=1.6)
            if heat
            else Line2D([], [], color=_DEFAULT_COLOR, lw=1.0, ls=(0, (3, 2)))
        )
        handles.append((mark, "default"))
    return handles
