"""Which function plays which part in PPO. Variants are recipes with one part replaced, not flags in the agent.

PPO = act, remember, estimate advantages, and for every minibatch: normalise, judge, stop?, descend
A2C = SB3_PPO.replace(policy_objective=log_prob_surrogate, optimizer=rmsprop) with one epoch over one batch
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from custom_ppo import gae as gae_module
from custom_ppo import losses

__all__ = ["SB3_A2C", "SB3_PPO", "Recipe"]


def bootstrapped_reward(reward: float, terminal_value: Tensor, gamma: float) -> Any:
    """r + gamma * V(s_terminal): the reward remembered for a step at which a time limit cut the episode.

    The episode would have gone on, so the rest of its return is estimated instead of being counted as zero
    (Pardo et al. 2018, arXiv 1712.00378). terminal_value: float32 [1].
    """
    return reward + gamma * terminal_value


def clipped_to_bounds(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
    """What the environment gets: Gaussian samples know no bounds, so Box actions are clipped to them.

    The memory keeps the unclipped action: its log-probability is that of the sample, not of the bound.
    """
    return np.clip(actions, space.low, space.high) if isinstance(space, spaces.Box) else actions


def rescaled_to_bounds(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
    """What the environment gets from a squashed policy, whose actions lie in (-1, 1): the same share of its range."""
    assert isinstance(space, spaces.Box)
    rescaled: NDArray[Any] = space.low + (0.5 * (actions + 1.0) * (space.high - space.low))
    return rescaled


def shuffled(n: int) -> NDArray[np.int64]:
    """A random order of n transitions, drawn anew for every epoch.

    From NumPy's global generator and not one of our own: it is the one that SB3 draws from, and sharing its stream
    is what makes the minibatches equal.
    """
    return np.random.permutation(n)  # noqa: NPY002


def exceeds_target(approx_kl: NDArray[np.float32], target_kl: float) -> bool:
    """Whether an update shall end before this minibatch is learnt from: approx_kl > 1.5 * target_kl.

    approx_kl stays a float32 array of no dimensions, as in SB3, so that the comparison is made in float32.
    """
    return bool(approx_kl > 1.5 * target_kl)


def clip_global_norm(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scale all gradients by one factor so that their joint norm is at most max_norm."""
    nn.utils.clip_grad_norm_(parameters, max_norm)


def adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Adam with eps = 1e-5, as in OpenAI's baselines and SB3; PyTorch's own default is 1e-8."""
    return torch.optim.Adam(parameters, lr=lr, eps=1e-5)


def rmsprop(parameters: Iterable[nn.Parameter], lr: float, eps: float = 1e-5) -> torch.optim.Optimizer:
    """RMSprop as SB3's A2C sets it: alpha 0.99, eps 1e-5, no weight decay."""
    return torch.optim.RMSprop(parameters, lr=lr, alpha=0.99, eps=eps, weight_decay=0)


@dataclass(frozen=True)
class Recipe:
    """The parts of a policy-gradient algorithm; the defaults are SB3's PPO."""

    name: str = "ppo"

    # act
    env_action: Callable[[NDArray[Any], spaces.Space[Any]], NDArray[Any]] = clipped_to_bounds
    # remember
    timeout_reward: Callable[[float, Tensor, float], Any] = bootstrapped_reward
    advantages: Callable[..., tuple[NDArray[np.float32], NDArray[np.float32]]] = gae_module.gae
    # update
    minibatch_order: Callable[[int], NDArray[np.int64]] = shuffled
    normalize_advantages: Callable[[Tensor], Tensor] = losses.normalize_advantages
    policy_objective: Callable[[Tensor, Tensor, Tensor, float], Tensor] = losses.clipped_surrogate
    policy_loss: Callable[[Tensor], Tensor] = losses.policy_loss
    value_loss: Callable[[Tensor, Tensor], Tensor] = losses.value_loss
    entropy_loss: Callable[[Tensor | None, Tensor], Tensor] = losses.entropy_loss
    stop_early: Callable[[NDArray[np.float32], float], bool] = exceeds_target
    clip_gradients: Callable[[Iterable[nn.Parameter], float], None] = clip_global_norm
    optimizer: Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer] = adam

    def replace(self, **parts: Any) -> Recipe:
        """The same recipe with some parts exchanged; raises TypeError for a part that does not exist."""
        return dataclasses.replace(self, **parts)

    def differs_in(self, other: Recipe) -> tuple[str, ...]:
        """Names of the parts in which two recipes differ, `name` left out."""
        parts = (field.name for field in dataclasses.fields(self) if field.name != "name")
        return tuple(part for part in parts if getattr(self, part) is not getattr(other, part))


SB3_PPO = Recipe()
SB3_A2C = SB3_PPO.replace(name="a2c", policy_objective=losses.log_prob_surrogate, optimizer=rmsprop)
