"""Layers of a panel that show the runs of one algorithm: points, seeds, mean, quartiles, band."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from harness.analysis.plots.run_curves import Curve, CurveGroup, FloatArray, on_grid
from harness.analysis.plots.style import Look
from harness.analysis.stats import Band

__all__ = [
    "BAND_ALPHA",
    "END_MARK",
    "MOST_POINTS",
    "draw_band",
    "draw_mean",
    "draw_points",
    "draw_quartiles",
    "draw_seeds",
    "every_nth",
    "show_decades",
]

BAND_ALPHA = 0.22

MOST_POINTS = 20_000
"""Points of a panel beyond which only every n-th is drawn: more of them cannot be told apart on a page."""

_DECADES_FOR_LOG = 1.5
_DECADES_SHOWN = 4

STRETCHES = 400
"""Parts of a long curve that are drawn by their lowest and highest value, finer than a panel's pixels."""

END_MARK: dict[str, Any] = {"ls": "none", "marker": "x", "ms": 4.5, "mew": 1.2}
"""Marker at the end of the curve of a failed or interrupted run."""


def draw_points(axes: Axes, group: CurveGroup, look: Look) -> None:
    """Draw every value of every run as a point, the fainter the more points there are."""
    count = sum(len(curve.values) for curve in group.curves)
    alpha = float(np.clip(600 / count, 0.06, 0.6))
    nth = every_nth(group)
    for curve in group.curves:
        style: dict[str, Any] = {"ls": "none", "marker": ".", "ms": 2.2, "mew": 0, "color": look.color, "alpha": alpha}
        axes.plot(curve.timesteps[::nth], curve.values[::nth], rasterized=True, label=f"seed {curve.seed}", **style)
    _mark_ends(axes, group, look)


def every_nth(group: CurveGroup) -> int:
    """Return n such that every n-th value of all curves is at most MOST_POINTS values."""
    return -(-sum(len(curve.values) for curve in group.curves) // MOST_POINTS) or 1


def draw_seeds(axes: Axes, group: CurveGroup, look: Look) -> None:
    """Draw a thin line for each run, and a cross at the end of a failed one."""
    alpha = float(np.clip(3 / len(group.curves), 0.1, 0.45))
    for curve in group.curves:
        style = look.line(lw=0.35 * look.width, ls="-", alpha=alpha, zorder=2 + look.order / 2)
        axes.plot(*_thinned(curve), rasterized=True, label=f"seed {curve.seed}", **style)
    _mark_ends(axes, group, look)


def _thinned(curve: Curve) -> tuple[FloatArray, FloatArray]:
    """Return times and values of a curve, of a long one only the lowest and the highest value of each stretch."""
    n = len(curve.values)
    size = -(-n // STRETCHES)
    if size <= 2:
        return curve.timesteps, curve.values
    starts = np.arange(0, n, size)
    padded = np.pad(curve.values, (0, starts.size * size - n), mode="edge").reshape(-1, size)
    ends = np.column_stack([padded.argmin(axis=1), padded.argmax(axis=1)])
    kept = np.unique(np.concatenate([[0], np.minimum(starts[:, None] + ends, n - 1).ravel(), [n - 1]]))
    return curve.timesteps[kept], curve.values[kept]


def draw_mean(axes: Axes, group: CurveGroup, look: Look) -> None:
    """Draw the mean over the complete runs at the times at which all of them have a value."""
    grid, values = on_grid(group.complete)
    if grid.size:
        axes.plot(grid, values.mean(axis=0), label="mean", **look.line())


def draw_quartiles(axes: Axes, group: CurveGroup, look: Look) -> None:
    """Draw the median over the complete runs, and the band between the quartiles if there are two runs or more."""
    grid, values = on_grid(group.complete)
    if grid.size:
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
        axes.plot(grid, middle, label="median", **look.line())
        if len(values) > 1:
            _fill(axes, grid, low, high, look)


def draw_band(axes: Axes, grid: FloatArray, band: Band, look: Look) -> None:
    """Draw an estimate over seeds and the band of its limits, which a single seed does not have."""
    axes.plot(grid, band.estimate, label="estimate", **look.line())
    if not np.isnan(band.low).all():
        _fill(axes, grid, band.low, band.high, look)


def _mark_ends(axes: Axes, group: CurveGroup, look: Look) -> None:
    ends = [(curve.timesteps[-1], curve.values[-1]) for curve in group.curves if not curve.complete]
    if ends:
        axes.plot(*zip(*ends, strict=True), color=look.color, label="failed", zorder=6, **END_MARK)


def _fill(axes: Axes, grid: FloatArray, low: FloatArray, high: FloatArray, look: Look) -> None:
    axes.fill_between(grid, low, high, color=look.color, alpha=BAND_ALPHA, lw=0, zorder=1 + look.order)


def show_decades(axes: Axes) -> None:
    """Set a logarithmic axis for lines that span decades, linear near zero if they reach it; else an axis from zero."""
    heights = np.concatenate([np.zeros(0), *(np.asarray(line.get_ydata(), np.float64) for line in axes.get_lines())])
    positive = heights[heights > 0]
    spans_decades = positive.size and positive.max() / positive.min() > 10**_DECADES_FOR_LOG
    if spans_decades and positive.size == heights.size:
        axes.set_yscale("log")
    elif spans_decades:
        lowest = max(positive.min(), positive.max() / 10**_DECADES_SHOWN)
        axes.set_yscale("symlog", linthresh=10 ** math.floor(math.log10(lowest)), linscale=0.5)
    if heights.size and axes.get_yscale() != "log":
        axes.set_ylim(bottom=0)
