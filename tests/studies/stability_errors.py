"""Simulate how often a measure of stability names a steadier algorithm although both are equally steady.

    python -m tests.studies.stability_errors [N_TRIALS]

prints the table of docs/statistics.md: ten seeds against ten, the permutation test at 5%. The policies of a pair
change along a straight line or learn once, and differ in nothing that is instability; the last pairs differ, and show
the power.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.analysis import stats
from tests.studies.verdict_errors import write

FloatArray = npt.NDArray[np.float64]

STEPS = 50_000
SEEDS = 10
RESAMPLES = 999


@dataclass(frozen=True)
class Training:
    """Kind of a training whose episodes have returns curve(share of the training) plus noise."""

    curve: Callable[[FloatArray], FloatArray]
    length: int = 200
    """Environment steps of an episode."""
    noise: float = 20.0
    grows: bool = False
    """True if the noise is a share of the mean return, `noise` at a return of 100."""
    heavy: bool = False
    """True for lognormal noise instead of normal noise."""
    movement: float = 0.0
    """Standard deviation of the policy's performance from one percent of the training to the next."""
    collapse: float = 0.0
    """Depth of one fall, which lasts 8% of the training and starts at a random time after 40%."""

    def episodes(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return the environment steps at the end of each episode and the returns, both [E]."""
        ends = np.arange(self.length, STEPS + 1, self.length, dtype=np.float64)
        at = ends / STEPS
        scale = self.noise * (self.curve(at) / 100 if self.grows else 1.0)
        means = self.curve(at) + (self.movement * rng.standard_normal(101))[np.floor(100 * at).astype(int)]
        start = rng.uniform(0.4, 0.9)
        means[(at > start) & (at < start + 0.08)] -= self.collapse
        luck = rng.lognormal(0.0, 1.0, at.size) - np.exp(0.5) if self.heavy else rng.standard_normal(at.size)
        return ends, means + scale * luck


def rise(at: float, steepness: float) -> Callable[[FloatArray], FloatArray]:
    """Return a learning curve from 20 to 450 around a share of the training."""
    return lambda x: 20 + 430 / (1 + np.exp(-steepness * (x - at)))


FLAT = Training(lambda x: np.full_like(x, 100.0))
LEARNS = Training(rise(0.3, 25))
STRAIGHT = Training(lambda x: 20 + 430 * x)

PAIRS: Mapping[str, tuple[Training, Training]] = {
    "one learns": (LEARNS, FLAT),
    "one learns in a jump": (Training(rise(0.2, 80)), FLAT),
    "one learns in a jump, little noise": (Training(rise(0.2, 80), noise=5.0), replace(FLAT, noise=5.0)),
    "one learns late": (Training(rise(0.6, 25)), FLAT),
    "one learns in a straight line, little noise": (replace(STRAIGHT, noise=5.0), replace(FLAT, noise=5.0)),
    "one has episodes of four times the length": (LEARNS, replace(LEARNS, length=800)),
    "one has episodes of five times the length": (LEARNS, replace(LEARNS, length=1000)),
    "the same, none learns": (FLAT, replace(FLAT, length=800)),
    "lognormal noise, one learns": (replace(LEARNS, heavy=True), replace(FLAT, heavy=True)),
    "lognormal noise, four times the length": (replace(FLAT, heavy=True), replace(FLAT, heavy=True, length=800)),
    "noise that grows with the return, one learns": (replace(LEARNS, grows=True), FLAT),
    "the same, episodes of five times the length": (
        replace(LEARNS, grows=True),
        replace(LEARNS, grows=True, length=1000),
    ),
    "power: one moves by half the noise": (replace(LEARNS, movement=10.0), LEARNS),
    "power: one moves by as much as the noise": (replace(LEARNS, movement=20.0), LEARNS),
    "power: one falls by 150, once": (replace(LEARNS, collapse=150.0), LEARNS),
}

MEASURES: Mapping[str, Callable[[FloatArray, FloatArray], float]] = {
    "fluctuation": stats.fluctuation,
    "deepest fall": stats.unexplained_fall,
    "share lost": stats.share_lost,
    "relative drawdown": lambda steps, returns: stats.relative_drawdown(_smoothed(steps, returns)),
    "roughness": lambda steps, returns: stats.roughness(_smoothed(steps, returns)),
}
"""Measures of the report, and the last two, which it does not judge by."""


def _smoothed(steps: FloatArray, returns: FloatArray) -> FloatArray:
    window = 20
    smoothed = stats.rolling_mean(returns, window)[window - 1 :]
    return stats.interpolate_curve(steps[window - 1 :], smoothed, np.linspace(steps[window - 1], steps[-1], 101))


def named_steadier(pair: tuple[Training, Training], n_trials: int, rng: np.random.Generator) -> dict[str, float]:
    """Return for each measure the share of experiments in which the test names one training steadier."""
    hits = dict.fromkeys(MEASURES, 0)
    for _ in range(n_trials):
        runs = [[kind.episodes(rng) for _ in range(SEEDS)] for kind in pair]
        for name, measure in MEASURES.items():
            x, y = ([measure(*run) for run in side] for side in runs)
            hits[name] += p_value(np.array(x), np.array(y), rng) < 0.05
    return {name: count / n_trials for name, count in hits.items()}


def named_wider(ratio: float, n: int, n_trials: int, rng: np.random.Generator, *, heavy: bool = False) -> float:
    """Return the share of experiments in which the spread over seeds is called different; ratio: of the deviations."""
    hits = 0
    for _ in range(n_trials):
        x, y = (rng.lognormal(0, 1, n) if heavy else rng.standard_normal(n) for _ in range(2))
        first, second = (np.abs(side - np.median(side)) for side in (ratio * x, y))
        hits += p_value(first, second, rng) < 0.05
    return hits / n_trials


def p_value(x: FloatArray, y: FloatArray, rng: np.random.Generator) -> float:
    """Return the p-value of `permutation_test` for equal numbers of seeds, from few splits, as thousands are needed."""
    pooled = np.concatenate([x, y])
    if np.isnan(pooled).any() or np.ptp(pooled) == 0.0:
        return 1.0
    order = _orders(pooled.size)[rng.permutation(RESAMPLES)]
    sums = pooled[order[:, : x.size]].sum(axis=1)
    # With as many seeds on both sides the splits have the same order by t and by the distance of the sums.
    distance = np.abs(2 * sums - pooled.sum())
    return float((np.sum(distance >= abs(2 * x.sum() - pooled.sum()) - 1e-9) + 1) / (RESAMPLES + 1))


@functools.cache
def _orders(size: int) -> npt.NDArray[np.intp]:
    return np.argsort(np.random.default_rng(0).random((RESAMPLES, size)), axis=1)


def main(n_trials: int = 1000) -> None:
    """Print the tables in Markdown."""
    rng = np.random.default_rng(0)
    write(f"| {SEEDS} seeds each | " + " | ".join(MEASURES) + " |\n" + "|---" * (len(MEASURES) + 1) + "|")
    for name, pair in PAIRS.items():
        found = named_steadier(pair, n_trials, rng)
        write(f"| {name} | " + " | ".join(f"{rate:.1%}" for rate in found.values()) + " |")
    write("\n| spread over seeds | n = 5 | n = 10 | n = 30 |\n|---|---|---|---|")
    for name, ratio, heavy in (
        ("equal, normal", 1.0, False),
        ("equal, lognormal", 1.0, True),
        ("power: twice the deviation", 2.0, False),
        ("power: four times the deviation", 4.0, False),
    ):
        rates = [named_wider(ratio, n, 4 * n_trials, rng, heavy=heavy) for n in (5, 10, 30)]
        write(f"| {name} | " + " | ".join(f"{rate:.1%}" for rate in rates) + " |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
