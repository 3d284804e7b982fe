"""Steadiness of one training per environment step, without the luck of single episodes and without the learning itself.

Both measures are near 0 for a policy whose true performance changes along a straight line, however noisy its episodes
are, however long they last, and whether it learns or not. So a difference between two algorithms is one of their
policies. Measured false differences between pairs of such trainings: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.stats.samples import FloatArray

__all__ = ["fluctuation", "share_lost", "unexplained_fall"]

STRETCHES = (50, 40, 30, 20)
"""Numbers of equal parts of a training, each tried if its stretches hold two episodes on average."""

EPISODES_PER_STRETCH = 2

FALL_IN_ERRORS = 4.0
"""Number of standard errors from which a fall is not luck: among 1,225 pairs of stretches chance exceeds it in 4%."""


def fluctuation(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> float:
    """Return how far the mean return moves from one stretch of training to the next, beyond trend and luck.

        d_k = v_{k-1} - 2 v_k + v_{k+1}                       v_k: mean return of the episodes that end in stretch k
        u   = mean_k( d_k^2 - s^2 (1/n_{k-1} + 4/n_k + 1/n_{k+1}) ) / 6       n_k: their number
        s^2 = mean_i( r_{i-1} - 2 r_i + r_{i+1} )^2 / 6                       r_i: return of an episode
        fluctuation = sign(u) sqrt(|u|)

    Stretches are 2% of the training, or up to 5% if it has few episodes. Only the second half counts: before, a policy
    that learns in one jump would seem to fluctuate. Second differences take a straight trend away. The part that the
    luck of single episodes explains is subtracted, so that the result is around 0, and may be negative, for a policy
    that does not change. In units of return.

    timesteps: environment steps at the end of each episode, not decreasing, [E]; returns: [E].
    NaN with fewer than 20 episodes in the second half. Raises ValueError if the shapes differ.
    """
    ends, values = _episodes(timesteps, returns)
    if ends.size == 0:
        return math.nan
    half = ends[-1] / 2
    later = ends > half
    parts = _stretches(ends[later] - half, values[later], half, [n // 2 for n in STRETCHES])
    if parts is None:
        return math.nan
    moves = parts.means[:-2] - 2 * parts.means[1:-1] + parts.means[2:]
    luck = parts.variance * (1 / parts.counts[:-2] + 4 / parts.counts[1:-1] + 1 / parts.counts[2:])
    excess = float(((moves**2 - luck) / 6).mean())
    return math.copysign(math.sqrt(abs(excess)), excess)


def unexplained_fall(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> float:
    """Return the deepest fall of the mean return from one stretch of training to any later one, beyond luck.

        max over j < k of v_j - v_k, where v_j - v_k > 4 s sqrt(1/n_j + 1/n_k); 0 without such a pair

    Symbols as in `fluctuation`, over the whole training. The largest of many differences grows with the noise and with
    the number of stretches, so that falls which the luck of single episodes can explain do not count. A fall that does
    count is too deep by about that luck: by 14% in a test with a fall of ten standard deviations of an episode. In
    units of return: a policy that reached nothing has nothing to lose.

    Arguments as in `fluctuation`. NaN with fewer than 40 episodes.
    """
    parts = _whole(timesteps, returns)
    return math.nan if parts is None else _deepest(parts)


def share_lost(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> float:
    """Return `unexplained_fall` as a share of the range from the lowest to the highest stretch of the training.

    0 if it never falls, 1 if it loses all that it had gained. Without a unit, so that algorithms which reach different
    returns are comparable. Arguments as in `fluctuation`. NaN with fewer than 40 episodes.
    """
    parts = _whole(timesteps, returns)
    if parts is None:
        return math.nan
    fall, span = _deepest(parts), float(np.ptp(parts.means))
    return fall / span if fall > 0.0 else 0.0


def _deepest(parts: _Stretches) -> float:
    falls = parts.means[:, None] - parts.means[None, :]
    errors = np.sqrt(parts.variance * (1 / parts.counts[:, None] + 1 / parts.counts[None, :]))
    later = np.triu(np.ones_like(falls, dtype=bool), 1)
    beyond = falls[later & (falls > FALL_IN_ERRORS * errors)]
    return float(beyond.max()) if beyond.size else 0.0


def _whole(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> _Stretches | None:
    ends, values = _episodes(timesteps, returns)
    return None if ends.size == 0 else _stretches(ends, values, float(ends[-1]), STRETCHES)


@dataclass(frozen=True, eq=False)
class _Stretches:
    """Means and numbers of the episodes in consecutive parts of a training, [K], and the variance of one episode."""

    means: FloatArray
    counts: FloatArray
    variance: float


def _episodes(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    ends, values = np.asarray(timesteps, dtype=np.float64), np.asarray(returns, dtype=np.float64)
    if ends.ndim != 1 or ends.shape != values.shape:
        raise ValueError(f"expected timesteps and returns of one run [E], got {ends.shape} and {values.shape}")
    there = ~np.isnan(values)
    return ends[there], values[there]


def _stretches(ends: FloatArray, values: FloatArray, span: float, numbers: Sequence[int]) -> _Stretches | None:
    """Return the parts of (0, span], as many as the episodes suffice for; None if they do not."""
    n_parts = next((n for n in numbers if values.size >= EPISODES_PER_STRETCH * n), None)
    if n_parts is None:
        return None
    # An episode belongs to the stretch in which it ends; the last one may end exactly at the span.
    index = np.clip(np.ceil(ends * n_parts / span).astype(int) - 1, 0, n_parts - 1)
    counts = np.bincount(index, minlength=n_parts).astype(np.float64)
    sums = np.bincount(index, weights=values, minlength=n_parts)
    filled = counts > 0
    jumps = values[:-2] - 2 * values[1:-1] + values[2:]
    return _Stretches(sums[filled] / counts[filled], counts[filled], float((jumps**2).mean() / 6))
