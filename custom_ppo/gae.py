"""Generalised advantage estimation: how much better an action was than the critic expected."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["gae"]

Float32 = NDArray[np.float32]
Float = NDArray[np.floating[Any]]
"""float32, or float64 if gamma and lambda are numbers of NumPy."""


def gae(
    rewards: Float32,
    values: Float32,
    episode_starts: Float32,
    last_values: Float32,
    dones: NDArray[np.bool_],
    *,
    gamma: float,
    gae_lambda: float,
) -> tuple[Float32, Float32]:
    """Return generalised advantage estimates and TD(lambda) returns, each float32 [T, N].

        delta_t  = r_t + gamma * V(s_{t+1}) * (1 - start_{t+1}) - V(s_t)
        A_t      = delta_t + gamma * lambda * (1 - start_{t+1}) * A_{t+1}
        return_t = A_t + V(s_t)

    rewards, values: float32 [T, N], r_t and V(s_t) as the critic predicted it while acting.
    episode_starts: float32 or bool [T, N], 1 where s_t is the first state of an episode; row 0 is never read.
    last_values, dones: [N], the value and the done flag of the state after the last step; they stand for row T.
    A time limit is no termination: its bootstrap gamma * V(s_terminal) must be in the rewards already (`rollout.py`).

    Raises ValueError when shapes disagree.  Schulman et al. 2016, arXiv 1506.02438, eq. 16.
    """
    _check_shapes(rewards, values, episode_starts, last_values, dones)
    next_values = np.concatenate([values[1:], last_values[None]])  # [T, N]
    next_non_terminal = np.float32(1) - np.concatenate([episode_starts[1:], dones[None]], dtype=np.float32)  # [T, N]

    # Everything but the recursion is elementwise, so it is computed for all steps at once. The order of the factors is
    # that of SB3's loop: float32 products are not associative, and every bit is compared.
    # gamma and lambda are Python floats: their product is made in float64 and rounded once, as in SB3, and, unlike
    # NumPy's float64, they leave float32 arrays float32.
    delta = rewards + gamma * next_values * next_non_terminal - values
    decay = gamma * gae_lambda * next_non_terminal
    advantages = _decayed_sums(delta, decay).astype(np.float32, copy=False)
    # The critic's target is TD(lambda), not the sum of rewards: SB3 uses the same A_t for both networks.
    return advantages, advantages + values


_FEW_ENVS = 3
"""Number of environments up to which a loop over numbers takes less time than one over rows."""


def _decayed_sums(delta: Float, decay: Float) -> Float:
    """Return A_t = delta_t + decay_t * A_{t+1} with A_T = 0, all [T, N]: the only part of `gae` that needs a loop."""
    sums = np.empty_like(delta)
    if delta.shape[1] <= _FEW_ENVS:
        for env in range(delta.shape[1]):
            # Numbers of NumPy, as those of Python would round to float64. A scalar costs a tenth of an array operation.
            total, totals = delta.dtype.type(0), []
            for step_delta, step_decay in zip(delta[::-1, env], decay[::-1, env], strict=True):
                total = step_delta + step_decay * total
                totals.append(total)
            sums[::-1, env] = totals
        return sums
    later = np.zeros_like(delta[0])
    for row, step_delta, step_decay in zip(sums[::-1], delta[::-1], decay[::-1], strict=True):
        np.multiply(step_decay, later, row)
        np.add(step_delta, row, row)
        later = row
    return sums


def _check_shapes(
    rewards: Float32, values: Float32, episode_starts: Float32, last_values: Float32, dones: NDArray[np.bool_]
) -> None:
    if rewards.ndim != 2:
        raise ValueError(f"rewards must have shape [n_steps, n_envs], got {rewards.shape}")
    for name, array, shape in (
        ("values", values, rewards.shape),
        ("episode_starts", episode_starts, rewards.shape),
        ("last_values", last_values, rewards.shape[1:]),
        ("dones", dones, rewards.shape[1:]),
    ):
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape} to match rewards {rewards.shape}, got {array.shape}")
