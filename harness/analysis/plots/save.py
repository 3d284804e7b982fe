"""All figures of a report, written to one folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots.registry import registered_figures
from harness.analysis.plots.style import save_figure

__all__ = ["draw", "save_all"]


def draw(function: Callable[..., Figure], results: Results, **settings: Any) -> Figure:
    """Return the figure of a registered function, which gets those of the settings that it takes."""
    keywords = inspect.signature(function).parameters
    return function(results, **{key: value for key, value in settings.items() if key in keywords})


def save_all(
    results: Results,
    out_dir: Path,
    *,
    window: int = 100,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    bootstrap_seed: int = 0,
    clip_range: float = 0.2,
) -> list[Path]:
    """Write NAME.svg and NAME.png for every registered figure, NAME being its function's, and return the paths.

    window: training episodes of the rolling mean and variance. confidence, n_resamples, bootstrap_seed: settings of
    the bands and intervals. clip_range: clip range that is drawn with the probability ratios.
    A figure without any data is left out.
    The same results and settings give the same bytes. Raises OSError if the folder cannot be written.
    """
    settings = {
        "window": window,
        "confidence": confidence,
        "n_resamples": n_resamples,
        "bootstrap_seed": bootstrap_seed,
        "clip_range": clip_range,
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, function in registered_figures().items():
        figure = draw(function, results, **settings)
        if any(axes.has_data() for axes in figure.axes):
            written += save_figure(figure, out_dir / name)
    return written
