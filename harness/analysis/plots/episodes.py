"""Figures of the training episodes, as Monitor recorded them: raw, smoothed, and their variability within a run."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots.layers import (
    MOST_POINTS,
    draw_mean,
    draw_points,
    draw_quartiles,
    draw_seeds,
    every_nth,
    show_decades,
)
from harness.analysis.plots.panels import end_handle, one_panel_each, title_panels
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.run_curves import CurveGroup, count_seeds, run_curves
from harness.analysis.plots.style import Look, finish, looks, new_figure, say_empty, short_labels, step_axis
from harness.analysis.stats import rolling_mean, rolling_variance

__all__ = ["raw_rewards", "return_variability", "smoothed_rewards"]


@report_figure(envs_per_page=4, most_pages=2)
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
        row[0].set_ylabel(f"{labels[algo]}\nepisode return", parse_math=False)
    for axes in grid[-1]:
        step_axis(axes)
    title_panels(list(grid[0]), results.envs)
    n_runs = sum(len(group.curves) for group in curves.values())
    caption = f"Each point is one training episode as Monitor recorded it, not smoothed; {n_runs} runs"
    thinned = any(every_nth(group) > 1 for group in curves.values())
    caption += f", with at most {MOST_POINTS:,} evenly chosen points in a panel." if thinned else "."
    return finish(figure, title="Return of every training episode", caption=caption, handles=end_handle(curves))


@report_figure
def smoothed_rewards(results: Results, *, window: int = 100) -> Figure:
    """Draw the rolling mean of each run's episode returns, and the mean of these over the seeds."""
    curves = run_curves(results, results.episodes, "reward", lambda rewards: rolling_mean(rewards, window))

    def draw(axes: Axes, group: CurveGroup, look: Look) -> None:
        draw_seeds(axes, group, look)
        draw_mean(axes, group, look)

    seeds = count_seeds(results, curves)
    return one_panel_each(
        results,
        curves,
        draw,
        title=f"Training return, rolling mean over {window} episodes",
        caption=f"Thin lines are seeds, bold lines their mean where all complete runs have a value; {seeds}.",
        ylabel="episode return",
        empty=f"no run has\n{window} episodes",
    )


@report_figure
def return_variability(results: Results, *, window: int = 100) -> Figure:
    """Draw the standard deviation of returns in a rolling window of each run: median and quartiles over the seeds.

    It is the square root of `rolling_variance`, in units of return. The axis is logarithmic if the medians span
    decades, with a linear stretch if they reach zero: a run on a perfect plateau does not vary.
    """
    curves = run_curves(results, results.episodes, "reward", lambda rewards: np.sqrt(rolling_variance(rewards, window)))
    seeds = count_seeds(results, curves)
    figure = one_panel_each(
        results,
        curves,
        draw_quartiles,
        title=f"Spread of the training return within a run, over {window} episodes",
        caption=(
            f"Standard deviation of the last {window} episodes of a run: lines are the median over the seeds, bands "
            f"reach from the first to the third quartile; {seeds}. It contains learning and the luck of single "
            "episodes, and judges no algorithm."
        ),
        ylabel="std of episode return",
        empty=f"no run has\n{window} episodes",
    )
    for axes in figure.axes:
        show_decades(axes)
    return figure
