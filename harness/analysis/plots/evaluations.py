"""Figures of the evaluations: learning curves with bands, and the final score of every seed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import MatplotlibDeprecationWarning
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.frames import Results
from harness.analysis.plots.layers import draw_band, draw_seeds
from harness.analysis.plots.panels import one_panel_each, title_panels
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.run_curves import CurveGroup, CurveGroups, FloatArray, count_seeds, on_grid, run_curves
from harness.analysis.plots.style import PANELS_IN_A_ROW, Look, finish, grid_figure, looks, say_empty, short_labels
from harness.analysis.stats import iqm_curve, mean_interval

__all__ = ["final_scores", "iqm_curves"]

_MEAN_COLOR = "0.1"
_SEEDS_OF_A_BAND = 10
"""Seeds from which on a band contains about as many whole curves as it says."""
_SEEDS_OF_A_BOX = 4  # the quartiles of fewer seeds are the points themselves
_CHARACTERS_BELOW_A_PANEL = 36
_SOURCES = {
    "final_evaluation": "mean return of the final evaluation",
    "last_evaluation": "mean return of the last evaluation during training",
    "last_episodes": "mean return of the last training episodes",
    "logged_mean": "logged mean return of the last training episodes",
    "given": "score as given",
}


@report_figure
def iqm_curves(
    results: Results,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    bootstrap_seed: int = 0,
    simultaneous: bool = True,
) -> Figure:
    """Draw the interquartile mean over seeds of the evaluations during training, with its bootstrap band.

    simultaneous: the bands are made to contain whole curves; otherwise they are pointwise.
    The resamples of every band have the same seed, so that bit-equal algorithms get bit-equal bands.
    """
    curves = run_curves(results, results.evaluations, "reward")

    def draw(axes: Axes, group: CurveGroup, look: Look) -> None:
        draw_seeds(axes, group, look)
        grid, values = on_grid(group.complete)
        if grid.size:
            rng = np.random.default_rng(bootstrap_seed)
            draw_band(axes, grid, iqm_curve(values, rng, confidence, n_resamples, simultaneous=simultaneous), look)

    return one_panel_each(
        results,
        curves,
        draw,
        title="Evaluation return during training, interquartile mean over seeds",
        caption=(
            f"Thin lines are seeds. Bands are {_band_in_words(confidence, curves, simultaneous=simultaneous)}; "
            f"{count_seeds(results, curves)}."
        ),
        ylabel="evaluation return",
        empty="no evaluations",
    )


@report_figure
def final_scores(results: Results, *, confidence: float = 0.95) -> Figure:
    """Draw the final score of every seed, a box plot of them, and their mean with Student's t interval.

    The label of a column counts failed runs. A seed has the same place within the column of every algorithm. Boxes
    need four seeds, intervals two.
    """
    figure, panels = grid_figure(len(results.envs), row_inches=2.0)
    for axes, env in zip(panels, results.envs, strict=True):
        runs = results.runs[results.runs["env"] == env]
        scores = {str(algo): rows["score"].to_numpy(np.float64) for algo, rows in runs.groupby("algo", observed=True)}
        _draw_scores(axes, scores, results.algos, confidence)
    for axes in panels[::PANELS_IN_A_ROW]:
        axes.set_ylabel("final score (mean return)")
    title_panels(panels, results.envs)
    dot = Line2D([], [], color="0.4", marker="o", ms=3, ls="none")
    bar = Line2D([], [], color=_MEAN_COLOR, marker="+", ms=8, mew=1.4, ls="none")
    handles = [(dot, "seed"), (bar, f"mean with {confidence:.0%} t interval")]
    sources = " or ".join(_SOURCES[source] for source in results.runs["score_source"].unique() if source)
    caption = (
        f"Each dot is one seed: its {sources or 'score'}. Boxes show the quartiles of four seeds or more, bars the "
        f"mean with its {confidence:.0%} t interval. 9/10 below an algorithm means that one of ten runs has no score."
    )
    return finish(figure, title="Final score of every seed", caption=caption, handles=handles)


def _band_in_words(confidence: float, curves: CurveGroups, *, simultaneous: bool) -> str:
    """Return the name of a band for a caption, with what it covers."""
    if not simultaneous:
        return f"pointwise {confidence:.0%} bootstrap intervals of whole runs: far fewer whole curves lie inside"
    fewest = min((len(group.complete) for group in curves.values() if len(group.complete) > 1), default=0)
    words = f"simultaneous: {confidence:.0%} bootstrap envelopes of whole runs, meant to contain the whole curve"
    if fewest < _SEEDS_OF_A_BAND:
        words += f", which at {fewest} seeds they do less often"
    return words


def _draw_scores(axes: Axes, scores: Mapping[str, FloatArray], algos: Sequence[str], confidence: float) -> None:
    """Draw a column for each algorithm; scores: one per seed, NaN for a run that failed."""
    if all(np.isnan(values).all() for values in scores.values()):
        say_empty(axes, "no scores")
        return
    styles, names = looks(algos), short_labels(algos)
    _draw_boxes(axes, list(scores.values()), [styles[algo].color for algo in scores])
    for place, (algo, values) in enumerate(scores.items()):
        offsets = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(place + offsets, values, label=algo, zorder=4, **styles[algo].dots(3.0 if len(values) <= 30 else 1.8))
        mean = mean_interval(values, confidence)
        axes.plot(place + 0.34, mean.estimate, marker="_", ms=7, mew=1.6, color=_MEAN_COLOR, zorder=5)
        axes.vlines(place + 0.34, mean.low, mean.high, color=_MEAN_COLOR, lw=1.2, zorder=5)
    counts = [_count(values) for values in scores.values()]
    if max(len(names[algo]) for algo in scores) * len(scores) <= _CHARACTERS_BELOW_A_PANEL:
        labels = [f"{names[algo]}\n{count}" for algo, count in zip(scores, counts, strict=True)]
        axes.set_xticks(range(len(scores)), labels, parse_math=False)
    else:
        labels = [f"{names[algo]} ({count})" for algo, count in zip(scores, counts, strict=True)]
        axes.set_xticks(range(len(scores)), labels, rotation=30, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_xlim(-0.5, len(scores) - 0.4)
    axes.grid(visible=False, axis="x")


def _draw_boxes(axes: Axes, columns: Sequence[FloatArray], colors: Sequence[str]) -> None:
    boxed = [place for place, values in enumerate(columns) if np.isfinite(values).sum() >= _SEEDS_OF_A_BOX]
    frame = pd.DataFrame([(place, score) for place in boxed for score in columns[place]], columns=["place", "score"])
    if frame.empty:
        return
    with warnings.catch_warnings():
        # seaborn 0.13.2 passes vert=True, which matplotlib 3.11 deprecates and 3.13 removes.
        warnings.simplefilter("ignore", MatplotlibDeprecationWarning)
        sns.boxplot(
            frame,
            x="place",
            y="score",
            hue="place",
            palette={place: colors[place] for place in boxed},
            native_scale=True,
            width=0.5,
            linewidth=0.7,
            fliersize=0,  # every seed is drawn as a point already
            boxprops={"alpha": 0.3},
            legend=False,
            ax=axes,
        )
    axes.set(xlabel="", ylabel="")


def _count(scores: FloatArray) -> str:
    """Return the count of seeds for the label of a column: "n = 10", or "9/10" if one run has no score."""
    there = int((~np.isnan(scores)).sum())
    return f"n = {there}" if there == len(scores) else f"{there}/{len(scores)}"
