"""Real coverage of an interval at a number of seeds, by simulation, with the uncertainty of the simulation itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.intervals import Interval, share_interval
from harness.analysis.stats.samples import FloatArray, present

__all__ = ["Coverage", "coverage_for_data", "interval_coverage"]

_POPULATION = 200_000


@dataclass(frozen=True)
class Coverage:
    """Share of simulated experiments whose interval contained the true value."""

    rate: float
    low: float
    """Wilson's 95% limits of the rate: uncertainty of the simulation."""
    high: float
    n_trials: int
    n_undefined: int
    """Experiments whose interval had no limits, counted as not covering."""


def interval_coverage(
    interval_fn: Callable[..., Interval],
    sampler: Callable[[np.random.Generator], Sequence[FloatArray]],
    truth: float,
    rng: np.random.Generator,
    n_trials: int = 1000,
) -> Coverage:
    """Simulate the coverage of an interval method: the share of experiments whose limits contain the truth.

    interval_fn: the method, called with the samples of one experiment; sampler: function that draws one experiment, a
    sequence of samples (x,) or (x, y); truth: the value that interval_fn estimates, in the sampled population.
    Raises ValueError if n_trials < 1.
    """
    if n_trials < 1:
        raise ValueError(f"at least 1 trial is needed, got {n_trials}")
    covering = undefined = 0
    for _ in range(n_trials):
        interval = interval_fn(*sampler(rng))
        undefined += math.isnan(interval.low) or math.isnan(interval.high)
        covering += bool(interval.low <= truth <= interval.high)
    rate = share_interval(covering, n_trials)
    return Coverage(rate.estimate, rate.low, rate.high, n_trials, undefined)


def coverage_for_data(
    samples: Sequence[npt.ArrayLike],
    interval_fn: Callable[..., Interval],
    statistic: Callable[..., float],
    rng: np.random.Generator,
    n_trials: int = 1000,
) -> Coverage:
    """Simulate the coverage of an interval method in populations of the samples' shapes, at the samples' sizes.

        X = mean + (x_I - mean + h E) / sqrt(1 + h^2 / s^2)      h = 1.06 s n^(-1/5), Silverman's rule

    is a draw from the smoothed population of a sample, with a random index I and a standard normal E; the division
    keeps the sample's spread s. Intervals of experiments drawn from it are compared with the statistic of 200,000
    draws.

    Only sampling error is simulated: a rare collapse that none of these seeds shows makes the true coverage lower.

    samples: one or more arrays of one number per seed; NaN is dropped. interval_fn, statistic: called with as many
    arrays as there are samples; interval_fn must estimate the statistic. Raises ValueError for an empty sample.
    Silverman and Young 1987, Biometrika 74, 469-479.
    """
    pools = [present(sample).values for sample in samples]
    if not all(pool.size for pool in pools):
        raise ValueError("every sample needs at least one number")
    truth = float(statistic(*(_smoothed(pool, _POPULATION, rng) for pool in pools)))

    def experiment(generator: np.random.Generator) -> list[FloatArray]:
        return [_smoothed(pool, pool.size, generator) for pool in pools]

    return interval_coverage(interval_fn, experiment, truth, rng, n_trials)


def _smoothed(pool: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    centre, spread = pool.mean(), pool.std()
    drawn = rng.choice(pool, size)
    if spread == 0.0:
        return drawn
    bandwidth = 1.06 * pool.size ** (-1 / 5)  # in units of the spread
    noise = bandwidth * spread * rng.standard_normal(size)
    smoothed: FloatArray = centre + (drawn - centre + noise) / math.sqrt(1 + bandwidth**2)
    return smoothed
