"""Folders of runs, ours or of any SB3 or rl_zoo3 log, read into four tidy DataFrames."""

from harness.analysis.frames.loading import Results, load_results

__all__ = ["Results", "load_results"]
