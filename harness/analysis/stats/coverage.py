"""What an interval really covers at this number of seeds: simulate, count, and say how sure the count is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.intervals import Interval
from harness.analysis.stats.samples import FloatArray, present

__all__ = ["Coverage", "coverage_for_data", "interval_coverage"]

_POPULATION = 200_000


@dataclass(frozen=True)
class Coverage:
    """Share of simulated experiments whose interval held the true value."""

    rate: float
    low: float
    """Wilson's 95% limits of the rate: how far the simulation itself can be trusted."""
    high: float
    n_trials: int
    n_undefined: int
    """Experiments whose interval had no limits; they count as not covering."""


def interval_coverage(
    interval_fn: Callable[..., Interval],
    sampler: Callable[[np.random.Generator], Sequence[FloatArray]],
    truth: float,
    rng: np.random.Generator,
    n_trials: int = 1000,
) -> Coverage:
    """Measured coverage of an interval method: the share of simulated experiments whose limits hold the truth.

    interval_fn: what is examined, called with the samples of one experiment; sampler: draws one experiment, as a
    sequence of samples, (x,) or (x, y); truth: the value that interval_fn estimates, in the sampled population.
    Raises ValueError when n_trials < 1.
    """
    if n_trials < 1:
        raise ValueError(f"at least 1 trial is needed, got {n_trials}")
    covering = undefined = 0
    for _ in range(n_trials):
        interval = interval_fn(*sampler(rng))
        undefined += math.isnan(interval.low) or math.isnan(interval.high)
        covering += bool(interval.low <= truth <= interval.high)
    low, high = _wilson(covering, n_trials)
    return Coverage(covering / n_trials, low, high, n_trials, undefined)


def coverage_for_data(
    samples: Sequence[npt.ArrayLike],
    interval_fn: Callable[..., Interval],
    statistic: Callable[..., float],
    rng: np.random.Generator,
    n_trials: int = 1000,
) -> Coverage:
    """Coverage at the sizes and shapes of the given samples, if the world looked like them.

    Each sample is smoothed into a population, drawn from by X = mean + (x_I - mean + h E) / sqrt(1 + h^2 / s^2) with a
    random index I, E standard normal and h = 1.06 s n^(-1/5) (Silverman's rule). The division keeps the spread at that
    of the sample. Experiments of the same sizes are drawn from it and their intervals compared with the statistic of
    the population, itself taken from 200,000 draws.

    Honest about sampling error only: it knows no failure that the seeds at hand have not shown, so that a rare collapse
    makes the true coverage lower than this.

    samples: one or more arrays of one number per seed; NaN is dropped. interval_fn, statistic: called with as many
    arrays as there are samples; statistic must be what interval_fn estimates. Raises ValueError for an empty sample.
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


def _wilson(hits: int, trials: int) -> tuple[float, float]:
    z = float(special.ndtri(0.975))
    share = hits / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return centre - half, centre + half
