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
from scipy import special

from harness.analysis.stats.samples import FloatArray

__all__ = ["fluctuation", "share_lost", "unexplained_fall"]

STRETCHES = (25, 20, 15, 10)
"""Numbers of equal parts of half a training, each tried if its stretches hold two episodes on average."""

LONG_STRETCHES = (20,)
"""Number of equal parts of a training between which falls are looked for."""

EPISODES_PER_STRETCH = 2

NEIGHBOURS = 32
"""Least number of second differences from which the noise of a stretch is estimated."""

FALL_IN_ERRORS = 3.5
"""Number of standard errors from which a fall is not luck: among 190 pairs of stretches chance exceeds it in 4%."""


def fluctuation(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> float:
    """Return how far the mean return moves from one stretch of training to the next, beyond trend and luck.

        d_k = v_{k-1} - 2 v_k + v_{k+1}                       v_k: mean return of the episodes that end in stretch k
        e_k = s_k^2 / n_k                                     n_k: their number
        s_k = sqrt( mean_i( r_{i-1} - 2 r_i + r_{i+1} )^2 / 6 )  over episodes i in and around stretch k
        u   = mean_k( d_k^2 - e_{k-1} - 4 e_k - e_{k+1} ) / 6
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
    parts = _stretches(ends[later] - half, values[later], half, STRETCHES)
    if parts is None:
        return math.nan
    moves = parts.means[:-2] - 2 * parts.means[1:-1] + parts.means[2:]
    luck = parts.errors[:-2] + 4 * parts.errors[1:-1] + parts.errors[2:]
    excess = float(((moves**2 - luck) / 6).mean())
    return math.copysign(math.sqrt(abs(excess)), excess)


def unexplained_fall(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> float:
    """Return the deepest fall of the mean return from one stretch of training to any later one, beyond luck.

        max over j < k of v_j - v_k, where v_j - v_k > c sqrt(e_j + e_k); 0 without such a pair

    Symbols as in `fluctuation`, over the whole training in twenty stretches of 5%; c is the quantile of Student's t
    that a normal number exceeds at 3.5 standard deviations, with Welch's degrees of freedom, as s_k is estimated from
    few episodes. The largest of many differences grows with the noise, so that falls which the luck of single episodes
    can explain do not count. One that does count is too deep by about that luck. In units of return: a policy that
    reached nothing has nothing to lose.

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
    total = parts.errors[:, None] + parts.errors[None, :]
    spread = parts.errors**2 / parts.freedom
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 without any noise, where every fall is real
        freedom = np.nan_to_num(total**2 / (spread[:, None] + spread[None, :]), nan=np.inf)
    critical = special.stdtrit(np.minimum(freedom, 1e6), special.ndtr(FALL_IN_ERRORS)) * np.sqrt(total)
    later = np.triu(np.ones_like(falls, dtype=bool), 1)
    beyond = falls[later & (falls > critical)]
    return float(beyond.max()) if beyond.size else 0.0


def _whole(timesteps: npt.ArrayLike, returns: npt.ArrayLike) -> _Stretches | None:
    ends, values = _episodes(timesteps, returns)
    return None if ends.size == 0 else _stretches(ends, values, float(ends[-1]), LONG_STRETCHES)


@dataclass(frozen=True, eq=False)
class _Stretches:
    """Mean return in consecutive parts of a training, its squared error, and the freedom of the error, all [K]."""

    means: FloatArray
    errors: FloatArray
    freedom: FloatArray


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
    means = np.bincount(index, weights=values, minlength=n_parts)[counts > 0] / counts[counts > 0]
    counts = counts[counts > 0]
    variances, freedom = _local_variances(values, counts)
    return _Stretches(means, variances / counts, freedom)


def _local_variances(values: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the variance of an episode in and around each stretch, and its degrees of freedom, both [K].

    Noise often grows with the return, so that the variance of the whole training would be that of neither its beginning
    nor its end. Second differences take the trend within a stretch away; of m of them, 0.51 m are independent.
    """
    squares = np.concatenate([[0.0], np.cumsum((values[:-2] - 2 * values[1:-1] + values[2:]) ** 2 / 6)])
    ends = np.cumsum(counts)
    middles, halves = ends - counts / 2 - 1, np.maximum(counts, NEIGHBOURS) / 2
    last = squares.size - 1
    low = np.clip(np.floor(middles - halves), 0, last - min(NEIGHBOURS, last)).astype(int)
    high = np.clip(np.ceil(middles + halves), low + min(NEIGHBOURS, last), last).astype(int)
    return (squares[high] - squares[low]) / (high - low), 0.51 * (high - low)
