"""Figure of a cross-check: how far two implementations are apart, for every seed and minibatch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from harness.plots.style import finish, new_figure, themed

__all__ = ["divergence_map"]

_IDENTICAL = "#dfeee3"
_MISSING = "white"
_ROUNDING = 1e-5
_STEPS = np.array([-8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0])
"""Borders of the colours, log10 of a share; what is beyond a border takes the outermost colour."""


@themed()
def divergence_map(largest: pd.DataFrame, subject: str, reference: str) -> Figure:
    """One cell for each seed and minibatch: log10 of the largest difference, as a share of the largest number.

    largest: columns env, seed, iteration (from 1), minibatch (0 is the rollout before the update), largest (0 where
    every bit agrees, infinite where something is missing or another choice was made).
    Blue is rounding, red is more; cells that agree to the bit are pale green.
    """
    envs = list(dict.fromkeys(largest["env"]))
    n_seeds = largest["seed"].nunique()
    figure, grid = new_figure(len(envs), 1, row_inches=max(0.55, 0.13 * n_seeds + 0.32), sharex="none")
    figure.set_size_inches(7.1, figure.get_size_inches()[1])
    for axes, env in zip(grid[:, 0], envs, strict=True):
        _draw(axes, largest[largest["env"] == env], env)
    grid[-1, 0].set_xlabel("minibatch of the update, after the rollout (r)")
    note = (
        f"{subject} beside {reference}: log10 of the largest difference, as a share of the largest number. "
        "Once two implementations have parted, everything after follows."
    )
    return finish(figure, note=note, handles=[(patch, str(patch.get_label())) for patch in _legend()])


def _colours() -> list[Any]:
    n_rounding = int(np.searchsorted(_STEPS, np.log10(_ROUNDING)))
    n_more = len(_STEPS) - n_rounding
    return [*sns.color_palette("Blues", n_rounding + 2)[2:], *sns.color_palette("Reds", n_more + 2)[1:]]


def _legend() -> list[Patch]:
    colours = _colours()
    exponents = [f"≤ {_STEPS[0]:.0f}", *(f"{high:.0f}" for high in _STEPS[1:]), "more"]
    patches = [Patch(facecolor=_IDENTICAL, edgecolor="0.6", lw=0.4, label="identical")]
    return patches + [Patch(facecolor=c, label=t) for c, t in zip(colours, exponents, strict=False)]


def _draw(axes: Axes, rows: pd.DataFrame, env: str) -> None:
    columns = sorted({(int(i), int(m)) for i, m in zip(rows["iteration"], rows["minibatch"], strict=True)})
    seeds = sorted({int(seed) for seed in rows["seed"]})
    cells = np.full((len(seeds), len(columns)), np.nan)
    for seed, iteration, minibatch, size in rows[["seed", "iteration", "minibatch", "largest"]].itertuples(index=False):
        cells[seeds.index(int(seed)), columns.index((int(iteration), int(minibatch)))] = size
    colours = [_MISSING, _IDENTICAL, *_colours()]
    axes.pcolormesh(
        _levels(cells), cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5, edgecolor="white", lw=0.3
    )
    starts = [index for index, (_, minibatch) in enumerate(columns) if minibatch == 0]
    for number, start in enumerate(starts):
        if number:
            axes.axvline(start, color="0.3", lw=0.8)
        end = starts[number + 1] if number + 1 < len(starts) else len(columns)
        axes.text((start + end) / 2, len(seeds) + 0.12, f"update {number + 1}", ha="center", va="bottom", fontsize=6.5)
    axes.set_xticks(np.arange(len(columns)) + 0.5, ["r" if m == 0 else str(m) for _, m in columns], fontsize=5)
    shown = range(0, len(seeds), max(1, len(seeds) // 10))
    axes.set_yticks([index + 0.5 for index in shown], [str(seeds[index]) for index in shown])
    axes.set_ylabel("seed")
    axes.set_title(env, loc="left")
    axes.grid(visible=False)
    axes.tick_params(length=0)


def _levels(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Index of the colour of each cell: 0 missing, 1 identical, then by size."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.log10(cells)
    levels = 2.0 + np.minimum(np.searchsorted(_STEPS, size), len(_STEPS) - 1)
    levels = np.where(cells == 0, 1.0, levels)
    return np.where(np.isnan(cells), 0.0, levels)
