"""VecNormalize's arithmetic in C (engines/native/kernels/vec_normalize.c), to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from ctypes import Structure, addressof, c_double, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from custom_ppo.engines.native.library import KernelsUnavailableError, load

__all__ = ["Moments", "compiled_moments", "copied"]

Array = NDArray[Any]
Moments = Callable[[Any, Any, Array], tuple[Any, Array]]
"""(VecNormalize, observations, rewards) -> both normalised; the statistics are updated while training."""

# Keyed by the environment and not one of its attributes: pointers can neither be saved nor copied with it.
_made: WeakKeyDictionary[VecNormalize, _CompiledMoments] = WeakKeyDictionary()


def compiled_moments(env: VecNormalize) -> Moments | None:
    """Return the compiled arithmetic of env, or None if there are no kernels or they do not know its types."""
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
    inner: Any = env.venv
    if not isinstance(inner, DummyVecEnv) or inner.buf_rews.dtype != np.float32:
        return False
    if inner.keys != [None] and not isinstance(inner.observation_space, spaces.Dict):
        return False
    keys = _normalized_keys(env)
    buffers = [inner.buf_obs[key] for key in keys]
    if keys == [None] and buffers[0].dtype in _TYPES and buffers[0][0].size > 1:
        return True
    return all(buffer.dtype == np.float32 and buffer[0].size > 0 for buffer in buffers)


_TYPES: dict[np.dtype[Any], type] = {
    np.dtype(np.float32): np.float32,
    np.dtype(np.float64): np.float64,
    np.dtype(np.uint8): np.float64,
}
"""Type of observations -> type in which NumPy computes their mean and variance."""


def _normalized_keys(env: VecNormalize) -> list[Any]:
    """Return the keys of the observations that have statistics; [None] if observations are one array."""
    inner: Any = env.venv
    return [None] if inner.keys == [None] else list(env.norm_obs_keys or ())


def copied(observations: Any) -> Any:
    """Return a copy of an array, or of a dict with copies of its arrays."""
    if not isinstance(observations, dict):
        return observations.copy()
    copies = copy(observations)
    for key, array in observations.items():
        copies[key] = array.copy()
    return copies


class _Step(Structure):
    """Fields of VecNormalizeStep, in the order of vec_normalize.c."""

    _fields_ = (
        *((name, c_int64) for name in ("n", "d", "training", "norm_obs", "norm_reward", "doubles")),
        *((name, c_double) for name in ("epsilon", "clip_obs", "clip_reward", "gamma")),
        *((name, c_void_p) for name in ("obs", "rewards", "alone", "obs_mean", "obs_var", "obs_count", "returns")),
        *((name, c_double) for name in ("return_mean", "return_var", "return_count")),
        *((name, c_void_p) for name in ("normalized_obs", "normalized_rewards", "scratch")),
    )


_ARRAYS = [field[0] for field in _Step._fields_ if field[1] is c_void_p]


@dataclass(frozen=True)
class _Part:
    """Views of the columns of the kernel's arrays that belong to one key of the observations."""

    key: Any
    """None if observations are one array."""
    obs: Array
    normalized_obs: Array
    mean: Array
    var: Array
    count: Array


class _CompiledMoments:
    """Arrays that the kernel works on, for the environments of one VecNormalize.

    Everything is copied into them and out of them: SB3's statistics are new arrays after every step, and users may hold
    or exchange them. The keys of a Dict are columns of one array.
    """

    def __init__(self, env: VecNormalize, function: Callable[[int], None]) -> None:
        inner: Any = env.venv
        self.venv = inner
        self.function = function
        self.keys = _normalized_keys(env)
        shapes = [inner.buf_obs[key].shape[1:] for key in self.keys]
        sizes = np.array([np.prod(shape, dtype=np.int64) for shape in shapes], np.int64)
        n, d = inner.num_envs, int(sizes.sum())
        # Only a single array may have another type than float32.
        dtype = _TYPES[inner.buf_obs[None].dtype] if self.keys == [None] else np.float32
        self.obs, self.normalized_obs = np.empty((n, d), dtype), np.empty((n, d), np.float32)
        self.rewards, self.normalized_rewards = np.empty(n, np.float32), np.empty(n, np.float32)
        self.obs_mean, self.obs_var, self.obs_count = np.empty(d), np.empty(d), np.empty(d)
        # NumPy sums a single column in another order than several.
        self.alone = np.repeat(sizes == 1, sizes)
        self.returns, self.scratch = np.empty(n), np.empty(n)
        self.parts = [
            self._part(key, shape, end - size, end)
            for key, shape, size, end in zip(self.keys, shapes, sizes.tolist(), np.cumsum(sizes).tolist(), strict=True)
        ]
        self.step = _Step(n=n, d=d, doubles=dtype is np.float64)
        for name in _ARRAYS:
            setattr(self.step, name, getattr(self, name).ctypes.data)
        self.address = addressof(self.step)
        self.settings: tuple[Any, ...] = ()

    def _part(self, key: Any, shape: tuple[int, ...], start: int, end: int) -> _Part:
        n = len(self.obs)
        return _Part(
            key,
            self.obs[:, start:end].reshape(n, *shape),
            self.normalized_obs[:, start:end].reshape(n, *shape),
            self.obs_mean[start:end].reshape(shape),
            self.obs_var[start:end].reshape(shape),
            self.obs_count[start:end],
        )

    def fits(self, env: VecNormalize) -> bool:
        """Return True if env still wraps the same environments, and normalises the same keys."""
        return env.venv is self.venv and self.keys == _normalized_keys(env)

    def __call__(self, env: Any, observations: Any, rewards: Array) -> tuple[Any, Array]:
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
            self._take(env, observations)
        self.function(self.address)
        if training:
            env.returns = self.returns.copy()
            returns.mean, returns.var = np.float64(step.return_mean), np.float64(step.return_var)
            returns.count = n + returns.count
            if norm_obs:
                self._give_statistics(env, n)
        new_rewards = self.normalized_rewards.copy() if norm_reward else rewards.astype(np.float32)
        return self._results(observations) if norm_obs else copied(observations), new_rewards

    def _take(self, env: Any, observations: Any) -> None:
        """Copy observations and statistics to where the kernel reads them."""
        for part in self.parts:
            key = part.key
            part.obs[:] = observations if key is None else observations[key]
            statistics = env.obs_rms if key is None else env.obs_rms[key]
            part.mean[...], part.var[...], part.count[:] = statistics.mean, statistics.var, statistics.count

    def _give_statistics(self, env: Any, n: int) -> None:
        """Give env the statistics with a batch of n."""
        for part in self.parts:
            statistics = env.obs_rms if part.key is None else env.obs_rms[part.key]
            statistics.mean, statistics.var = part.mean.copy(), part.var.copy()
            statistics.count = n + statistics.count

    def _results(self, observations: Any) -> Any:
        """Return what the kernel normalised, with copies of the other keys."""
        if self.keys == [None]:
            return self.parts[0].normalized_obs.copy()
        results = copied(observations)
        for part in self.parts:
            results[part.key] = part.normalized_obs.copy()
        return results

    def _set(self, settings: tuple[Any, ...]) -> None:
        names = "training", "norm_obs", "norm_reward", "epsilon", "clip_obs", "clip_reward", "gamma"
        for name, value in zip(names, settings, strict=True):
            setattr(self.step, name, int(value) if isinstance(value, bool) else value)
        self.settings = settings
