"""Generalised advantage estimation: how much better an action was than the critic expected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["gae"]

Float32 = NDArray[np.float32]


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
    n_steps, n_envs = _check_shapes(rewards, values, episode_starts, last_values, dones)
    next_values = np.concatenate([values[1:], last_values[None]])  # [T, N]
    next_non_terminal = np.float32(1) - np.concatenate([episode_starts[1:], dones[None]], dtype=np.float32)  # [T, N]

    # Everything but the recursion is elementwise, so it is computed for all steps at once. The order of the factors is
    # that of SB3's loop: float32 products are not associative, and every bit is compared.
    # gamma and lambda are Python floats: their product is made in float64 and rounded once, as in SB3, and, unlike
    # NumPy's float64, they leave float32 arrays float32.
    delta = rewards + gamma * next_values * next_non_terminal - values
    decay = gamma * gae_lambda * next_non_terminal
    advantages = np.empty((n_steps, n_envs), dtype=np.float32)
    advantage: Float32 = np.zeros(n_envs, dtype=np.float32)
    for step in reversed(range(n_steps)):
        advantage = delta[step] + decay[step] * advantage
        advantages[step] = advantage
    # The critic's target is TD(lambda), not the sum of rewards: SB3 uses the same A_t for both networks.
    return advantages, advantages + values


def _check_shapes(
    rewards: Float32, values: Float32, episode_starts: Float32, last_values: Float32, dones: NDArray[np.bool_]
) -> tuple[int, int]:
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
    return rewards.shape[0], rewards.shape[1]
