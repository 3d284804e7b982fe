"""Tidy tables of the runs below a folder: results of the harness, or logs of SB3 and rl_zoo3."""

from harness.analysis.frames.loading import Results, load_results

__all__ = ["Results", "load_results"]
