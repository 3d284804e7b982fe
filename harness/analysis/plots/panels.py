"""Layout of figures that have a column of panels for each environment and one legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.frames import Results
from harness.analysis.plots.layers import END_MARK
from harness.analysis.plots.run_curves import CurveGroup, CurveGroups
from harness.analysis.plots.style import Look, finish, looks, new_figure, say_empty, short_labels, step_axis

__all__ = ["Draw", "Handles", "algorithm_handles", "draw_row", "end_handle", "one_row", "title_columns"]

Draw = Callable[[Axes, CurveGroup, Look], None]
Handles = list[tuple[Any, str]]


def one_row(results: Results, curves: CurveGroups, draw: Draw, *, note: str, ylabel: str, empty: str) -> Figure:
    """Return a figure with a panel for each environment, in which `draw` puts the curves of every algorithm.

    empty: text of a panel without curves.
    """
    figure, grid = new_figure(1, len(results.envs))
    draw_row(grid[0], results, curves, draw, empty)
    for axes in grid[0]:
        if axes.has_data():
            step_axis(axes)
        else:
            axes.set_xticks([])
    grid[0, 0].set_ylabel(ylabel)
    title_columns(grid, results.envs)
    return finish(figure, note=note, handles=[*algorithm_handles(results), *end_handle(curves)])


def draw_row(row: Sequence[Axes], results: Results, curves: CurveGroups, draw: Draw, empty: str) -> None:
    """Draw each algorithm into the panel of each environment; write `empty` into a panel without curves."""
    styles = looks(results.algos)
    for axes, env in zip(row, results.envs, strict=True):
        present = [algo for algo in results.algos if (algo, env) in curves]
        for algo in present:
            draw(axes, curves[algo, env], styles[algo])
        if not present:
            say_empty(axes, empty)


def title_columns(grid: Any, envs: Sequence[str]) -> None:
    """Write the names of the environments above the first row of panels."""
    for axes, env in zip(grid[0], envs, strict=True):
        axes.set_title(env)


def algorithm_handles(results: Results) -> Handles:
    """Return the lines of the algorithms for the legend."""
    labels = short_labels(results.algos)
    return [(Line2D([], [], **look.line()), labels[algo]) for algo, look in looks(results.algos).items()]


def end_handle(curves: CurveGroups) -> Handles:
    """Return the cross of failed runs for the legend, nothing if no curve has one."""
    broken = any(not curve.complete for group in curves.values() for curve in group.curves)
    return [(Line2D([], [], color="0.3", **END_MARK), "failed run")] if broken else []
