"""Figures of results, each a function from `Results` to a matplotlib Figure, and their files as SVG and PNG."""

from harness.analysis.plots.episodes import raw_rewards, return_variability, smoothed_rewards
from harness.analysis.plots.evaluations import final_scores, iqm_curves
from harness.analysis.plots.save import DrawnFigure, draw_all, save_all
from harness.analysis.plots.updates import update_diagnostics

__all__ = [
    "DrawnFigure",
    "draw_all",
    "final_scores",
    "iqm_curves",
    "raw_rewards",
    "return_variability",
    "save_all",
    "smoothed_rewards",
    "update_diagnostics",
]
