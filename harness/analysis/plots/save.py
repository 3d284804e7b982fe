"""All figures of an experiment, written to one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots.evaluation import final_scores, iqm_curves
from harness.analysis.plots.style import save_figure
from harness.analysis.plots.training import raw_rewards, return_variability, smoothed_rewards
from harness.analysis.plots.updates import update_diagnostics

__all__ = ["save_all"]


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
    """Write NAME.svg and NAME.png for every figure and return their paths; figures are named by their functions.

    window: training episodes of the rolling mean and variance. confidence, n_resamples, bootstrap_seed: of the bands
    and intervals. clip_range: the trust region that the ratios are shown against.
    A figure for which nothing at all was recorded is left out.
    The same results and settings give the same bytes. Raises OSError when the folder cannot be written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    band = {"n_resamples": n_resamples, "bootstrap_seed": bootstrap_seed}
    figures: dict[str, Callable[[], Figure]] = {
        "raw_rewards": lambda: raw_rewards(results),
        "smoothed_rewards": lambda: smoothed_rewards(results, window=window),
        "iqm_curves": lambda: iqm_curves(results, confidence=confidence, **band),
        "return_variability": lambda: return_variability(results, window=window),
        "final_scores": lambda: final_scores(results, confidence=confidence),
        "update_diagnostics": lambda: update_diagnostics(results, clip_range=clip_range),
    }
    written: list[Path] = []
    for name, draw in figures.items():
        figure = draw()
        if any(axes.has_data() for axes in figure.axes):
            written += save_figure(figure, out_dir / name)
    return written
