"""Heatmap over two factors of a sweep, with intervals and the region of the combinations that may be the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from harness.analysis.plots.style import say_empty
from harness.analysis.plots.sweep_panel import DEFAULT_COLOR, SweepPanel, number_text, unequal_seeds

__all__ = ["REGION_COLORS", "draw_heatmap", "heatmap_size", "region_edges"]

_COLORS = "cividis"
"""Colour map that looks alike to readers with and without colour blindness, and in grey."""
REGION_COLORS = ("white", "black")
"""Casing and line around the region of the candidates, of which one is visible on every colour."""
_REGION_WIDTHS = (4.0, 2.0)
_MISSING_COLOR = "0.88"
_INTERVAL_COLUMNS, _NUMBER_COLUMNS = 6, 12
"""Largest numbers of columns whose cells have room for an interval, and for a number."""
_MOST_MARKED = 40
"""Largest number of levels along an axis whose names are all written."""
_CHARACTER_INCHES = 0.056
"""Width of a character of an interval, with some reserve."""
_MEAN_SIZE, _INTERVAL_SIZE, _SMALL_SIZE = 7.5, 5.8, 5.2

Segment = tuple[tuple[int, int], tuple[int, int]]


def heatmap_size(panel: SweepPanel) -> tuple[float, float]:
    """Return width and height of a panel in inches."""
    n_rows, n_columns = map(len, panel.levels)
    tall = n_columns <= _INTERVAL_COLUMNS
    cell = 0.5
    if tall and not panel.is_empty:
        texts = (line for place in np.ndindex(panel.land.mean.shape) for line in _below(panel, (place[0], place[1])))
        cell = max(0.7, _CHARACTER_INCHES * max(map(len, texts), default=0))
    names = _CHARACTER_INCHES * max(0, max(map(len, panel.levels[0])) - 4)
    width = float(np.clip(cell * n_columns + 0.9, 2.6, 7.0)) + min(names, 1.5)
    return width, float(np.clip((0.42 if tall else 0.34) * n_rows + 0.8, 1.6, 6.0))


def draw_heatmap(figure: Figure, axes: Axes, panel: SweepPanel) -> None:
    """Draw means as colours and numbers, the region of candidates for the best, and the usual combination."""
    if panel.is_empty:
        say_empty(axes, "no results")
        return
    land, low_high = panel.land, panel.color_range
    n_columns = land.mean.shape[1]
    axes.set_facecolor(_MISSING_COLOR)
    sns.heatmap(
        land.mean,
        ax=axes,
        cmap=_COLORS if panel.higher_is_better else f"{_COLORS}_r",
        cbar=False,
        vmin=low_high[0],
        vmax=low_high[1],
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
    axes.set(xlabel=panel.factors[1], ylabel=panel.factors[0])
    _draw_bar(figure, axes, panel)
    for place in np.ndindex(land.mean.shape):
        _draw_cell(axes, panel, (place[0], place[1]))
    if (land.n_seeds > 1).any():
        _draw_region(axes, land.candidates)
    if all(default is not None for default in panel.defaults):
        row, column = (int(default or 0) for default in panel.defaults)
        axes.add_patch(
            Rectangle((column + 0.05, row + 0.08), 0.9, 0.84, fill=False, ec=DEFAULT_COLOR, lw=1.4, ls="--", zorder=7)
        )


def _draw_bar(figure: Figure, axes: Axes, panel: SweepPanel) -> None:
    bar = figure.colorbar(axes.collections[0], ax=axes, fraction=0.05, pad=0.02, aspect=25)
    bar.set_label(panel.direction)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    bar.locator = MaxNLocator(5)
    if not panel.higher_is_better:
        bar.ax.invert_yaxis()  # the better end is on top in every panel


def _draw_region(axes: Axes, inside: npt.NDArray[np.bool_]) -> None:
    """Draw a line around a region of cells, within the frame of the axes."""
    edges = list(region_edges(inside))
    for color, width in zip(REGION_COLORS, _REGION_WIDTHS, strict=True):
        axes.add_collection(
            LineCollection(edges, colors=color, linewidths=width, capstyle="projecting", zorder=6, clip_on=False),
            autolim=False,
        )


def region_edges(inside: npt.NDArray[np.bool_]) -> Iterator[Segment]:
    """Yield the straight lines between the inside and the outside of a region, as ((x, y), (x, y)).

    inside: [rows, columns]; cell [i, j] covers x from j to j + 1 and y from i to i + 1.
    """
    padded = np.pad(inside, 1)
    for y, sides in enumerate(padded[1:] != padded[:-1]):
        for start, end in _stretches(sides[1:-1]):
            yield (start, y), (end, y)
    for x, sides in enumerate((padded[:, 1:] != padded[:, :-1]).T):
        for start, end in _stretches(sides[1:-1]):
            yield (x, start), (x, end)


def _stretches(sides: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield start and end of every stretch of true values."""
    changes = np.flatnonzero(np.diff(np.pad(sides.astype(np.int8), 1)))
    yield from ((int(start), int(end)) for start, end in changes.reshape(-1, 2))


def _draw_cell(axes: Axes, panel: SweepPanel, place: tuple[int, int]) -> None:
    """Write the mean into a cell, and below it the interval, unequal numbers of seeds, and failures."""
    land, n_columns = panel.land, panel.land.mean.shape[1]
    row, column = place
    if n_columns > _NUMBER_COLUMNS:
        return
    if np.isnan(land.mean[place]):
        axes.text(column + 0.5, row + 0.5, "none", ha="center", va="center", fontsize=_INTERVAL_SIZE, color="0.35")
        return
    lines = _below(panel, place) if n_columns <= _INTERVAL_COLUMNS else []
    best = np.nanmax(land.mean) if panel.higher_is_better else np.nanmin(land.mean)
    color = _text_color(panel, float(land.mean[place]))
    axes.text(
        column + 0.5,
        row + 0.5 + (0.17 + 0.06 * (len(lines) - 1) if lines else 0.0),
        number_text(land.mean[place]),
        ha="center",
        va="center",
        color=color,
        fontsize=_MEAN_SIZE,
        weight="bold" if land.mean[place] == best else "normal",
    )
    axes.text(
        column + 0.5,
        row + 0.44 + 0.08 * (len(lines) - 1),
        "\n".join(lines),
        ha="center",
        va="top",
        color=color,
        fontsize=_INTERVAL_SIZE if len(lines) == 1 else _SMALL_SIZE,
        linespacing=1.0,
    )


def _below(panel: SweepPanel, place: tuple[int, int]) -> list[str]:
    land = panel.land
    lines = []
    if land.constant[place]:
        lines.append("all equal")
    elif np.isfinite(land.low[place]):
        lines.append(f"[{number_text(land.low[place])}, {number_text(land.high[place])}]")
    counts = [f"n = {land.n_seeds[place]}"] if unequal_seeds([panel]) else []
    if panel.n_failed[place]:
        counts.append(f"{panel.n_failed[place]} failed")
    return [*lines, ", ".join(counts)] if counts else lines


def _tick_names(names: Sequence[str]) -> list[str]:
    """Return the names, of which every second one or fewer stay if there are too many."""
    step = -(-len(names) // _MOST_MARKED)
    return [name if place % step == 0 else "" for place, name in enumerate(names)]


def _text_color(panel: SweepPanel, value: float) -> str:
    low, high = panel.color_range
    position = float(Normalize(low, high)(value)) if high > low else 0.5
    red, green, blue, _ = mpl.colormaps[_COLORS](position if panel.higher_is_better else 1.0 - position)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.45 else "white"
