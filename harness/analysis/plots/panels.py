"""Layout of figures that have a column of panels for each environment and one legend."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.frames import Results
from harness.analysis.plots.layers import END_MARK
from harness.analysis.plots.run_curves import CurveGroup, CurveGroups
from harness.analysis.plots.style import (
    PANELS_IN_A_ROW,
    Look,
    finish,
    grid_figure,
    looks,
    say_empty,
    short_labels,
    step_axis,
)

__all__ = ["Draw", "Handles", "algorithm_handles", "draw_row", "end_handle", "one_panel_each", "title_panels"]

Draw = Callable[[Axes, CurveGroup, Look], None]
Handles = list[tuple[Any, str]]

_TITLE_CHARACTERS = 30


def one_panel_each(
    results: Results, curves: CurveGroups, draw: Draw, *, title: str, caption: str, ylabel: str, empty: str
) -> Figure:
    """Return a figure with a panel for each environment, in which `draw` puts the curves of every algorithm.

    empty: text of a panel without curves.
    """
    figure, panels = grid_figure(len(results.envs))
    draw_row(panels, results, curves, draw, empty)
    for place, axes in enumerate(panels):
        if axes.has_data():
            step_axis(axes, label=place + PANELS_IN_A_ROW >= len(panels))
        else:
            axes.set_xticks([])
        if place % PANELS_IN_A_ROW == 0:
            axes.set_ylabel(ylabel)
    title_panels(panels, results.envs)
    handles = [*algorithm_handles(results), *end_handle(curves)]
    return finish(figure, title=title, caption=caption, handles=handles)


def draw_row(row: Sequence[Axes], results: Results, curves: CurveGroups, draw: Draw, empty: str) -> None:
    """Draw each algorithm into the panel of each environment; write `empty` into a panel without curves."""
    styles = looks(results.algos)
    for axes, env in zip(row, results.envs, strict=True):
        present = [algo for algo in results.algos if (algo, env) in curves]
        for algo in present:
            draw(axes, curves[algo, env], styles[algo])
        if not present:
            say_empty(axes, empty)


def title_panels(panels: Sequence[Axes], envs: Sequence[str], *, loc: Literal["center", "right"] = "center") -> None:
    """Write the name of each environment above its panel, so that no character of it is taken for a formula.

    loc: place above the panel; "right" leaves room for a long name where the panel has wide labels at its left.
    """
    for axes, env in zip(panels, envs, strict=True):
        lines = textwrap.wrap(env, _TITLE_CHARACTERS)[:2]
        axes.set_title("\n".join(lines), parse_math=False, loc=loc)


def algorithm_handles(results: Results) -> Handles:
    """Return the lines of the algorithms for the legend."""
    labels = short_labels(results.algos)
    return [(Line2D([], [], **look.line()), labels[algo]) for algo, look in looks(results.algos).items()]


def end_handle(curves: CurveGroups) -> Handles:
    """Return the cross of failed runs for the legend, nothing if no curve has one."""
    broken = any(not curve.complete for group in curves.values() for curve in group.curves)
    return [(Line2D([], [], color="0.3", **END_MARK), "failed run")] if broken else []
