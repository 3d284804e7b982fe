"""Figures over environments: aggregates with intervals, performance profiles, and the probability of improvement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from harness.analysis.frames import Results
from harness.analysis.plots.comparisons import MOST_PAIRS, OUTCOMES
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.style import finish, looks, new_figure, short_labels

__all__ = ["aggregate_intervals", "improvement_over_tasks", "performance_profiles"]

MEASURES = {
    "IQM": "IQM →",
    "median": "median →",
    "mean": "mean →",
    "optimality gap": "← optimality gap",
}
"""Aggregate -> title of its panel; the arrow points to the better side."""

_ALL = 1_000_000  # environments on one page: an aggregate has no pages
_FULL_WIDTH = 7.1


@report_figure(envs_per_page=_ALL)
def aggregate_intervals(
    results: Results, *, aggregates: pd.DataFrame | None = None, confidence: float = 0.95
) -> Figure:
    """Draw every aggregate of the normalised scores with its interval: a row for each algorithm, a panel for each.

    aggregates: table of aggregates over environments; without it the figure is empty.
    """
    rows, note = _comparable(results, aggregates)
    algos = _in_order(results, rows)
    figure, grid = new_figure(1, len(MEASURES), row_inches=0.55 + 0.23 * max(len(algos), 2))
    figure.set_figwidth(_FULL_WIDTH)
    names, styles = short_labels(results.algos), looks(results.algos)
    for place, (axes, (measure, title)) in enumerate(zip(grid[0], MEASURES.items(), strict=True)):
        own = rows[rows["measure"] == measure].set_index("algo") if len(rows) else rows
        for height, algo in enumerate(algos):
            row = own.loc[algo]
            color = styles[algo].color
            if not np.isnan(row["low"]):
                box: dict[str, Any] = {"color": color, "alpha": 0.55, "lw": 0, "zorder": 2}
                axes.barh(height, row["high"] - row["low"], left=row["low"], height=0.62, **box)
            axes.plot([row["estimate"]] * 2, [height - 0.36, height + 0.36], color="0.1", lw=1.3, zorder=3)
        axes.set_title(title)
        labels = [names[algo].replace("\n", "") for algo in algos] if place == 0 else []
        axes.set_yticks(range(len(algos)), labels if place == 0 else [""] * len(algos), parse_math=False)
        axes.set_ylim(len(algos) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
        axes.use_sticky_edges = False  # bars would start at the edge of the panel
        axes.margins(x=0.1)
    figure.supxlabel("normalised score: 0 random actions, 1 reference")
    caption = (
        f"A row for each algorithm: the bar is the {confidence:.0%} interval of a bootstrap that resamples the seeds "
        "of each task, the black mark is the estimate. Scores are normalised, 0 for random actions and 1 for the "
        "reference. IQM: mean of the middle half of all runs; median and mean: of the tasks' means; optimality gap: "
        "how far the runs fall short of 1, so that less is better. Bars that overlap do not show equality, nor do bars "
        "without overlap decide: the verdict follows from the stratified test. A bar without width means that all "
        f"seeds of each task agree, not that more seeds would.{note}"
    )
    return finish(figure, title=f"Aggregates over {_tasks_in_words(rows)}", caption=caption)


@report_figure(envs_per_page=_ALL)
def performance_profiles(results: Results, *, profiles: pd.DataFrame | None = None, confidence: float = 0.95) -> Figure:
    """Draw the share of runs above each normalised score, with a band for the whole profile of each algorithm.

    profiles: table of performance profiles over environments; without it the figure is empty.
    """
    rows, note = _comparable(results, profiles)
    algos, styles, names = _in_order(results, rows), looks(results.algos), short_labels(results.algos)
    figure, grid = new_figure(1, 1, row_inches=2.6)
    figure.set_figwidth(_FULL_WIDTH)
    axes: Axes = grid[0, 0]
    for algo in algos:
        own, look = rows[rows["algo"] == algo], styles[algo]
        edges: dict[str, Any] = {"step": "post", "color": look.color, "lw": 0, "zorder": 1 + look.order}
        axes.fill_between(own["threshold"], own["low"], own["high"], alpha=0.1, **edges)
        axes.step(own["threshold"], own["share"], where="post", label=algo, **look.line())
    if algos:
        axes.axvline(1.0, color="0.4", lw=0.6, ls=(0, (2, 2)), zorder=1)
        axes.set_xlim(rows["threshold"].min(), rows["threshold"].max())
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("normalised score")
        axes.set_ylabel("share of runs with a higher score")
    caption = (
        "Share of all runs, every task counting equally, that score above the value on the horizontal axis (0: random "
        "actions; 1, dashed: the reference). A curve that lies above another one everywhere is better for every "
        "threshold; where curves cross, one is better at the top and the other at the bottom. Bands are meant to "
        f"contain the whole profile in {confidence:.0%} of repetitions (Massart's bound); they are wide, as they allow "
        f"for runs that no seed showed.{note}"
    )
    handles = [(Line2D([], [], **styles[algo].line()), names[algo]) for algo in algos]
    return finish(figure, title=f"Performance profiles over {_tasks_in_words(rows)}", caption=caption, handles=handles)


@report_figure(envs_per_page=_ALL)
def improvement_over_tasks(
    results: Results, *, aggregate_pairs: pd.DataFrame | None = None, confidence: float = 0.95
) -> Figure:
    """Draw the probability of improvement over tasks of every pair with its interval, and the verdict.

    aggregate_pairs: table of pairs over environments; without it the figure is empty.
    """
    rows = pd.DataFrame() if aggregate_pairs is None else aggregate_pairs
    if len(rows):
        rows = rows[rows["first"].isin(results.algos) & rows["second"].isin(results.algos)]
        rows = rows[rows["verdict"] != "identical"]
    left_out = len(rows) > MOST_PAIRS
    rows = rows.sort_values("p", kind="stable").head(MOST_PAIRS).sort_index() if len(rows) else rows
    figure, grid = new_figure(1, 1, row_inches=0.55 + 0.2 * max(len(rows), 2))
    figure.set_figwidth(_FULL_WIDTH)
    axes: Axes = grid[0, 0]
    names = {algo: label.replace("\n", "") for algo, label in short_labels(results.algos).items()}
    if len(rows):
        axes.axvline(0.5, color="0.3", lw=0.6, zorder=1)
        _draw_improvements(axes, rows.to_dict("records"), names)
    seen = [outcome for outcome in OUTCOMES if len(rows) and (rows["verdict"] == outcome).any()]
    handles = [(Line2D([], [], color=OUTCOMES[one][0], marker=OUTCOMES[one][1], ms=4, lw=1.3), one) for one in seen]
    caption = (
        "How likely a new run of the first algorithm scores higher than one of the second on the same task, mean over "
        f"tasks, with its {confidence:.0%} interval (Newcombe's of each task, combined). At the line of 1/2 neither "
        "side tends to score higher. It tells how often, not by how much: marker and colour are the verdict, which "
        "also needs the stratified test of the mean scores."
    )
    if left_out:
        caption += f" The {MOST_PAIRS} pairs with the smallest p-values are drawn."
    return finish(figure, title="Probability of improvement over tasks", caption=caption, handles=handles)


def _draw_improvements(axes: Axes, rows: Sequence[dict[Any, Any]], names: dict[str, str]) -> None:
    for height, row in enumerate(rows):
        color, marker = OUTCOMES[row["verdict"]]
        limits = [row["improvement_low"], row["improvement_high"]]
        axes.plot(limits, [height, height], color=color, lw=1.3, zorder=3)
        axes.plot([row["improvement"]], [height], ls="none", marker=marker, ms=4, color=color, zorder=4)
    labels = [f"{names[row['first']]} over {names[row['second']]}" for row in rows]
    axes.set_yticks(range(len(rows)), labels, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("probability that a run of the first scores higher")


def _comparable(results: Results, table: pd.DataFrame | None) -> tuple[pd.DataFrame, str]:
    """Return the rows of the algorithms with the most common set of tasks, and a sentence on those left out."""
    if table is None or table.empty:
        return pd.DataFrame(), ""
    own = table[table["algo"].isin(results.algos)]
    if own.empty:
        return own, ""
    by_tasks = own.groupby("tasks", sort=False)["algo"].nunique()
    sizes = [(count, str(tasks).count(","), -place) for place, (tasks, count) in enumerate(by_tasks.items())]
    kept = own[own["tasks"] == by_tasks.index[-max(sizes)[2]]]
    others = list(dict.fromkeys(own.loc[~own["algo"].isin(kept["algo"]), "algo"]))
    if not others:
        return kept, ""
    return kept, f" Not drawn, as they were run on other tasks: {', '.join(map(str, others))}."


def _in_order(results: Results, rows: pd.DataFrame) -> list[str]:
    return [algo for algo in results.algos if len(rows) and (rows["algo"] == algo).any()]


def _tasks_in_words(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "environments"
    tasks = str(rows["tasks"].iloc[0]).split(", ")
    return f"{len(tasks)} environments" + (f": {', '.join(tasks)}" if len(tasks) <= 4 else "")
