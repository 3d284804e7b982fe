"""VecNormalize's arithmetic in C (engines/native/kernels/vec_normalize.c), to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import Structure, addressof, c_double, c_int64, c_void_p
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from custom_ppo.engines.native.library import KernelsUnavailableError, load

__all__ = ["Moments", "compiled_moments"]

Array = NDArray[Any]
Moments = Callable[[Any, Array, Array], tuple[Array, Array]]
"""(VecNormalize, observations, rewards) -> both normalised; the statistics are updated while training."""

# Keyed by the environment and not one of its attributes: pointers can neither be saved nor copied with it.
_made: WeakKeyDictionary[VecNormalize, _CompiledMoments] = WeakKeyDictionary()


def compiled_moments(env: VecNormalize) -> Moments | None:
    """Return the compiled arithmetic of env, or None if there are no kernels or it needs other types than float32."""
    found = _made.get(env)
    if found is None or not found.fits(env):
        if not _is_supported(env):
            return None
        try:
            function = load().kernels.vec_normalize_step
        except KernelsUnavailableError:
            return None
        found = _made[env] = _CompiledMoments(env, function)
    return found


def _is_supported(env: VecNormalize) -> bool:
    if not isinstance(env.venv, DummyVecEnv) or env.venv.keys != [None]:
        return False
    inner: Any = env.venv
    buffer = inner.buf_obs[None]
    # NumPy sums a single column in another order than several.
    return bool(buffer.dtype == inner.buf_rews.dtype == np.float32 and buffer[0].size > 1)


class _Step(Structure):
    """Fields of VecNormalizeStep, in the order of vec_normalize.c."""

    _fields_ = (
        *((name, c_int64) for name in ("n", "d", "training", "norm_obs", "norm_reward")),
        *((name, c_double) for name in ("epsilon", "clip_obs", "clip_reward", "gamma")),
        *((name, c_void_p) for name in ("obs", "rewards", "obs_mean", "obs_var")),
        ("obs_count", c_double),
        ("returns", c_void_p),
        *((name, c_double) for name in ("return_mean", "return_var", "return_count")),
        *((name, c_void_p) for name in ("normalized_obs", "normalized_rewards", "scratch")),
    )


_ARRAYS = [field[0] for field in _Step._fields_ if field[1] is c_void_p]


class _CompiledMoments:
    """Arrays that the kernel works on, for the environments of one VecNormalize.

    Everything is copied into them and out of them: SB3's statistics are new arrays after every step, and users may hold
    or exchange them.
    """

    def __init__(self, env: VecNormalize, function: Callable[[int], None]) -> None:
        self.venv = env.venv
        self.function = function
        shape = env.venv.buf_obs[None].shape  # type: ignore[attr-defined]
        n = shape[0]
        self.obs, self.normalized_obs = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self.rewards, self.normalized_rewards = np.empty(n, np.float32), np.empty(n, np.float32)
        self.obs_mean, self.obs_var = np.empty(shape[1:]), np.empty(shape[1:])
        self.returns, self.scratch = np.empty(n), np.empty(n)
        self.step = _Step(n=n, d=self.obs_mean.size)
        for name in _ARRAYS:
            setattr(self.step, name, getattr(self, name).ctypes.data)
        self.address = addressof(self.step)
        self.settings: tuple[Any, ...] = ()

    def fits(self, env: VecNormalize) -> bool:
        """Return True if env still wraps the same environments."""
        return env.venv is self.venv

    def __call__(self, env: Any, observations: Array, rewards: Array) -> tuple[Array, Array]:
        """Update the statistics of env while training, and return observations and rewards normalised by them."""
        step, n = self.step, len(rewards)
        training, norm_obs, norm_reward = env.training, env.norm_obs, env.norm_reward
        settings = training, norm_obs, norm_reward, env.epsilon, env.clip_obs, env.clip_reward, env.gamma
        if settings != self.settings:
            self._set(settings)
        self.rewards[:] = rewards
        self.returns[:] = env.returns
        returns = env.ret_rms
        step.return_mean, step.return_var, step.return_count = returns.mean, returns.var, returns.count
        if norm_obs:
            statistics = env.obs_rms
            self.obs[:] = observations
            self.obs_mean[:], self.obs_var[:], step.obs_count = statistics.mean, statistics.var, statistics.count
        self.function(self.address)
        if training:
            env.returns = self.returns.copy()
            returns.mean, returns.var = np.float64(step.return_mean), np.float64(step.return_var)
            returns.count = n + returns.count
            if norm_obs:
                statistics.mean, statistics.var = self.obs_mean.copy(), self.obs_var.copy()
                statistics.count = n + statistics.count
        new_rewards = self.normalized_rewards.copy() if norm_reward else rewards.astype(np.float32)
        return self.normalized_obs.copy() if norm_obs else observations.copy(), new_rewards

    def _set(self, settings: tuple[Any, ...]) -> None:
        names = "training", "norm_obs", "norm_reward", "epsilon", "clip_obs", "clip_reward", "gamma"
        for name, value in zip(names, settings, strict=True):
            setattr(self.step, name, int(value) if isinstance(value, bool) else value)
        self.settings = settings
