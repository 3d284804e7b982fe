"""Figure of the updates: clipping, KL, entropy, explained variance and probability ratios over the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from harness.analysis.frames import Results
from harness.analysis.plots.layers import BAND_ALPHA, draw_quartiles, show_decades
from harness.analysis.plots.panels import algorithm_handles, draw_row, title_panels
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.run_curves import CurveGroup, CurveGroups, FloatArray, count_seeds, on_grid, run_curves
from harness.analysis.plots.style import Look, finish, looks, new_figure, say_empty, step_axis

__all__ = ["update_diagnostics"]

_DIAGNOSTICS: Mapping[str, tuple[str, tuple[str, ...], float]] = {
    "clip": ("clipped fraction\nof samples", ("train/clip_fraction",), 1.0),
    # The harness measures the KL of every algorithm; logs of SB3 alone have its estimate, of PPO only.
    "kl": ("KL per update\n(nats)", ("update/kl", "train/approx_kl"), 1.0),
    "entropy": ("entropy of the\npolicy (nats)", ("train/entropy_loss",), -1.0),  # SB3 logs its negative as a loss
    "variance": ("explained variance\nof returns", ("train/explained_variance",), 1.0),
}
"""Row -> label, keys of which the first that an algorithm logs is drawn, and factor of the logged value."""

_CLIP_RANGE = "train/clip_range"
_RATIO_QUANTILES = tuple(f"update/ratio_{name}" for name in ("q01", "q25", "q50", "q75", "q99"))
_RATIO_TICKS = ((0.8, 0.9, 1, 1.1, 1.25), (0.5, 0.75, 1, 1.5, 2), (0.2, 0.5, 1, 2, 5), (0.01, 0.1, 1, 10, 100))
_SHOWN = 0.98
"""Share of the drawn points of a ratio panel that lie within its axis."""
_CLIP_LINE: dict[str, Any] = {"lw": 1.0, "ls": ":", "zorder": 5}


@report_figure(envs_per_page=4, most_pages=2)
def update_diagnostics(results: Results) -> Figure:
    """Draw the size of the updates: a row of panels for each diagnostic that SB3 logs, and one for the ratio.

    Diagnostics: median and quartiles over the seeds, for each algorithm that logs them.
    The last row shows r = pi_new(a|s) / pi_old(a|s) over the samples of a rollout after its update: its median and
    the range from its 1% to its 99% quantile (medians over the seeds), with the clip range of each algorithm as it
    logged it, constant or annealed; the axis leaves out the 2% of the drawn points that are farthest from 1.
    """
    figure, grid = new_figure(len(_DIAGNOSTICS) + 1, len(results.envs), row_inches=1.1)
    logged = {row: _first_logged(results, keys, factor) for row, (_, keys, factor) in _DIAGNOSTICS.items()}
    clip_ranges = _curves_of(results, _CLIP_RANGE)
    ratios = {key: _curves_of(results, key) for key in _RATIO_QUANTILES}
    for row, (name, (label, _, _)) in zip(grid, _DIAGNOSTICS.items(), strict=False):
        draw_row(row, results, logged[name], draw_quartiles, "not logged")
        row[0].set_ylabel(label)
        if name == "kl":
            for axes in row:
                show_decades(axes)
    for axes, env in zip(grid[-1], results.envs, strict=True):
        _draw_ratios(axes, ratios, results, env)
        _finish_ratios(axes, _draw_clip_ranges(axes, clip_ranges, results, env))
        step_axis(axes)
    grid[-1, 0].set_ylabel("probability ratio\nafter the update")
    figure.align_ylabels(list(grid[:, 0]))
    title_panels(list(grid[0]), results.envs)
    handles = algorithm_handles(results)
    if clip_ranges:
        handles.append((Line2D([], [], color="0.3", **_CLIP_LINE), "clip range 1 ± ε"))
    merged = {key: group for curves in [*logged.values(), *ratios.values()] for key, group in curves.items()}
    caption = (
        "Lines are the median over the seeds, bands reach from the first to the third quartile. The last row shows the "
        "ratio of the new to the old probability of the actions in a rollout: its median, and 25-75% and 1-99% of the "
        f"samples, with the 2% of points that are farthest from 1 off the axis; {count_seeds(results, merged)}."
    )
    if clip_ranges:
        caption += " Dotted lines are each algorithm's own clip range as it was logged, constant or annealed."
    return finish(
        figure,
        title="Inside the updates: clipping, KL, entropy, fit and probability ratio",
        caption=caption,
        handles=handles,
    )


def _curves_of(results: Results, key: str, factor: float = 1.0) -> CurveGroups:
    rows = results.progress[results.progress["key"] == key]
    return run_curves(results, rows, "value", lambda values: factor * values)


def _first_logged(results: Results, keys: Sequence[str], factor: float) -> CurveGroups:
    """Return the curves of each algorithm for the first of the keys that it logs, times a factor."""
    curves: dict[tuple[str, str], CurveGroup] = {}
    for key in keys:
        for group, own in _curves_of(results, key, factor).items():
            curves.setdefault(group, own)
    return curves


def _draw_clip_ranges(axes: Axes, clip_ranges: CurveGroups, results: Results, env: str) -> float:
    """Draw 1 + ε and 1 - ε of each algorithm over the training; return the largest ε, 0 without any."""
    largest = 0.0
    for algo, look in looks(results.algos).items():
        group = clip_ranges.get((algo, env))
        if group is None or not axes.has_data():
            continue
        grid, values = on_grid(group.complete)
        if grid.size:
            middle = np.median(values, axis=0)
            largest = max(largest, float(middle.max()))
            # The logarithmic axis has no place for a bound of zero or below.
            for bound in (1 + middle, np.where(middle < 1, 1 - middle, np.nan)):
                axes.plot(grid, bound, color=look.color, label="clip range", **_CLIP_LINE)
    return largest


def _draw_ratios(axes: Axes, ratios: Mapping[str, CurveGroups], results: Results, env: str) -> None:
    """Draw the quantiles of the ratio as a fan, for each algorithm that logs all five of them."""
    for algo, look in looks(results.algos).items():
        groups = [curves[algo, env].complete for curves in ratios.values() if (algo, env) in curves]
        if len(groups) == len(ratios) and all(groups):
            grids, values = zip(*map(on_grid, groups), strict=True)
            _draw_fan(axes, grids[0], [np.median(of_seeds, axis=0) for of_seeds in values], look)
    if not axes.has_data():
        say_empty(axes, "not logged")


def _draw_fan(axes: Axes, grid: FloatArray, quantiles: Sequence[FloatArray], look: Look) -> None:
    """Fill between the outer and between the inner quantiles; draw lines at the outer ones and the median."""
    lowest, low, middle, high, highest = quantiles
    for below, above in ((lowest, highest), (low, high)):
        axes.fill_between(grid, below, above, color=look.color, alpha=BAND_ALPHA / 2, lw=0, zorder=1 + look.order)
    for edge in (lowest, highest):
        axes.plot(grid, edge, **look.line(lw=0.5 * look.width))
    axes.plot(grid, middle, label="median", **look.line())


def _finish_ratios(axes: Axes, clip_range: float) -> None:
    if not axes.has_data():
        return
    ratios = [line.get_ydata() for line in axes.lines if line.get_label() != "clip range"]
    extent = _log_extent(ratios, min(clip_range, 0.9))
    axes.set_yscale("log")  # r and 1/r are equally far from 1
    axes.set_ylim(float(np.exp(-extent)), float(np.exp(extent)))
    ticks = next((t for t in _RATIO_TICKS if extent <= 1.6 * np.log(t[-1])), _RATIO_TICKS[-1])
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _log_extent(ratios: Sequence[Any], clip_range: float) -> float:
    """Return half the height of the axis in log r: a few extreme updates must not shrink all others to a line."""
    drawn = np.concatenate([np.abs(np.log(np.maximum(np.asarray(ratio, dtype=float), 1e-12))) for ratio in ratios])
    return max(1.1 * max(float(np.nanquantile(drawn, _SHOWN)), -1.2 * float(np.log1p(-clip_range))), 0.01)
