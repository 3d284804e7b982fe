"""Distributions over actions inside the compiled kernels, and the random numbers that each of them draws."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces

from custom_ppo.distributions import StateDependentNoise
from custom_ppo.engines.native.library import load
from custom_ppo.networks import ActorCritic

if TYPE_CHECKING:
    from custom_ppo.engines.native.learner import Learner

__all__ = ["NativeHead", "native_head", "reason_against_head"]

Noise = tuple[Callable[[], Any], Callable[[], int]]
"""Function that draws random numbers, and function that returns the address where they are."""


@dataclass(frozen=True)
class NativeHead:
    """Distribution over actions, as the actor uses it."""

    action_shape: tuple[int, ...]
    """Shape of one sampled action; () for Discrete."""
    action_dtype: type[np.generic]
    """Type of sampled actions in the kernels."""
    make_noise: Callable[[int], Noise]
    """N -> a function that draws the random numbers for N states from torch's global generator, and one that returns
    their address. The noise of gSDE is drawn by `policy.reset_noise` instead."""


def reason_against_head(policy: ActorCritic) -> str | None:
    """Return the reason why the kernels have no counterpart of a policy's distribution, or None if they have one."""
    space, sde = policy.action_space, policy.sde
    known = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)
    if not isinstance(space, known):
        return f"no kernel samples from {type(space).__name__}"
    if sde is not None and type(sde) is not StateDependentNoise:
        return f"exploration noise is {type(sde).__name__}"
    needed = _needed_functions(policy)
    if not load().has(*needed):
        return f"this build of torch lacks one of {', '.join(needed)}"
    return None


def _needed_functions(policy: ActorCritic) -> tuple[str, ...]:
    """Return the names of torch's functions that the kernels of a distribution call, of those that may be missing."""
    if policy.sde is not None:
        return "cblas_sgemm_batch", "Sleef_log1pf8_u10"
    if isinstance(policy.action_space, spaces.MultiBinary):
        return "Sleef_expf8_u10", "Sleef_log1pf8_u10"
    return () if isinstance(policy.action_space, spaces.Box) else ("Sleef_expf8_u10",)


def native_head(learner: Learner, policy: ActorCritic) -> NativeHead:
    """Add the distribution of a policy to its learner, and return what the actor needs of it."""
    kernels, handle, space = learner.kernels, learner.handle, policy.action_space
    if isinstance(space, spaces.Discrete):
        n_choices = int(space.n)
        kernels.learner_add_categorical(handle, n_choices)
        return NativeHead((), np.int64, lambda n: _tensor_noise([(n, n_choices)], "exponential_"))
    if isinstance(space, spaces.MultiDiscrete):
        nvec = [int(choices) for choices in space.nvec]
        kernels.learner_add_multi_categorical(handle, len(nvec), (ctypes.c_int32 * len(nvec))(*nvec))
        # One draw for each component, as torch.multinomial is called for each.
        return NativeHead((len(nvec),), np.int64, lambda n: _tensor_noise([(n, k) for k in nvec], "exponential_"))
    size = policy.action_net.out_features
    if isinstance(space, spaces.MultiBinary):
        kernels.learner_add_bernoulli(handle, size)
        return NativeHead((size,), np.float32, lambda n: _tensor_noise([(n, size)], "uniform_"))
    log_std = policy.log_std.data_ptr(), learner.gradient_of(policy.log_std)
    sde = policy.sde
    if sde is not None:
        kernels.learner_add_state_dependent(handle, size, *log_std, sde.full_std, sde.use_expln, sde.squash_output)
        return NativeHead((size,), np.float32, lambda n: _matrix_noise(sde, n))
    kernels.learner_add_gaussian(handle, size, *log_std)
    return NativeHead((size,), np.float32, lambda n: _tensor_noise([(n, size)], "normal_"))


def _tensor_noise(shapes: Sequence[tuple[int, int]], method: str) -> Noise:
    """Return the noise of tensors that lie one after the other, each filled by one call of this method of a tensor."""
    sizes = [rows * columns for rows, columns in shapes]
    numbers = torch.empty(sum(sizes), dtype=torch.float32)
    parts = [part.view(shape) for part, shape in zip(torch.split(numbers, sizes), shapes, strict=True)]
    fills = [getattr(part, method) for part in parts]
    address = numbers.data_ptr()

    def draw() -> None:
        for fill in fills:
            fill()

    return (fills[0] if len(fills) == 1 else draw), lambda: address


class _Matrices(ctypes.Structure):
    """`Matrices` of kernels/state_dependent.c: gSDE's noise matrices."""

    _fields_ = [("weights", ctypes.c_void_p), ("shared", ctypes.c_int32)]


def _matrix_noise(sde: StateDependentNoise, n: int) -> Noise:
    """Return the noise of gSDE for n states, which `draw` leaves as it is."""
    matrices = _Matrices()
    address = ctypes.addressof(matrices)

    def draw() -> None:
        """Do nothing: the matrices are kept for many steps."""

    def current() -> int:
        # Looked up at every step, as `reset_noise` makes new tensors; as in StateDependentNoise.noise.
        matrices.shared = n == 1 or n != len(sde._matrices)
        matrices.weights = (sde._shared_matrix if matrices.shared else sde._matrices).data_ptr()
        return address

    return draw, current
