"""Simulate how often the judgements on a sweep are wrong: tests of factors, intervals, and candidates for the best.

    python -m tests.studies.sweep_errors [N_TRIALS]

prints the tables of docs/statistics.md: three levels of two factors, at a level of 5%.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from harness.analysis import stats
from tests.studies.verdict_errors import write

FloatArray = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], FloatArray]
"""Function that draws the scores of a sweep, [S, 3, 3]."""

SEEDS = (3, 5, 10)
RESAMPLES = 499
OTHER = np.array([0.0, 0.2, 0.5])[None, None, :]
LEVEL = np.array([0.0, 0.3, 0.6])[None, :, None]
SADDLE = np.array([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, -1.0]])[None]


def shape(n: int) -> tuple[int, int, int]:
    return n, 3, 3


def normal(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.standard_normal(shape(n))


def lognormal(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.lognormal(0.0, 1.0, shape(n)) - np.exp(0.5)


def capped(rng: np.random.Generator, n: int) -> FloatArray:
    return np.where(rng.random(shape(n)) < 0.12, 0.5 * rng.random(shape(n)), 1.0)


def bimodal(rng: np.random.Generator, n: int) -> FloatArray:
    return (rng.random(shape(n)) < 0.7) + 0.05 * normal(rng, n)


def collapses(shares: FloatArray) -> Draw:
    """Return a sampler of scores that are 1, but 0 in a share of the runs."""
    return lambda rng, n: np.where(rng.random(shape(n)) < shares, 0.0, 1.0)


SPREADS = np.array([0.1, 1.0, 3.0])[None, :, None]

NO_MAIN_EFFECT: Mapping[str, Draw] = {
    "normal": normal,
    "lognormal": lognormal,
    "bimodal": bimodal,
    "capped: 12% collapse": capped,
    "normal, the other factor matters": lambda rng, n: normal(rng, n) + 5 * OTHER,
    "collapses, the other factor matters": collapses(0.05 + OTHER),
    "seeds differ by twice the noise": lambda rng, n: normal(rng, n) + 2 * rng.standard_normal((n, 1, 1)),
    "seeds and levels interact": lambda rng, n: normal(rng, n) + 0.5 * rng.standard_normal((n, 3, 1)),
    "equal means, the factors interact": lambda rng, n: normal(rng, n) + 3 * SADDLE,
    "equal means, unequal spreads (1 : 10 : 30)": lambda rng, n: SPREADS * normal(rng, n),
    "equal means, unequal spreads, lognormal": lambda rng, n: SPREADS * lognormal(rng, n),
}
"""Sweeps whose first factor changes no mean; in the last three rows it changes something else."""

NO_INTERACTION: Mapping[str, Draw] = {
    "normal": normal,
    "lognormal": lognormal,
    "bimodal": bimodal,
    "capped: 12% collapse": capped,
    "normal, both factors matter": lambda rng, n: normal(rng, n) + 5 * LEVEL + 5 * OTHER,
    "collapses, both factors matter": collapses(0.05 + 0.4 * LEVEL + 0.3 * OTHER),
    "seeds and levels interact": lambda rng, n: normal(rng, n) + rng.standard_normal((n, 3, 1)),
    "unequal spreads (1 : 10 : 30)": lambda rng, n: SPREADS * normal(rng, n),
    "unequal spreads, lognormal": lambda rng, n: SPREADS * lognormal(rng, n),
    "one combination has ten times the spread": lambda rng, n: np.where(SADDLE == 1, 1.0, 0.1) * normal(rng, n),
}
"""Sweeps whose two factors add up."""


def main_effect_found(draw: Draw, n: int, n_trials: int, rng: np.random.Generator) -> float:
    """Return the share of sweeps in which the first factor is called a cause."""
    hits = sum(
        stats.main_effect(draw(rng, n).mean(axis=2), rng, n_resamples=RESAMPLES).p_value < 0.05 for _ in range(n_trials)
    )
    return hits / n_trials


def interaction_found(draw: Draw, n: int, n_trials: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the share of sweeps with an interaction: by ours, by the F test, and by aligned ranks."""
    hits = np.zeros(3)
    for _ in range(n_trials):
        scores = draw(rng, n)
        found = (
            stats.interaction(scores, rng, n_resamples=RESAMPLES).p_value,
            f_test(scores),
            f_test(aligned_ranks(scores)),
        )
        hits += np.array(found) < 0.05
    ours, plain, aligned = hits / n_trials
    return float(ours), float(plain), float(aligned)


def interactions(means: FloatArray) -> FloatArray:
    result: FloatArray = means - means.mean(axis=0, keepdims=True) - means.mean(axis=1, keepdims=True) + means.mean()
    return result


def f_test(scores: FloatArray) -> float:
    """Return the p-value of the interaction in the analysis of variance of independent runs."""
    n, a, b = scores.shape
    means = scores.mean(axis=0)
    error = float(((scores - means) ** 2).sum()) / (a * b * (n - 1))
    if error == 0.0:
        return 1.0
    df = (a - 1) * (b - 1)
    return float(scipy_stats.f.sf(n * (interactions(means) ** 2).sum() / df / error, df, a * b * (n - 1)))


