"""Simulate the coverage of the intervals over tasks, and wrong verdicts over tasks, by seeds and kind of score.

python -m tests.studies.aggregate_errors [EXPERIMENTS]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from harness.stats import (
    AGGREGATES,
    POPULATIONS,
    Population,
    aggregate_intervals,
    aggregates,
    expanded_limits,
    improvement_over_tasks,
    performance_profile,
    resampled_aggregates,
    stratified_permutation_test,
)

__all__ = ["KINDS", "SEEDS", "TASKS", "coverage", "main", "wrong_winners"]

FloatArray = npt.NDArray[np.float64]

SEEDS = (3, 5, 10, 30)
TASKS = (0.4, 0.7, 1.0, 1.1)
"""Factor of the scores on each task: tasks on which less and more is reached."""
KINDS: Mapping[str, Population] = {population.name: population for population in POPULATIONS}

_LARGE = 40_000  # runs of each task that stand for the population
_RESAMPLES = 500


def draw(kind: Population, n: int, rng: np.random.Generator) -> list[FloatArray]:
    """Draw the scores of n runs on each task."""
    return [factor * kind.draw(rng, (n,)) for factor in TASKS]


def coverage(kind: Population, n: int, n_experiments: int) -> dict[str, tuple[float, float]]:
    """Return for each estimate how often its interval contains the truth: ours, and the customary one.

    The customary interval is the plain percentile bootstrap; of profiles, its pointwise band, taken as a whole; of the
    probability of improvement, the percentile bootstrap over pairs.
    """
    truths = aggregates(draw(kind, _LARGE, np.random.default_rng(7)))
    expected = np.array([truths[name] for name in AGGREGATES])
    grid = np.linspace(-0.05, 1.6, 60)
    shares = performance_profile(draw(kind, _LARGE, np.random.default_rng(7)), grid).share
    rng = np.random.default_rng(1)
    hits: dict[str, FloatArray] = {name: np.zeros(2) for name in (*AGGREGATES, "difference of IQM", "profile", "P")}
    for _ in range(n_experiments):
        tasks, others = draw(kind, n, rng), draw(kind, n, rng)
        resampled = resampled_aggregates(tasks, rng, _RESAMPLES)
        ours = aggregate_intervals(tasks, rng, n_resamples=_RESAMPLES)
        plain = np.quantile(resampled, [0.025, 0.975], axis=1)
        for place, (name, truth) in enumerate(zip(AGGREGATES, expected, strict=True)):
            hits[name] += _inside(ours[name].low, ours[name].high, at=truth), _inside(*plain[:, place], at=truth)
        difference = resampled[0] - resampled_aggregates(others, rng, _RESAMPLES)[0]
        low, high = expanded_limits(difference, [[n] * len(TASKS)] * 2)
        hits["difference of IQM"] += (
            _inside(low, high, at=0.0),
            _inside(*np.quantile(difference, [0.025, 0.975]), at=0.0),
        )
        band = performance_profile(tasks, grid)
        drawn = [task[rng.integers(0, n, (_RESAMPLES, n))] for task in tasks]
        profiles = np.mean([(one[:, :, None] > grid).mean(axis=1) for one in drawn], axis=0)
        pointwise = np.quantile(profiles, [0.025, 0.975], axis=0)
        hits["profile"] += _inside(band.low, band.high, at=shares), _inside(*pointwise, at=shares)
        improvement = improvement_over_tasks(tasks, others)
        hits["P"] += (
            _inside(improvement.low, improvement.high, at=0.5),
            _inside(*_resampled_p(tasks, others, rng), at=0.5),
        )
    return {name: (float(ours / n_experiments), float(plain / n_experiments)) for name, (ours, plain) in hits.items()}


def _inside(low: FloatArray | float, high: FloatArray | float, *, at: FloatArray | float) -> bool:
    # A maximum that all reach is known exactly, up to the rounding of a mean.
    return bool(np.all((np.asarray(low) <= np.asarray(at) + 1e-9) & (np.asarray(at) <= np.asarray(high) + 1e-9)))


def _resampled_p(first: list[FloatArray], second: list[FloatArray], rng: np.random.Generator) -> FloatArray:
    """Return the percentile limits of the probability of improvement, both sides resampled within each task."""
    shares = []
    for x, y in zip(first, second, strict=True):
        wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        rows, columns = rng.integers(0, x.size, (_RESAMPLES, x.size)), rng.integers(0, y.size, (_RESAMPLES, y.size))
        shares.append(wins[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2)))
    return np.quantile(np.mean(shares, axis=0), [0.025, 0.975])


def wrong_winners(first: Population, second: Population, n: int, n_experiments: int) -> float:
    """Return how often a winner is named over tasks though both sides have equal means."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(n_experiments):
        x, y = draw(first, n, rng), draw(second, n, rng)
        y = [task + factor * (first.mean - second.mean) for task, factor in zip(y, TASKS, strict=True)]
        test = stratified_permutation_test(x, y)
        improvement = improvement_over_tasks(x, y)
        same_side = (improvement.estimate > 0.5) == (test.difference > 0.0)
        wrong += test.p_value < 0.05 and improvement.excludes(0.5) and same_side
    return wrong / n_experiments


def main(n_experiments: int = 1000) -> None:
    """Print the tables of docs/statistics.md."""
    results = {(kind, n): coverage(KINDS[kind], n, n_experiments) for kind in KINDS for n in SEEDS}
    header = f"| {' | '.join(f'n = {n}' for n in SEEDS)} |\n{'|---' * (len(SEEDS) + 2)}|"
    print(f"| interval | scores {header}")
    for name in next(iter(results.values())):
        for kind in KINDS:
            cells = (results[kind, n][name] for n in SEEDS)
            print(f"| {name} | {kind} | " + " | ".join(f"{ours:.0%} ({plain:.0%})" for ours, plain in cells) + " |")
    print(f"\n| first | second {header}", flush=True)
    for first, second in (("normal", "normal"), ("lognormal", "lognormal"), ("bimodal", "bimodal"),
                          ("capped", "capped"), ("normal", "bimodal"), ("normal", "capped")):  # fmt: skip
        shares = (wrong_winners(KINDS[first], KINDS[second], n, n_experiments) for n in SEEDS)
        print(f"| {first} | {second} | " + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
