"""Simulate how often the verdicts are wrong, for kinds of scores and numbers of seeds.

    python -m tests.studies.verdict_errors [N_TRIALS]

prints the tables of docs/statistics.md. Scores lie between 0 (random actions) and 1 (the best), the margin of
equivalence is a tenth, and the level is 5%.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.analysis import stats
from harness.analysis.tables.family import Family, case

FloatArray = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], FloatArray]
Pair = tuple[Draw, Draw]

ALPHA = 0.05
MARGIN = 0.1
BOUNDS = (0.0, 1.0)
SEEDS = (3, 5, 10, 30)


def normal(mean: float, spread: float) -> Draw:
    """Return a sampler of normal scores."""
    return lambda rng, n: mean + spread * rng.standard_normal(n)


def lognormal(mean: float, scale: float) -> Draw:
    """Return a sampler of lognormal scores with this mean, of shape 1."""
    return lambda rng, n: mean + scale * (rng.lognormal(0.0, 1.0, n) - np.exp(0.5))


def two_modes(share: float, low: float = 0.2, high: float = 0.9) -> Draw:
    """Return a sampler of scores near `high` in a share of the runs, and near `low` in the others."""
    return lambda rng, n: np.where(rng.random(n) < share, high, low) + 0.03 * rng.standard_normal(n)


def capped(collapses: float, low: float = 0.0) -> Draw:
    """Return a sampler of scores that are 1, except in a share of the runs, which collapse to `low`."""
    return lambda rng, n: np.where(rng.random(n) < collapses, low, 1.0)


AT_THE_MARGIN: dict[str, Pair] = {
    "normal, sd 0.02": (normal(0.6, 0.02), normal(0.5, 0.02)),
    "normal, sd 0.1": (normal(0.6, 0.1), normal(0.5, 0.1)),
    "lognormal": (lognormal(0.5, 0.05), lognormal(0.4, 0.05)),
    "bimodal": (two_modes(0.95), two_modes(0.95 - MARGIN / 0.7)),
    "capped: all reach 1, against 10% that collapse": (capped(0.0), capped(MARGIN)),
    "capped: 10% collapse, against 20%": (capped(0.1), capped(0.2)),
    "capped: all reach 1, against 20% that lose half": (capped(0.0), capped(0.2, 0.5)),
    "sparse: none learns, against 10% that do": (capped(1.0), capped(0.9)),
}
"""Pairs whose means differ by the margin, so that every claim of equivalence is wrong."""

EQUAL_MEANS: dict[str, Pair] = {
    "normal, equal": (normal(0.5, 0.1), normal(0.5, 0.1)),
    "normal, three times the spread": (normal(0.5, 0.1), normal(0.5, 0.03)),
    "lognormal, equal": (lognormal(0.4, 0.05), lognormal(0.4, 0.05)),
    "lognormal against narrow normal": (lognormal(0.4, 0.05), normal(0.4, 0.01)),
    "bimodal against its mean": (two_modes(0.7), normal(0.69, 0.01)),
    "capped against its mean": (capped(0.12), normal(0.88, 0.01)),
}
"""Pairs with equal means, so that every claim of better or worse is wrong about the mean."""


def wrong_equivalence(pair: Pair, n: int, n_trials: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the share of experiments that claim equivalence: by `equivalence_test`, and by `tost_welch` alone."""
    bounded = normal_theory = 0
    for _ in range(n_trials):
        x, y = (draw(rng, n) for draw in pair)
        bounded += stats.equivalence_test(x, y, MARGIN, BOUNDS).p_value < ALPHA
        normal_theory += stats.tost_welch(x, y, MARGIN).p_value < ALPHA
    return bounded / n_trials, normal_theory / n_trials


def wrong_equivalence_in_family(pair: Pair, n: int, n_trials: int, rng: np.random.Generator, size: int = 9) -> float:
    """Return the share of families of `size` such pairs in which at least one is called equivalent."""
    wrong = 0
    for _ in range(n_trials):
        p_values = [
            stats.equivalence_test(pair[0](rng, n), pair[1](rng, n), MARGIN, BOUNDS).p_value for _ in range(size)
        ]
        wrong += float(np.nanmin(stats.holm(p_values))) < ALPHA
    return wrong / n_trials


def outcomes(pair: Pair, n: int, n_trials: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the share of each outcome of the whole verdict, for a single pair."""
    found: dict[str, int] = {}
    for _ in range(n_trials):
        one = case(pair[0](rng, n), pair[1](rng, n), margin=MARGIN, bounds=BOUNDS, identical=False)
        (verdict,) = Family((one,), ALPHA).verdicts()
        found[verdict.outcome] = found.get(verdict.outcome, 0) + 1
    return {outcome: count / n_trials for outcome, count in found.items()}


def main(n_trials: int = 1000) -> None:
    """Print all tables in Markdown."""
    rng = np.random.default_rng(0)
    columns = " | ".join(f"n = {n}" for n in SEEDS)
    rule = "|---" * (len(SEEDS) + 1) + "|"
    write(f"| true difference at the margin | {columns} |\n{rule}")
    for name, pair in AT_THE_MARGIN.items():
        rates = [wrong_equivalence(pair, n, n_trials, rng) for n in SEEDS]
        write(f"| {name} | " + " | ".join(f"{ours:.1%} ({tost:.0%})" for ours, tost in rates) + " |")
    for name in ("normal, sd 0.02", "capped: all reach 1, against 10% that collapse"):
        families = [wrong_equivalence_in_family(AT_THE_MARGIN[name], n, n_trials // 4, rng) for n in SEEDS]
        write(f"| nine pairs: {name} | " + " | ".join(f"{rate:.1%}" for rate in families) + " |")
    write(f"\n| equal means | {columns} |\n{rule}")
    for name, pair in EQUAL_MEANS.items():
        cells = []
        for n in SEEDS:
            found = outcomes(pair, n, n_trials // 4, rng)
            cells.append(f"{found.get('better', 0) + found.get('worse', 0):.1%}")
        write(f"| {name} | " + " | ".join(cells) + " |")
    write("\n| coverage of the 95% t interval | n = 3 | n = 5 | n = 10 | n = 30 |\n" + rule)
    for population in stats.POPULATIONS:
        rates_of = [stats.t_coverage(population, n, 0.95, rng, 20_000) for n in SEEDS]
        write(f"| {population.name} | " + " | ".join(f"{rate:.0%}" for rate in rates_of) + " |")


def write(text: str) -> None:
    """Print a line at once, as the next may take a minute."""
    print(text, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
