"""Simulate how good the planned numbers of seeds are, and how often sequential looks err.

    python -m tests.studies.planning_errors [N_TRIALS]

prints the tables of docs/statistics.md. Scores lie between 0 (random actions) and 1 (the best); the level is 5%, the
power 80%, and the ranges hold 80% of the populations that the scores allow.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy import stats as scipy_stats

from harness.analysis import stats
from harness.analysis.tables.family import case
from tests.studies.verdict_errors import Pair, capped, lognormal, normal, two_modes, write

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8
BOUNDS = (0.0, 1.0)
SEEDS = (5, 10, 30)
CANDIDATES = (4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30, 40, 50, 70, 100, 140, 200, 300, 400)
"""Numbers of seeds between which the true one is found, about a quarter apart."""

PAIRS: dict[str, Pair] = {
    "normal, equal": (normal(0.5, 0.1), normal(0.5, 0.1)),
    "normal, half a standard deviation": (normal(0.55, 0.1), normal(0.5, 0.1)),
    "normal, one": (normal(0.6, 0.1), normal(0.5, 0.1)),
    "normal, two": (normal(0.7, 0.1), normal(0.5, 0.1)),
    "lognormal": (lognormal(0.5, 0.05), lognormal(0.4, 0.05)),
    "bimodal: 90% learn, against 60%": (two_modes(0.9), two_modes(0.6)),
    "capped: none collapses, against 20%": (capped(0.0), capped(0.2)),
    "capped: 12% collapse, against 50%": (capped(0.12), capped(0.5)),
}
"""Pairs of which a verdict is planned."""

DESIGNS: dict[str, tuple[tuple[int, ...], stats.Spending]] = {
    "O'Brien and Fleming, looks at 5, 10, 15, 20": ((5, 10, 15, 20), "obrien_fleming"),
    "Pocock, looks at 5, 10, 15, 20": ((5, 10, 15, 20), "pocock"),
    "O'Brien and Fleming, looks at 10, 20, 30": ((10, 20, 30), "obrien_fleming"),
}


def names_winner(x: FloatArray, y: FloatArray) -> npt.NDArray[np.bool_]:
    """Return for each experiment, [trials, n] a side, whether both conditions of *better* or *worse* hold.

    The t test stands for the permutation test, which is exact and thousands of times slower.
    """
    n = x.shape[1]
    difference = x.mean(axis=1) - y.mean(axis=1)
    parts = np.stack([x.var(axis=1, ddof=1), y.var(axis=1, ddof=1)]) / n
    with np.errstate(divide="ignore", invalid="ignore"):  # neither side varies
        dof = (n - 1) * parts.sum(axis=0) ** 2 / (parts**2).sum(axis=0)
        p_values = 2 * special.stdtr(dof, -np.abs(difference) / np.sqrt(parts.sum(axis=0)))
    p_values = np.where(parts.sum(axis=0) > 0.0, p_values, np.where(difference == 0.0, 1.0, 0.0))
    ranks = scipy_stats.rankdata(np.hstack([x, y]), axis=1)
    theta = (ranks[:, :n].sum(axis=1) - n * (n + 1) / 2) / n**2
    # Newcombe's interval excludes 1/2 where the score test at 1/2 rejects.
    excluded = np.abs(theta - 0.5) > special.ndtri(1 - ALPHA / 2) * math.sqrt((1 + (n - 1) * 2 / 3) / 4) / n
    return (p_values < ALPHA) & excluded & ((theta - 0.5) * difference > 0.0)


def power(pair: Pair, n: int, n_trials: int, rng: np.random.Generator) -> float:
    """Return the share of experiments of n seeds a side that name a winner."""
    x, y = (draw(rng, n * n_trials).reshape(n_trials, n) for draw in pair)
    return float(names_winner(x, y).mean())


def needed(pair: Pair, n_trials: int, rng: np.random.Generator) -> float:
    """Return the first candidate at which the verdict has the power; inf beyond the last."""
    return next((float(n) for n in CANDIDATES if power(pair, n, n_trials, rng) >= POWER), math.inf)


def ranges(pair: Pair, n: int, n_trials: int, rng: np.random.Generator) -> FloatArray:
    """Return the ranges of seeds that experiments of n seeds state, [n_trials, 2]."""
    return np.array([stats.seeds_needed(pair[0](rng, n), pair[1](rng, n), bounds=BOUNDS) for _ in range(n_trials)])


def containing(found: FloatArray, truth: float) -> float:
    """Return the share of ranges that contain the true number, or reach to within a step of the candidates of it."""
    if math.isinf(truth):
        return float(np.isinf(found[:, 1]).mean())
    return float(((found[:, 0] <= truth * 1.15) & (found[:, 1] >= truth / 1.15)).mean())


def wrong_sequential(
    looks: tuple[int, ...],
    spending: stats.Spending,
    n_pairs: int,
    n_trials: int,
    rng: np.random.Generator,
    *,
    declared: bool = True,
) -> float:
    """Return the share of experiments with equal algorithms that claim a difference at any look.

    declared: False judges every look at the full level, as one who adds seeds until something is significant.
    """
    design = stats.SequentialDesign(looks, spending) if declared else None
    wrong = 0
    for _ in range(n_trials):
        pairs = rng.standard_normal((n_pairs, 2, looks[-1]))
        for look in looks if design is None else looks[-1:]:  # a design keeps the claims of its earlier looks
            cases = [
                case(x[:look], y[:look], margin=None, bounds=None, identical=False, design=design) for x, y in pairs
            ]
            p_values = stats.holm([one.p_difference for one in cases])
            if (p_values < ALPHA).any():
                wrong += 1
                break
    return wrong / n_trials


def main(n_trials: int = 400) -> None:
    """Print all tables in Markdown."""
    rng = np.random.default_rng(0)
    write("| range contains the true number | seeds needed | " + " | ".join(f"n = {n}" for n in SEEDS) + " |")
    write("|---" * (len(SEEDS) + 2) + "|")
    for name, pair in PAIRS.items():
        truth = needed(pair, 4000, rng)
        cells = []
        for n in SEEDS:
            found = ranges(pair, n, n_trials, rng)
            low, high = np.median(found, axis=0)
            reach = "more" if math.isinf(high) else f"{high:.0f}"
            cells.append(f"{containing(found, truth):.0%} ({low:.0f} to {reach})")
        write(f"| {name} | {truth:.0f} | " + " | ".join(cells) + " |")
    write("\n| equal algorithms called different | 1 pair | 3 pairs |\n|---|---|---|")
    for name, (looks, spending) in DESIGNS.items():
        wrong = [wrong_sequential(looks, spending, pairs, 5 * n_trials // pairs, rng) for pairs in (1, 3)]
        write(f"| {name} | " + " | ".join(f"{rate:.1%}" for rate in wrong) + " |")
    looks, spending = next(iter(DESIGNS.values()))
    wrong = [wrong_sequential(looks, spending, pairs, 5 * n_trials // pairs, rng, declared=False) for pairs in (1, 3)]
    write("| the same looks, none declared | " + " | ".join(f"{rate:.1%}" for rate in wrong) + " |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
