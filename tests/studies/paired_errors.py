"""Simulate when a paired test of common seeds is worth its price.

    python -m tests.studies.paired_errors [N_TRIALS]

prints a table of docs/statistics.md: how often each test finds no difference (errors) and one of a standard deviation
(power), for correlations between the scores of two algorithms under one seed. The level is 5%.
"""

from __future__ import annotations

import sys

import numpy as np

from harness.analysis import stats
from tests.studies.verdict_errors import write

CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
SEEDS = (5, 10, 20)


def rates(n: int, correlation: float, shift: float, n_trials: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the shares of experiments in which the unpaired and the paired test reject."""
    unpaired = paired = 0
    for _ in range(n_trials):
        common, own, other = rng.standard_normal((3, n))
        x, y = (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * one for one in (own, other))
        unpaired += stats.permutation_test(x + shift, y, rng, 999).p_value < 0.05
        paired += stats.paired_test(x + shift, y, rng, 999) < 0.05
    return unpaired / n_trials, paired / n_trials


def main(n_trials: int = 500) -> None:
    """Print the table in Markdown; unpaired first, then paired."""
    rng = np.random.default_rng(0)
    write("| unpaired, paired | " + " | ".join(f"r = {r:g}" for r in CORRELATIONS) + " |")
    write("|---" * (len(CORRELATIONS) + 1) + "|")
    for name, shift in (("errors", 0.0), ("power", 1.0)):
        for n in SEEDS:
            cells = [rates(n, correlation, shift, n_trials, rng) for correlation in CORRELATIONS]
            row = " | ".join(f"{unpaired:.0%}, {paired:.0%}" for unpaired, paired in cells)
            write(f"| {name}, n = {n} | {row} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
