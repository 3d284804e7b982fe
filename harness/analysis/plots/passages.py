"""Figure of the steps until runs reach the score that counts as a solution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.frames import Results
from harness.analysis.plots.panels import title_panels
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.style import Look, finish, grid_figure, looks, short_labels, step_axis
from harness.analysis.stats import kaplan_meier

__all__ = ["time_to_threshold"]


@report_figure
def time_to_threshold(results: Results, *, passages: pd.DataFrame | None = None, confidence: float = 0.95) -> Figure:
    """Draw the share of runs that have reached the threshold of their environment, over the training.

    passages: a row for each run, with columns env, algo, threshold, steps, reached; without it the figure is empty.
    """
    rows = pd.DataFrame() if passages is None else passages[passages["env"].isin(results.envs)]
    envs = [env for env in results.envs if len(rows) and (rows["env"] == env).any()]
    algos = [algo for algo in results.algos if len(rows) and (rows["algo"] == algo).any()]
    styles, names = looks(results.algos), short_labels(results.algos)
    figure, panels = grid_figure(len(envs))
    for place, (axes, env) in enumerate(zip(panels, envs, strict=False)):
        own = rows[rows["env"] == env]
        for algo in algos:
            mine = own[own["algo"] == algo]
            if len(mine):
                _draw(axes, mine, float(own["steps"].max()), styles[algo], confidence)
        axes.set_ylim(-0.03, 1.03)
        step_axis(axes)
        if place % 3 == 0:
            axes.set_ylabel("share of runs")
    thresholds: Any = rows.groupby("env", observed=True)["threshold"].first() if len(rows) else {}
    title_panels(panels[: len(envs)], [f"{env}, at {thresholds[env]:g}" for env in envs])
    caption = (
        "Share of the runs that have reached the threshold at least once by a step (Kaplan-Meier), with pointwise "
        f"{confidence:.0%} limits where they exist; a small vertical stroke is a run that ended without having reached "
        "it. Half is the median of the table. Steps are those of the evaluations, between which nobody looked."
    )
    handles = [(Line2D([], [], **styles[algo].line()), names[algo]) for algo in algos]
    return finish(figure, title="Runs that have reached the threshold", caption=caption, handles=handles)


def _draw(axes: Axes, runs: pd.DataFrame, end: float, look: Look, confidence: float) -> None:
    steps, reached = runs["steps"].to_numpy(float), runs["reached"].to_numpy(bool)
    curve = kaplan_meier(steps, reached, confidence)
    times = np.concatenate([[0.0], curve.times, [end]])
    share = np.concatenate([[0.0], 1.0 - curve.share, [1.0 - curve.share[-1]]])
    axes.plot(times, share, **look.line(drawstyle="steps-post"))
    low, high = (np.concatenate([[np.nan], 1.0 - side, [1.0 - side[-1]]]) for side in (curve.high, curve.low))
    there = ~np.isnan(low) & ~np.isnan(high)
    if there.any():  # a collection with NaN has no extent, on which the layout of the whole figure would fail
        axes.fill_between(times[there], low[there], high[there], step="post", color=look.color, alpha=0.12, lw=0)
    ended = np.unique(steps[~reached])
    heights = [share[np.searchsorted(times, step, side="right") - 1] for step in ended]
    axes.plot(ended, heights, ls="none", marker="|", ms=6, mew=1.2, color=look.color)
