"""Tidy tables of the runs below a folder: results of the harness, or logs of other programs.

places       log files below a folder, and which of them belong to one run
names        guess of algorithm, environment and seed from a path
pattern      the same as the user says it
runs         runs with names
files        readers of Monitor, EvalCallback and CSV logger
events       reader of TensorBoard's event files
score_files  reader of files of scores
zoo_files    settings of rl_zoo3
measured     logs of one run, and the scores that they offer
audit        which trainings are complete, and a common source of their scores
loading      all together, as four tables
"""

from harness.analysis.frames.loading import Reading, Results, load_results

__all__ = ["Reading", "Results", "load_results"]
