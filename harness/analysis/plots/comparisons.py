"""Figures of the comparisons: differences in score beside the margin of equivalence, and effects on steadiness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.analysis.frames import Results
from harness.analysis.plots.panels import title_panels
from harness.analysis.plots.registry import report_figure
from harness.analysis.plots.style import finish, grid_figure, new_figure, short_labels

__all__ = ["score_differences", "stability_effects"]

OUTCOMES = {
    "better": ("#009E73", "o"),
    "worse": ("#D55E00", "s"),
    "equivalent": ("#0072B2", "D"),
    "identical": ("#000000", "x"),
    "inconclusive": ("0.55", "o"),
}
"""Colour and marker of each outcome; markers tell them apart without colours."""

MOST_PAIRS = 15
"""Rows of a panel; of more pairs those with the smallest p-values are drawn."""

_MARGIN: dict[str, Any] = {"color": "#0072B2", "alpha": 0.1, "lw": 0}


@report_figure
def score_differences(results: Results, *, pairwise: pd.DataFrame | None = None, confidence: float = 0.95) -> Figure:
    """Draw the difference in mean score of every pair with its Welch interval, beside the margin of equivalence.

    pairwise: table of comparisons of scores; without it the figure is empty.
    """
    rows = _of(results, pairwise)
    envs = [env for env in results.envs if len(rows) and (rows["env"] == env).any()]
    most = max((min(int((rows["env"] == env).sum()), MOST_PAIRS) for env in envs), default=1)
    figure, panels = grid_figure(len(envs), row_inches=0.9 + 0.19 * most)
    for axes, env in zip(panels, envs, strict=False):
        _draw_pairs(axes, rows[rows["env"] == env], results)
        axes.set_xlabel("difference in mean score")
    title_panels(panels[: len(envs)], envs, loc="right")
    seen = [outcome for outcome in OUTCOMES if len(rows) and (rows["verdict"] == outcome).any()]
    handles = [_handle(outcome) for outcome in seen]
    if len(rows) and rows["margin"].notna().any():
        handles.append((Patch(**_MARGIN), "margin of equivalence"))
    caption = (
        f"First minus second algorithm, with the {confidence:.0%} Welch interval; marker and colour are the verdict, "
        "which follows from the permutation test and the probability of improvement, not from this interval. "
        "An interval that leaves the margin cannot show equivalence, nor can every one that stays inside."
    )
    if len(rows) and rows.groupby("env", observed=True).size().max() > MOST_PAIRS:
        caption += f" Of each environment the {MOST_PAIRS} pairs with the smallest p-values are drawn."
    return finish(figure, title="Difference in final score of each pair", caption=caption, handles=handles)


def _of(results: Results, table: pd.DataFrame | None) -> pd.DataFrame:
    """Return the comparisons of the algorithms and environments in the results."""
    if table is None:
        return pd.DataFrame()
    own = table["env"].isin(results.envs) & table["first"].isin(results.algos) & table["second"].isin(results.algos)
    return table[own]


def _draw_pairs(axes: Axes, rows: pd.DataFrame, results: Results) -> None:
    rows = rows.sort_values("p", kind="stable").head(MOST_PAIRS).sort_index()
    names = short_labels(results.algos)
    margin = rows["margin"].max()
    if not np.isnan(margin):
        axes.axvspan(-margin, margin, zorder=0, **_MARGIN)
    axes.axvline(0, color="0.3", lw=0.6, zorder=1)
    for place, row in enumerate(rows.to_dict("records")):
        color, marker = OUTCOMES[row["verdict"]]
        axes.plot([row["difference_low"], row["difference_high"]], [place, place], color=color, lw=1.3, zorder=3)
        axes.plot([row["difference"]], [place], ls="none", marker=marker, ms=4, color=color, zorder=4)
    labels = [
        f"{names[str(first)]} − {names[str(second)]}"
        for first, second in zip(rows["first"], rows["second"], strict=True)
    ]
    axes.set_yticks(range(len(labels)), [label.replace("\n", "") for label in labels], parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _handle(outcome: str) -> tuple[Any, str]:
    color, marker = OUTCOMES[outcome]
    return Line2D([], [], color=color, marker=marker, ms=4, lw=1.3), outcome


@report_figure
def stability_effects(results: Results, *, stability: pd.DataFrame | None = None) -> Figure:
    """Draw Hedges' g of every measure of steadiness for each pair: a row for each measure, a column for each pair.

    stability: table of comparisons of stability; without it the figure is empty.
    """
    rows = _of(results, stability)
    rows = rows[rows["steadier"] != "identical"] if len(rows) else rows
    keys = list(dict.fromkeys(zip(rows["env"], rows["first"], rows["second"], strict=True))) if len(rows) else []
    keys = keys[: 2 * MOST_PAIRS]
    measures = list(dict.fromkeys(rows["measure"])) if len(rows) else []
    figure, grid = new_figure(1, 1, row_inches=0.7 + 0.24 * max(len(keys), 2))
    figure.set_figwidth(7.1)
    axes = grid[0, 0]
    if keys:
        _draw_effects(axes, rows, keys, measures, short_labels(results.algos))
    caption = (
        "Hedges' g of the first minus the second algorithm, in standard deviations over the seeds: negative (blue) "
        "where the first one moves less. Bold with a star: the difference is claimed after Holm's adjustment over all "
        "measures and pairs. An algorithm that learns nothing is steady, too."
    )
    if rows.groupby(["env", "first", "second"], observed=True).ngroups > len(keys) if len(rows) else False:
        caption += f" The first {len(keys)} pairs are drawn; the table has all."
    return finish(figure, title="Effects on steadiness, for each pair and measure", caption=caption)


def _draw_effects(
    axes: Axes,
    rows: pd.DataFrame,
    keys: Sequence[tuple[str, str, str]],
    measures: Sequence[str],
    names: dict[str, str],
) -> None:
    cells = np.full((len(keys), len(measures)), np.nan)
    claimed = np.zeros(cells.shape, dtype=bool)
    for row in rows.to_dict("records"):
        key = (row["env"], row["first"], row["second"])
        if key in keys:
            place = keys.index(key), measures.index(row["measure"])
            cells[place] = row["hedges_g"]
            claimed[place] = row["steadier"] != "inconclusive"
    axes.pcolormesh(np.clip(cells, -2, 2), cmap="RdBu_r", vmin=-2, vmax=2, edgecolor="white", lw=0.8)
    for (y, x), g in np.ndenumerate(cells):
        text = "–" if np.isnan(g) else f"{g:.2g}" + ("*" if claimed[y, x] else "")
        color = "white" if abs(np.nan_to_num(g)) > 1.2 else "0.15"
        weight = "bold" if claimed[y, x] else "normal"
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=color, weight=weight, fontsize=6.5)
    axes.set_xticks(np.arange(len(measures)) + 0.5, measures)
    labels = [f"{env}: {names[str(first)]} − {names[str(second)]}".replace("\n", "") for env, first, second in keys]
    axes.set_yticks(np.arange(len(keys)) + 0.5, labels, parse_math=False)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
