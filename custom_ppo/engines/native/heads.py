"""Distributions over actions inside the compiled kernels, and the random numbers that each of them draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces

from custom_ppo.networks import ActorCritic

if TYPE_CHECKING:
    from custom_ppo.engines.native.learner import Learner

__all__ = ["NativeHead", "native_head", "reason_against_head"]


@dataclass(frozen=True)
class NativeHead:
    """Distribution over actions, as the actor uses it."""

    action_shape: tuple[int, ...]
    """Shape of one sampled action; () for Discrete."""
    action_dtype: type[np.generic]
    """Type of sampled actions in the kernels."""
    make_noise: Callable[[int], tuple[Callable[[], Any], Callable[[], int]]]
    """N -> a function that draws the random numbers for N states from torch's global generator, and one that returns the
    address where they are."""


def reason_against_head(policy: ActorCritic) -> str | None:
    """Return the reason why the kernels have no counterpart of a policy's distribution, or None if they have one."""
    if not isinstance(policy.action_space, (spaces.Discrete, spaces.Box)) or policy.sde is not None:
        return f"no kernel samples from {type(policy.action_space).__name__}"
    return None


def native_head(learner: Learner, policy: ActorCritic) -> NativeHead:
    """Add the distribution of a policy to its learner, and return what the actor needs of it."""
    space = policy.action_space
    if isinstance(space, spaces.Discrete):
        learner.kernels.learner_add_categorical(learner.handle, int(space.n))
        return NativeHead((), np.int64, lambda n: _tensor_noise(torch.empty(n, int(space.n)), "exponential_"))
    n_components = policy.action_net.out_features
    log_std = policy.log_std
    learner.kernels.learner_add_gaussian(learner.handle, n_components, log_std.data_ptr(), learner.gradient_of(log_std))
    return NativeHead((n_components,), np.float32, lambda n: _tensor_noise(torch.empty(n, n_components), "normal_"))


def _tensor_noise(noise: torch.Tensor, method: str) -> tuple[Callable[[], Any], Callable[[], int]]:
    """Return a function that fills a tensor by one of its methods, and one that returns its address."""
    address = noise.data_ptr()
    return getattr(noise, method), lambda: address
