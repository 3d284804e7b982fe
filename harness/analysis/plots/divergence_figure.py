"""Figure of a cross-check: the largest difference of two implementations, for every seed and minibatch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from harness.analysis.plots.style import finish, new_figure, themed

__all__ = ["divergence_map"]

_IDENTICAL = "#dfeee3"
_MISSING = "white"
_ROUNDING = 1e-5
_STEPS = np.arange(-8.0, 1.0)
"""Borders of the colours, log10 of a relative difference; values beyond the last border take the last colour."""

_WIDTH_INCHES = 7.1
_FRAME_INCHES = 0.62
"""Height of a panel's title and of the two lines of its axis."""
_HIGHEST_INCHES = 1.7
_MOST_TICKS = 48
_LABELLED_SEEDS = 10
_FEW_SEEDS = 3
"""Largest number of rows without room for a label of the axis: each is labelled "seed 0" instead."""


@themed()
def divergence_map(largest: pd.DataFrame, subject: str, reference: str) -> Figure:
    """Draw a cell for each seed and minibatch: log10 of the largest difference, relative to the largest value.

    largest: columns env, seed, iteration (from 1), minibatch (0 is the rollout before the update), largest (0 if all
    bits are equal, infinite if a quantity is missing or integers differ).
    Rounding is blue and more is red; bit-equal cells are pale green, and a missing minibatch is white.
    """
    envs = list(dict.fromkeys(largest["env"]))
    n_seeds = largest["seed"].nunique()
    rows_inches = min(0.16 * n_seeds, _HIGHEST_INCHES)
    figure, grid = new_figure(len(envs), 1, row_inches=rows_inches + _FRAME_INCHES, sharex="none")
    figure.set_size_inches(_WIDTH_INCHES, figure.get_size_inches()[1])
    for axes, env in zip(grid[:, 0], envs, strict=True):
        _draw(axes, largest[largest["env"] == env], env)
    note = (
        f"{subject} compared with {reference}: largest difference of any array, relative to its largest value, "
        "in the rollout (r) and in each minibatch of the update. "
        "Everything after the first divergence may differ only because of it."
    )
    finish(figure, note=note)
    patches = _legend(missing=_has_gaps(largest))
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=len(patches),
        handlelength=1.2,
        columnspacing=0.9,
        handletextpad=0.5,
        borderaxespad=0.2,
    )
    return figure


def _colours() -> list[Any]:
    """Return the colours of sizes up to each border, and of sizes beyond the last."""
    n_rounding = int(np.searchsorted(_STEPS, math.log10(_ROUNDING))) + 1
    n_more = len(_STEPS) + 1 - n_rounding
    return [*sns.color_palette("Blues", n_rounding + 2)[2:], *sns.color_palette("Reds", n_more + 2)[2:]]


def _legend(*, missing: bool) -> list[Patch]:
    labels = [f"≤ 10$^{{{_STEPS[0]:.0f}}}$", *(f"10$^{{{high:.0f}}}$" for high in _STEPS[1:-1]), "1", "more"]
    patches = [Patch(facecolor=_IDENTICAL, edgecolor="0.6", lw=0.4, label="identical")]
    patches += [Patch(facecolor=c, label=text) for c, text in zip(_colours(), labels, strict=True)]
    if missing:
        patches.append(Patch(facecolor=_MISSING, edgecolor="0.6", lw=0.4, label="no minibatch"))
    return patches


def _has_gaps(largest: pd.DataFrame) -> bool:
    """Return True if a seed lacks a minibatch that another one has in the same environment."""
    return any(
        len(rows) < rows["seed"].nunique() * len(rows[["iteration", "minibatch"]].drop_duplicates())
        for _, rows in largest.groupby("env", observed=True)
    )


def _draw(axes: Axes, rows: pd.DataFrame, env: str) -> None:
    columns = sorted({(int(i), int(m)) for i, m in zip(rows["iteration"], rows["minibatch"], strict=True)})
    seeds = sorted({int(seed) for seed in rows["seed"]})
    cells = np.full((len(seeds), len(columns)), np.nan)
    for seed, iteration, minibatch, size in rows[["seed", "iteration", "minibatch", "largest"]].itertuples(index=False):
        cells[seeds.index(int(seed)), columns.index((int(iteration), int(minibatch)))] = size
    colours = [_MISSING, _IDENTICAL, *_colours()]
    axes.pcolormesh(
        _levels(cells), cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5, edgecolor="white", lw=0.25
    )
    axes.invert_yaxis()  # the first seed on top
    _mark_updates(axes, columns)
    _mark_seeds(axes, seeds)
    axes.set_title(env, loc="left")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2)


def _mark_updates(axes: Axes, columns: list[tuple[int, int]]) -> None:
    """Label the minibatches, and below them the updates that they belong to."""
    every = math.ceil(len(columns) / _MOST_TICKS)
    starts = {index for index, (_, minibatch) in enumerate(columns) if minibatch == 0}
    shown = [
        index
        for index, (_, minibatch) in enumerate(columns)
        if minibatch % every == 0 and (every == 1 or index + 1 not in starts)  # no room next to the r that follows
    ]
    labels = ["r" if columns[index][1] == 0 else str(columns[index][1]) for index in shown]
    axes.set_xticks([index + 0.5 for index in shown], labels, fontsize=5.5)
    updates = list(dict.fromkeys(iteration for iteration, _ in columns))
    for update in updates:
        own = [index for index, (iteration, _) in enumerate(columns) if iteration == update]
        if own[0]:
            axes.axvline(own[0], color="0.25", lw=0.9)
        axes.annotate(
            f"update {update}",
            ((own[0] + own[-1] + 1) / 2, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -11),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=6.5,
        )


def _mark_seeds(axes: Axes, seeds: list[int]) -> None:
    few = len(seeds) <= _FEW_SEEDS
    shown = range(0, len(seeds), math.ceil(len(seeds) / _LABELLED_SEEDS))
    labels = [f"seed {seeds[index]}" if few else str(seeds[index]) for index in shown]
    axes.set_yticks([index + 0.5 for index in shown], labels)
    if not few:
        axes.set_ylabel("seed")


def _levels(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the index of each cell's colour: 0 missing, 1 identical, then by size."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.log10(cells)
    levels = 2.0 + np.searchsorted(_STEPS, size)
    levels = np.where(cells == 0, 1.0, levels)
    return np.where(np.isnan(cells), 0.0, levels)
