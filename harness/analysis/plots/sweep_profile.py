"""Profile over the only factor of a sweep: seeds, means and intervals of its levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from harness.analysis.plots.style import say_empty
from harness.analysis.plots.sweep_panel import DEFAULT_COLOR, SweepPanel, unequal_seeds

__all__ = ["PROFILE_COLOR", "draw_profile", "profile_size"]

PROFILE_COLOR = "#0072B2"
_UPRIGHT_LEVELS, _UPRIGHT_CHARACTERS = 12, 40
"""Largest number of levels, and of characters of their names, that have room side by side below a panel."""


def profile_size(panel: SweepPanel) -> tuple[float, float]:
    """Return width and height of a panel in inches."""
    return 2.6, 1.9 if _is_upright(panel) else 0.8 + 0.12 * len(panel.levels[0])


def draw_profile(axes: Axes, panel: SweepPanel) -> None:
    """Draw seeds, means and intervals over the levels of one factor, connected if the levels are numbers."""
    if panel.is_empty:
        say_empty(axes, "no results")
        return
    land, names = panel.land, panel.levels[0]
    upright = _is_upright(panel)
    places = np.arange(len(names), dtype=float)
    jitter = np.linspace(-0.12, 0.12, len(land.values)) if len(land.values) > 1 else np.zeros(1)

    def plot(x: Any, y: Any, **style: Any) -> None:
        axes.plot(x, y, **style) if upright else axes.plot(y, x, **style)

    for offset, values in zip(jitter, land.values, strict=True):
        plot(places + offset, values, ls="none", marker="o", ms=1.8, mew=0, color="0.6", alpha=0.7, zorder=2)
    if panel.numeric[0]:
        plot(places, land.mean, color=PROFILE_COLOR, lw=1.2, zorder=3)
        fill = axes.fill_between if upright else axes.fill_betweenx
        fill(places, land.low, land.high, color=PROFILE_COLOR, alpha=0.18, lw=0, zorder=1)
    bars = axes.vlines if upright else axes.hlines
    shown = np.where(land.constant, np.nan, 1.0)
    bars(places, land.low * shown, land.high * shown, color=PROFILE_COLOR, lw=1.0, zorder=3)
    filled = land.candidates | (land.n_seeds < 2)  # one seed shows no level to be worse
    for chosen, face in ((filled, PROFILE_COLOR), (~filled, "white")):
        style: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 4.2, "mec": PROFILE_COLOR, "mew": 0.9, "zorder": 4}
        plot(places[chosen], land.mean[chosen], mfc=face, **style)
    default = panel.defaults[0]
    if default is not None:
        line = axes.axvline if upright else axes.axhline
        line(default, color=DEFAULT_COLOR, lw=1.0, ls=(0, (3, 2)), zorder=1)
    _label(axes, panel, places)


def _label(axes: Axes, panel: SweepPanel, places: Any) -> None:
    upright, unequal = _is_upright(panel), unequal_seeds([panel])
    labels = []
    for place, name in enumerate(panel.levels[0]):
        counts = [f"n = {panel.land.n_seeds[place]}"] if unequal else []
        if panel.n_failed[place]:
            counts.append(f"{panel.n_failed[place]} failed")
        separator = "\n" if upright else " "
        labels.append(f"{name}{separator}({', '.join(counts)})" if counts else name)
    margin = (-0.5, len(labels) - 0.5)
    if upright:
        axes.set_xticks(places, labels)
        axes.set(xlim=margin, xlabel=panel.factors[0], ylabel=panel.direction)
    else:
        axes.set_yticks(places, labels)
        axes.set(ylim=margin[::-1], ylabel=panel.factors[0], xlabel=panel.direction)
    axes.grid(visible=False, axis="x" if upright else "y")


def _is_upright(panel: SweepPanel) -> bool:
    """Return True if the levels have room side by side below a panel."""
    names = panel.levels[0]
    return len(names) <= _UPRIGHT_LEVELS and sum(len(name) + 2 for name in names) <= _UPRIGHT_CHARACTERS
