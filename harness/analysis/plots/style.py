"""Style of all figures: one theme, and the same colour, line and marker for an algorithm in every figure."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.experiment.run_records import write_text_atomically

__all__ = [
    "CHARACTERS_PER_INCH",
    "Look",
    "finish",
    "format_steps",
    "grid_figure",
    "looks",
    "new_figure",
    "save_figure",
    "say_empty",
    "short_labels",
    "step_axis",
    "themed",
]

PANELS_IN_A_ROW = 3
"""Largest number of environments side by side in a figure that has one panel for each."""

_DPI = 200
_COLUMN_INCHES = 2.35  # three environments side by side fill the 7.1 inches of a two-column page
_NARROWEST_INCHES = 3.4  # one environment fills one column
CHARACTERS_PER_INCH = 16.5
"""Number of characters that fit into an inch at the theme's 7 points, with some reserve."""
_NOTE_LINE_INCHES = 0.13
_LEGEND_ROW_INCHES, _ROWS_WITHIN_PANELS = 0.165, 3
_CHARACTERS_OF_A_HANDLE = 8  # the line before a legend's label, and the gap after it

_THEME: dict[Any, Any] = {
    **sns.axes_style("ticks"),
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # shipped with matplotlib: equal text widths on every machine
    "font.size": 7.0,
    "axes.labelsize": 7.0,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "figure.labelsize": 7.0,
    "figure.titlesize": 7.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "0.3",
    "axes.labelcolor": "0.1",
    "axes.grid": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "ytick.minor.size": 0.0,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "axes.unicode_minus": True,
    "svg.hashsalt": "harness",  # otherwise the ids in an SVG are random, and no two builds are equal
    "savefig.dpi": _DPI,
}


@dataclass(frozen=True)
class Look:
    """Style of one algorithm in every figure."""

    color: str
    linestyle: Any
    """Line style of matplotlib: "-", or (offset, (on, off, ...)) in units of the line width."""
    width: float
    marker: str
    filled: bool
    order: float
    """Rank of the layer: higher ones are drawn on top."""

    def line(self, **changes: Any) -> dict[str, Any]:
        """Return the keyword arguments of the algorithm's line, for `Axes.plot`."""
        style = {"color": self.color, "ls": self.linestyle, "lw": self.width, "zorder": 3 + self.order}
        return style | {"dash_capstyle": "butt"} | changes

    def dots(self, size: float) -> dict[str, Any]:
        """Return the keyword arguments of the algorithm's markers, for `Axes.plot`."""
        face = self.color if self.filled else "none"
        return {"ls": "none", "marker": self.marker, "ms": size, "mec": self.color, "mfc": face, "mew": 0.8}


_KNOWN = {
    "ppo": Look("#56B4E9", "-", 1.6, "o", True, 0.0),
    "custom_ppo": Look("#B03A00", (0, (3.2, 2.0)), 1.2, "D", False, 0.9),
    "a2c": Look("#009E73", "-", 1.4, "s", True, 0.5),
}
# The other colours of Okabe and Ito, distinct for colour-blind readers; they repeat with other line styles.
_COLORS = ("#CC79A7", "#0072B2", "#E69F00", "#000000", "#8A7A00")
_LINES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
_MARKERS = ("^", "v", "P", "X", "p")


def looks(algos: Sequence[str]) -> dict[str, Look]:
    """Return the look of each algorithm: fixed for custom_ppo, ppo and a2c, by rank in the list for others.

    Beside custom_ppo, the line of ppo is broad: the two usually coincide bit for bit, and both must be visible.
    """
    others = [algo for algo in algos if algo not in _KNOWN]
    styles = {algo: _KNOWN[algo] if algo in _KNOWN else _other_look(others.index(algo)) for algo in algos}
    if {"ppo", "custom_ppo"} <= styles.keys():
        styles["ppo"] = replace(styles["ppo"], width=3.2)
    return styles


