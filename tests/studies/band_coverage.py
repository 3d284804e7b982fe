"""Simulate how many whole curves the bands of learning curves contain, by seeds and kind of curve.

python -m tests.studies.band_coverage [EXPERIMENTS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from harness.stats import iqm_curve

__all__ = ["KINDS", "SEEDS", "coverage", "main"]

FloatArray = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], FloatArray]

TIMES = np.linspace(0.05, 1.0, 20)
SEEDS = (3, 5, 10, 30)
POPULATION = 60_000


def _rise(speed: FloatArray | float) -> FloatArray:
    curve: FloatArray = 1 / (1 + np.exp(-9 * (TIMES - speed) / speed))
    return curve


def learns_at_another_time(rng: np.random.Generator, n: int) -> FloatArray:
    """Draw smooth curves that rise to the same height, each at a time of its own, [n, T]."""
    return _rise(rng.uniform(0.25, 0.5, (n, 1))) + 0.03 * rng.normal(size=(n, TIMES.size))


def noisy_evaluations(rng: np.random.Generator, n: int) -> FloatArray:
    """Draw curves that differ mostly by the luck of each evaluation, [n, T]."""
    return _rise(0.35) + 0.15 * rng.normal(size=(n, TIMES.size)) + 0.1 * rng.normal(size=(n, 1))


def lognormal_speed(rng: np.random.Generator, n: int) -> FloatArray:
    """Draw curves of which a few rise far above the others, [n, T]."""
    power = 0.35 * np.exp(0.4 * rng.normal(size=(n, 1)))
    height = np.exp(0.3 * rng.normal(size=(n, 1)))
    curves: FloatArray = TIMES**power * height + 0.1 * rng.exponential(size=(n, TIMES.size))
    return curves


def capped_with_collapses(rng: np.random.Generator, n: int) -> FloatArray:
    """Draw curves that reach a maximum, a fifth of which collapses for good, [n, T]."""
    curves = 1.3 * _rise(rng.uniform(0.2, 0.4, (n, 1))) + 0.15 * rng.normal(size=(n, TIMES.size))
    collapses = (rng.random((n, 1)) < 0.2) & (rng.uniform(0.4, 0.9, (n, 1)) < TIMES)
    return np.minimum(np.where(collapses, 0.4 * curves, curves), 1.0)


KINDS: Mapping[str, Draw] = {
    "learns at another time": learns_at_another_time,
    "noisy evaluations": noisy_evaluations,
    "lognormal speed": lognormal_speed,
    "capped, 20% collapse": capped_with_collapses,
}


def truth(draw: Draw) -> FloatArray:
    """Return the interquartile mean of the population at each time, [T]."""
    curves = np.sort(draw(np.random.default_rng(0), POPULATION), axis=0)
    middle: FloatArray = curves[POPULATION // 4 : POPULATION - POPULATION // 4].mean(axis=0)
    return middle


def coverage(draw: Draw, n: int, n_experiments: int) -> tuple[float, float]:
    """Return the share of experiments whose band contains the whole curve: simultaneous, and pointwise bands."""
    expected, rng = truth(draw), np.random.default_rng(1)
    inside = np.zeros(2)
    for _ in range(n_experiments):
        curves = draw(rng, n)
        for place, simultaneous in enumerate((True, False)):
            band = iqm_curve(curves, rng, 0.95, 500, simultaneous=simultaneous)
            # A plateau at the maximum is known exactly, up to the rounding of a mean.
            inside[place] += bool(((band.low <= expected + 1e-9) & (expected <= band.high + 1e-9)).all())
    return float(inside[0] / n_experiments), float(inside[1] / n_experiments)


def main(n_experiments: int = 1000) -> None:
    """Print the table of docs/statistics.md."""
    print(f"| whole curves inside | {' | '.join(f'n = {n}' for n in SEEDS)} |")
    print("|---" * (len(SEEDS) + 1) + "|")
    for name, draw in KINDS.items():
        cells = [coverage(draw, n, n_experiments) for n in SEEDS]
        print(f"| {name} | " + " | ".join(f"{both:.0%} ({point:.0%})" for both, point in cells) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
