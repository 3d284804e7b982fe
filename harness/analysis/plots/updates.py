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
from harness.analysis.plots.layers import BAND_ALPHA, draw_quartiles
from harness.analysis.plots.panels import algorithm_handles, draw_row, title_columns
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.run_curves import CurveGroups, FloatArray, count_seeds, on_grid, run_curves
from harness.analysis.plots.style import Look, finish, looks, new_figure, say_empty, step_axis

__all__ = ["update_diagnostics"]

_DIAGNOSTICS = {
    "train/clip_fraction": "clipped fraction\nof samples",
    "train/approx_kl": "approximate KL\nper update (nats)",
    "train/entropy_loss": "entropy loss\n(nats)",
    "train/explained_variance": "explained variance\nof returns",
}
_RATIO_QUANTILES = tuple(f"update/ratio_{name}" for name in ("q01", "q25", "q50", "q75", "q99"))
_RATIO_TICKS = ((0.8, 0.9, 1, 1.1, 1.25), (0.5, 0.75, 1, 1.5, 2), (0.2, 0.5, 1, 2, 5), (0.01, 0.1, 1, 10, 100))
_SHOWN = 0.98
"""Share of the drawn points of a ratio panel that lie within its axis."""
_CLIP_LINE: dict[str, Any] = {"color": "0.2", "lw": 0.8, "ls": ":", "zorder": 5}


@report_figure
def update_diagnostics(results: Results, *, clip_range: float = 0.2) -> Figure:
    """Draw the size of the updates: a row of panels for each diagnostic that SB3 logs, and one for the ratio.

    Diagnostics: median and quartiles over the seeds, for each algorithm that logs them.
    The last row shows r = pi_new(a|s) / pi_old(a|s) over the samples of a rollout after its update: its median and
    the range from its 1% to its 99% quantile (medians over the seeds), with lines at the clip range 1 ± clip_range;
    the axis leaves out the 2% of the drawn points that are farthest from 1.
    """
    figure, grid = new_figure(len(_DIAGNOSTICS) + 1, len(results.envs), row_inches=1.1)
    logged = {key: _curves_of(results, key) for key in _DIAGNOSTICS}
    ratios = {key: _curves_of(results, key) for key in _RATIO_QUANTILES}
    for row, (key, label) in zip(grid, _DIAGNOSTICS.items(), strict=False):
        draw_row(row, results, logged[key], draw_quartiles, "not logged")
        row[0].set_ylabel(label)
    for axes, env in zip(grid[-1], results.envs, strict=True):
        _draw_ratios(axes, ratios, results, env)
        _show_clip_range(axes, clip_range)
        step_axis(axes)
    grid[-1, 0].set_ylabel("probability ratio\nafter the update")
    figure.align_ylabels(list(grid[:, 0]))
    title_columns(grid, results.envs)
    handles = [
        *algorithm_handles(results),
        (Line2D([], [], **_CLIP_LINE), f"clip range 1 ± {clip_range:g}"),
    ]
    merged = {key: group for curves in [*logged.values(), *ratios.values()] for key, group in curves.items()}
    bands = "median and quartiles of the seeds; of the ratio the median, 25-75% and 1-99% of the samples"
    note = f"Diagnostics of the updates; {count_seeds(results, merged)}; {bands}, the wildest 2% off the axis"
    return finish(figure, note=note, handles=handles)


def _curves_of(results: Results, key: str) -> CurveGroups:
    return run_curves(results, results.progress[results.progress["key"] == key], "value")


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


def _show_clip_range(axes: Axes, clip_range: float) -> None:
    if not axes.has_data():
        return
    extent = _log_extent([line.get_ydata() for line in axes.lines], clip_range)
    for bound in (1 - clip_range, 1 + clip_range):
        axes.axhline(bound, **_CLIP_LINE)
    axes.set_yscale("log")  # r and 1/r are equally far from 1
    axes.set_ylim(float(np.exp(-extent)), float(np.exp(extent)))
    ticks = next((t for t in _RATIO_TICKS if extent <= 1.6 * np.log(t[-1])), _RATIO_TICKS[-1])
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _log_extent(ratios: Sequence[Any], clip_range: float) -> float:
    """Return half the height of the axis in log r: a few extreme updates must not shrink all others to a line."""
    drawn = np.concatenate([np.abs(np.log(np.maximum(np.asarray(ratio, dtype=float), 1e-12))) for ratio in ratios])
    return 1.1 * max(float(np.nanquantile(drawn, _SHOWN)), -1.2 * float(np.log1p(-clip_range)))