def aligned_ranks(scores: FloatArray) -> FloatArray:
    """Return ranks after alignment for the interaction (Higgins and Tashtoush 1994; Wobbrock et al. 2011)."""
    means = scores.mean(axis=0)
    aligned = scores - means + interactions(means)
    return scipy_stats.rankdata(np.round(aligned, 10)).reshape(scores.shape)


def difference_covered(draw: Draw, n: int, n_trials: int, rng: np.random.Generator) -> float:
    """Return the share of sweeps without an effect in which the interval of the largest difference contains 0."""
    hits = 0
    for _ in range(n_trials):
        interval = stats.main_effect(draw(rng, n).mean(axis=2), rng, n_resamples=19).difference
        hits += not interval.excludes(0.0)
    return hits / n_trials


Columns = Callable[[np.random.Generator, int, int], FloatArray]


def _capped_best(rng: np.random.Generator, n: int, k: int) -> FloatArray:
    scores = 0.8 + 0.01 * rng.standard_normal((n, k))
    scores[:, 0] = np.where(rng.random(n) < 0.12, 0.0, 1.0)
    return scores


def _skewed_best(rng: np.random.Generator, n: int, k: int) -> FloatArray:
    scores = np.exp(0.5) + 0.01 * rng.standard_normal((n, k))
    scores[:, 0] = rng.lognormal(0.0, 1.0, n)
    return scores


def _half_worse(rng: np.random.Generator, n: int, k: int) -> FloatArray:
    scores = rng.standard_normal((n, k))
    scores[:, k // 2 :] -= 2.0
    return scores


BEST_FIRST: Mapping[str, Columns] = {
    "all equal, normal": lambda rng, n, k: rng.standard_normal((n, k)),
    "all equal, lognormal": lambda rng, n, k: rng.lognormal(0.0, 1.0, (n, k)),
    "all equal, capped": lambda rng, n, k: np.where(rng.random((n, k)) < 0.12, 0.0, 1.0),
    "all equal, seeds differ by twice the noise": lambda rng, n, k: (
        rng.standard_normal((n, k)) + 2 * rng.standard_normal((n, 1))
    ),
    "equal means, spreads from 0.1 to 3": lambda rng, n, k: rng.standard_normal((n, k)) * np.linspace(0.1, 3, k),
    "the best collapses in 12%, the others never": _capped_best,
    "the best is lognormal, the others narrow": _skewed_best,
    "half are worse by two standard deviations": _half_worse,
}
"""Sweeps whose first combination is the best, or one of the best."""


def best_kept(draw: Columns, n: int, k: int, n_trials: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the share of sweeps in which the best is a candidate, and the mean share of candidates."""
    kept = size = 0.0
    for _ in range(n_trials):
        candidates = stats.best_candidates(draw(rng, n, k))
        kept += bool(candidates[0])
        size += float(candidates.mean())
    return kept / n_trials, size / n_trials


def main(n_trials: int = 1000) -> None:
    """Print the tables in Markdown."""
    rng = np.random.default_rng(0)
    columns = " | ".join(f"n = {n}" for n in SEEDS)
    rule = "|---" * (len(SEEDS) + 1) + "|"
    write(f"| a factor that changes no mean | {columns} |\n{rule}")
    for name, draw in NO_MAIN_EFFECT.items():
        write(f"| {name} | " + " | ".join(f"{main_effect_found(draw, n, n_trials, rng):.1%}" for n in SEEDS) + " |")
    for size in (0.5, 1.0):
        rates = [
            main_effect_found(lambda r, n: normal(r, n) + size / 0.6 * LEVEL, n, n_trials, rng)  # noqa: B023
            for n in SEEDS
        ]
        write(f"| power: levels differ by up to {size:g} sd | " + " | ".join(f"{rate:.0%}" for rate in rates) + " |")
    write(f"\n| no interaction | {columns} |\n{rule}")
    for name, draw in NO_INTERACTION.items():
        rates3 = [interaction_found(draw, n, n_trials, rng) for n in SEEDS]
        cells = (f"{ours:.1%} ({plain:.0%}, {aligned:.0%})" for ours, plain, aligned in rates3)
        write(f"| {name} | " + " | ".join(cells) + " |")
    power = [interaction_found(lambda r, n: normal(r, n) + 0.6 * SADDLE, n, n_trials, rng) for n in SEEDS]
    write("| power: a saddle of 0.6 sd | " + " | ".join(f"{p[0]:.0%} ({p[1]:.0%}, {p[2]:.0%})" for p in power) + " |")
    write(f"\n| interval of the largest difference contains 0 | {columns} |\n{rule}")
    for name in (
        "normal",
        "lognormal",
        "bimodal",
        "capped: 12% collapse",
        "equal means, unequal spreads (1 : 10 : 30)",
    ):
        covered = [difference_covered(NO_MAIN_EFFECT[name], n, n_trials // 4, rng) for n in SEEDS]
        write(f"| {name} | " + " | ".join(f"{rate:.0%}" for rate in covered) + " |")
    write(f"\n| the best is a candidate (share of candidates) | {columns} |\n{rule}")
    for k in (9, 30):
        for name, best in BEST_FIRST.items():
            shares = [best_kept(best, n, k, n_trials, rng) for n in SEEDS]
            cells = (f"{kept:.1%} ({size:.0%})" for kept, size in shares)
            write(f"| {k}: {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
