"""Figures of the training episodes, as Monitor recorded them: raw, smoothed, and their variability within a run."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots.layers import draw_mean, draw_points, draw_quartiles, draw_seeds
from harness.analysis.plots.panels import end_handle, one_row, title_columns
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.run_curves import CurveGroup, count_seeds, run_curves
from harness.analysis.plots.style import Look, finish, looks, new_figure, say_empty, short_labels, step_axis
from harness.analysis.stats import rolling_mean, rolling_variance

__all__ = ["raw_rewards", "return_variability", "smoothed_rewards"]

_DECADES_FOR_LOG = 1.5
_DECADES_SHOWN = 4


@report_figure
def raw_rewards(results: Results) -> Figure:
    """Draw every training episode as a point, with a row of panels for each algorithm, so that none hides another."""
    curves = run_curves(results, results.episodes, "reward")
    labels = short_labels(results.algos)
    figure, grid = new_figure(len(results.algos), len(results.envs), row_inches=1.15, sharey="col")
    for row, (algo, look) in zip(grid, looks(results.algos).items(), strict=True):
        for axes, env in zip(row, results.envs, strict=True):
            if (algo, env) in curves:
                draw_points(axes, curves[algo, env], look)
            else:
                say_empty(axes, "no episodes")
        row[0].set_ylabel(f"{labels[algo]}\nepisode return")
    for axes in grid[-1]:
        step_axis(axes)
    title_columns(grid, results.envs)
    n_runs = sum(len(group.curves) for group in curves.values())
    note = f"Return of every training episode, not smoothed; {n_runs} runs"
    return finish(figure, note=note, handles=end_handle(curves))


@report_figure
def smoothed_rewards(results: Results, *, window: int = 100) -> Figure:
    """Draw the rolling mean of each run's episode returns, and the mean of these over the seeds."""
    curves = run_curves(results, results.episodes, "reward", lambda rewards: rolling_mean(rewards, window))

    def draw(axes: Axes, group: CurveGroup, look: Look) -> None:
        draw_seeds(axes, group, look)
        draw_mean(axes, group, look)

    seeds = count_seeds(results, curves)
    note = f"Rolling mean over {window} training episodes; {seeds}; thin lines: seeds, bold lines: their mean"
    empty = f"no run has\n{window} episodes"
    return one_row(results, curves, draw, note=note, ylabel="episode return", empty=empty)


@report_figure
def return_variability(results: Results, *, window: int = 100) -> Figure:
    """Draw the standard deviation of returns in a rolling window of each run: median and quartiles over the seeds.

    It is the square root of `rolling_variance`, in units of return. The axis is logarithmic if the medians span
    decades, with a linear stretch if they reach zero: a run on a perfect plateau does not vary.
    """
    curves = run_curves(results, results.episodes, "reward", lambda rewards: np.sqrt(rolling_variance(rewards, window)))
    seeds = count_seeds(results, curves)
    note = f"Spread of the last {window} training episodes within a run; {seeds}; median and quartiles of the seeds"
    figure = one_row(
        results,
        curves,
        draw_quartiles,
        note=note,
        ylabel="std of episode return",
        empty=f"no run has\n{window} episodes",
    )
    for axes in figure.axes:
        _show_decades(axes)
    return figure


def _show_decades(axes: Axes) -> None:
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
