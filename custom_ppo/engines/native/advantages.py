"""`gae.gae` in compiled code, to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_ppo.engines.native.library import KernelsUnavailableError, load

__all__ = ["compiled_gae"]

Float32 = NDArray[np.float32]


def compiled_gae() -> Callable[..., tuple[Float32, Float32]] | None:
    """Return a function with the arguments and results of `gae.gae`, or None if there are no kernels.

    Unlike there, shapes are not checked, and gamma and gae_lambda must be Python's floats.
    """
    try:
        function = load().kernels.gae_advantages
    except KernelsUnavailableError:
        return None

    def estimates(
        rewards: Float32,
        values: Float32,
        episode_starts: Float32,
        last_values: Float32,
        dones: NDArray[np.bool_],
        *,
        gamma: float,
        gae_lambda: float,
    ) -> tuple[Float32, Float32]:
        advantages, returns = np.empty_like(rewards), np.empty_like(rewards)
        read: list[NDArray[Any]] = [
            *(np.ascontiguousarray(array, np.float32) for array in (rewards, values, episode_starts, last_values)),
            np.ascontiguousarray(dones, np.bool_),
        ]
        written = advantages.ctypes.data, returns.ctypes.data
        function(*rewards.shape, *(array.ctypes.data for array in read), gamma, gae_lambda, *written)
        return advantages, returns

    return estimates
