"""Readers of figures: panels, lines, bands and texts, taken from the artists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D


def panel(figure: Figure, title: str, row: int = 0) -> Axes:
    titles = [axes.get_title() for axes in figure.axes]
    return figure.axes[row * sum(title != "" for title in titles) + titles.index(title)]


def lines(axes: Axes, label: str, color: str | None = None) -> list[Line2D]:
    return [
        line
        for line in axes.get_lines()
        if line.get_label() == label and (color is None or to_hex(line.get_color()) == color.lower())
    ]


def ydata(line: Line2D) -> npt.NDArray[np.float64]:
    return np.asarray(line.get_ydata(), np.float64)


def band_limits(axes: Axes, color: str) -> list[npt.NDArray[np.float64]]:
    """Return the vertices [V, 2] of each filled band of that colour."""
    bands = [band for band in axes.collections if isinstance(band, PolyCollection)]
    return [
        path.vertices for band in bands if to_hex(band.get_facecolor()[0]) == color.lower() for path in band.get_paths()
    ]


def texts(figure: Figure) -> str:
    own = [text.get_text() for axes in figure.axes for text in axes.texts]
    title = figure.get_suptitle().replace("\n", " ")
    return " | ".join([title, str(figure.get_label()), *own, *legend_labels(figure)])


def legend_labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]