def _other_look(place: int) -> Look:
    color, marker = _COLORS[place % len(_COLORS)], _MARKERS[place % len(_MARKERS)]
    linestyle = _LINES[place // len(_COLORS) % len(_LINES)]
    return Look(color, linestyle, 1.4, marker, True, 0.6 + 0.2 * place / (place + 1))


def short_labels(algos: Sequence[str]) -> dict[str, str]:
    """Return the label of each algorithm: "Class" for "package.module:Class", if no other has the same class name."""
    classes = [algo.rsplit(":", 1)[-1] for algo in algos]
    return {
        algo: name if classes.count(name) == 1 else algo.replace(":", ":\n")
        for algo, name in zip(algos, classes, strict=True)
    }


@contextmanager
def themed() -> Iterator[None]:
    """Set matplotlib's settings for the figures made within, and restore them."""
    with mpl.rc_context(_THEME):
        yield


def grid_figure(n_panels: int, *, row_inches: float = 1.8) -> tuple[Figure, list[Axes]]:
    """Return a figure with n_panels axes in rows of at most three, each with axes of its own."""
    n_columns = min(max(n_panels, 1), PANELS_IN_A_ROW)
    n_rows = -(-max(n_panels, 1) // n_columns)
    figure, grid = new_figure(n_rows, n_columns, row_inches=row_inches, sharex="none")
    panels = list(grid.flat)
    for spare in panels[max(n_panels, 1) :]:
        spare.remove()
    return figure, panels[: max(n_panels, 1)]


def new_figure(
    n_rows: int,
    n_columns: int,
    *,
    row_inches: float = 1.8,
    sharex: Literal["none", "col"] = "col",
    sharey: Literal["none", "col"] = "none",
) -> tuple[Figure, Any]:
    """Return a figure and its axes [n_rows, n_columns], made without pyplot: nothing to close, no shared state."""
    width = max(_NARROWEST_INCHES, _COLUMN_INCHES * n_columns)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=(width, row_inches * n_rows + 0.4), layout=layout)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, sharex=sharex, sharey=sharey)


def step_axis(axes: Axes, *, label: bool = True) -> None:
    """Let the horizontal axis show environment steps from zero on, with the ticks "0", "50k", "1M"."""
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: format_steps(steps)))
    if label:
        axes.set_xlabel("environment steps")


def format_steps(steps: float) -> str:
    """Return a count of steps in short: "50k" for 50000, "2.5M" for 2.5e6."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(steps) >= unit:
            return f"{steps / unit:g}{name}"
    return f"{steps:g}"


def say_empty(axes: Axes, text: str) -> None:
    """Write the reason why a panel is empty into its middle."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.5")
    axes.grid(visible=False)
    axes.tick_params(left=False, labelleft=False)  # set_yticks would empty the axes that share this one


def finish(
    figure: Figure,
    *,
    title: str = "",
    caption: str = "",
    note: str = "",
    handles: Sequence[tuple[Any, str]] = (),
) -> Figure:
    """Write the title above the panels and the legend, (artist, label) each, below them; return the figure.

    caption: sentences that say how to read the figure. They stand outside the image, in the report and in the metadata
    of the files; the figure keeps them as its label. note: text above the panels of a figure that stands alone.
    """
    width = figure.get_figwidth() * CHARACTERS_PER_INCH
    lines = textwrap.wrap(title or note, int(width * (0.85 if title else 1)))
    figure.set_figheight(figure.get_figheight() + _NOTE_LINE_INCHES * len(lines))
    color, weight = ("0.1", "bold") if title else ("0.35", "normal")
    figure.suptitle("\n".join(lines), x=0.01, ha="left", color=color, weight=weight)
    figure.set_label(caption)
    if handles:
        artists: list[Artist] = [artist for artist, _ in handles]
        labels = [label for _, label in handles]
        lengths = [max(map(len, label.split("\n"))) + _CHARACTERS_OF_A_HANDLE for label in labels]
        columns = len(labels) if sum(lengths) <= width else max(1, int(width / max(lengths)))
        rows = -(-len(labels) // columns) * max(label.count("\n") + 1 for label in labels)
        # The panels' own height has room for few rows; those of a sweep's 16 algorithms would cover the panels.
        figure.set_figheight(figure.get_figheight() + _LEGEND_ROW_INCHES * max(0, rows - _ROWS_WITHIN_PANELS))
        figure.legend(artists, labels, loc="outside lower center", ncols=columns, columnspacing=1.6, borderaxespad=0.2)
    return figure


def save_figure(figure: Figure, stem: Path, *, pdf: bool = False) -> list[Path]:
    """Write STEM.svg and STEM.png, and STEM.pdf if `pdf`; return their paths.

    The same figure gives the same bytes. Its caption is in the metadata of the files. Raises OSError.
    """
    svg, png = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    caption = str(figure.get_label() or "")
    about = {"Title": " ".join(figure.get_suptitle().split()), "Description": caption} if caption else {}
    text = io.StringIO()
    with themed():
        # The layout takes a fifth of the time, and is the same in every format.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, **about})
        figure.savefig(png, format="png", metadata={"Software": None, **about})
        if pdf:
            own: dict[str, Any] = {"CreationDate": None, "Creator": None, "Producer": None}
            if caption:
                own |= {"Title": about["Title"], "Subject": caption}
            figure.savefig(stem.with_name(f"{stem.name}.pdf"), format="pdf", metadata=own)
    write_text_atomically(svg, text.getvalue())
    return [svg, png, *([stem.with_name(f"{stem.name}.pdf")] if pdf else [])]
