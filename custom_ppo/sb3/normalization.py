"""One step of SB3's VecNormalize to the same bits: in C if the kernels are compiled, else with fewer arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from custom_ppo.sb3.compiled_normalization import Moments, compiled_moments, copied

__all__ = ["can_normalize", "clip", "moments_of", "normalized_step"]

Float64 = NDArray[np.float64]

# The ufunc behind `numpy.clip`, whose own Python code takes longer than clipping an observation.
clip: Any = getattr(np._core.umath, "clip", np.clip)  # type: ignore[attr-defined]

_METHODS = ("update", "update_from_moments")
_ORIGINALS = {name: getattr(RunningMeanStd, name) for name in _METHODS}


def can_normalize(env: VecNormalize) -> bool:
    """Return True if `normalized_step` has the bits of this VecNormalize.

    Observations are one array of floats or bytes, or a dict of arrays of any numbers.
    """
    numbers = env.epsilon, env.clip_obs, env.clip_reward, env.gamma
    if not all(isinstance(number, int | float) for number in numbers) or not _is_untouched(env.ret_rms):
        return False
    if isinstance(env.observation_space, spaces.Dict):
        return not env.norm_obs or _has_statistics_of_keys(env)
    dtype = env.observation_space.dtype
    known = dtype == np.float32 or dtype == np.float64 or dtype == np.uint8
    return known and (not env.norm_obs or _is_untouched(env.obs_rms))


def _has_statistics_of_keys(env: VecNormalize) -> bool:
    """Return True if every key that is normalised has its own statistics, and no other key has any."""
    statistics: Any = env.obs_rms
    return (
        type(statistics) is dict and [*statistics] == env.norm_obs_keys and all(map(_is_untouched, statistics.values()))
    )


def _is_untouched(statistics: Any) -> bool:
    if type(statistics) is not RunningMeanStd or not vars(statistics).keys().isdisjoint(_METHODS):
        return False
    return all(getattr(RunningMeanStd, name) is original for name, original in _ORIGINALS.items())


def moments_of(env: VecNormalize) -> Moments:
    """Return the fastest arithmetic for env, which must be one that `can_normalize` accepts."""
    return compiled_moments(env) or _moments


def normalized_step(
    env: Any,
    moments: Moments,
    observations: Any,
    rewards: NDArray[Any],
    dones: NDArray[np.bool_],
    infos: list[dict[str, Any]],
) -> tuple[Any, NDArray[Any], NDArray[np.bool_], list[dict[str, Any]]]:
    """Return the results of a step, normalised, and update the statistics of env, as VecNormalize.step_wait does.

    moments: the arithmetic, from `moments_of(env)`.
    observations, rewards, dones, infos: [N, ...], [N], [N] and N, as the wrapped environments returned them.
    """
    env.old_obs, env.old_reward = observations, rewards
    observations, rewards = moments(env, observations, rewards)
    if True in dones.tolist():
        _end_episodes(env, dones, infos)
    return observations, rewards, dones, infos


def _end_episodes(env: VecNormalize, dones: NDArray[np.bool_], infos: list[dict[str, Any]]) -> None:
    """Normalise the last observations of episodes, and forget the returns of these environments."""
    for index in np.flatnonzero(dones):
        info = infos[index]
        if "terminal_observation" in info:
            info["terminal_observation"] = env.normalize_obs(info["terminal_observation"])
    env.returns[dones] = 0


def _moments(env: Any, observations: Any, rewards: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """Update the statistics of env while training, and return observations and rewards normalised by them."""
    observations = _normalize_observations(env, observations)
    if env.training:
        env.returns = env.returns * env.gamma + rewards
        _update_scalar(env.ret_rms, env.returns)
    if env.norm_reward:
        scale = np.sqrt(env.ret_rms.var + env.epsilon)
        rewards = clip(rewards / scale, -env.clip_reward, env.clip_reward)
    return observations, rewards.astype(np.float32)


def _normalize_observations(env: Any, observations: Any) -> Any:
    """Update the statistics of env while training, and return observations normalised by them."""
    if not env.norm_obs:
        return copied(observations)
    if not isinstance(observations, dict):
        if env.training:
            _update(env.obs_rms, observations)
        return _normalized(observations, env.obs_rms, env.epsilon, env.clip_obs)
    results = copied(observations)
    for key, statistics in env.obs_rms.items():
        if env.training:
            _update(statistics, observations[key])
        results[key] = _normalized(observations[key], statistics, env.epsilon, env.clip_obs)
    return results


def _normalized(observations: NDArray[Any], statistics: RunningMeanStd, epsilon: float, limit: float) -> Any:
    """Return (observations - mean) / sqrt(var + epsilon), clipped to [-limit, limit], as float32."""
    scale = statistics.var + epsilon
    np.sqrt(scale, scale)
    centred = np.subtract(observations, statistics.mean)
    np.divide(centred, scale, centred)
    return clip(centred, -limit, limit).astype(np.float32)


def _update(statistics: RunningMeanStd, batch: NDArray[Any]) -> None:
    """Take a batch [N, ...] into running statistics of shape [...], as RunningMeanStd.update does.

    Mean and variance of the batch are numpy's, in the precision of the batch; the rest is computed in float64.
    """
    if batch.dtype not in (np.float32, np.float64):  # such as an image's bytes, which NumPy sums in another type
        statistics.update(batch)
        return
    n = len(batch)
    if n == 1:
        batch_mean = batch[0]
        batch_m2 = batch_mean - batch_mean  # zero, or NaN where a number is not finite
    else:
        batch_mean = np.add.reduce(batch, 0)
        np.divide(batch_mean, n, batch_mean)
        deviation = np.subtract(batch, batch_mean)
        np.multiply(deviation, deviation, deviation)
        batch_m2 = np.add.reduce(deviation, 0)
        np.divide(batch_m2, n, batch_m2)
        np.multiply(batch_m2, n, batch_m2)  # divided and multiplied again, as in SB3: other last bits than neither

    count = statistics.count
    total = count + n
    delta = np.subtract(batch_mean, statistics.mean)
    mean = np.multiply(delta, n)
    np.divide(mean, total, mean)
    np.add(mean, statistics.mean, mean)
    np.multiply(delta, delta, delta)
    np.multiply(delta, count, delta)
    np.multiply(delta, n, delta)
    np.divide(delta, total, delta)
    var = np.multiply(statistics.var, count)
    np.add(var, batch_m2, var)
    np.add(var, delta, var)
    np.divide(var, total, var)
    # New arrays, as in SB3: whoever holds the old ones keeps the old statistics.
    statistics.mean, statistics.var, statistics.count = mean, var, total


def _update_scalar(statistics: RunningMeanStd, batch: Float64) -> None:
    """Take a batch [N] of float64 into running statistics of one number.

    Python's floats round as numpy's float64 do, in less time.
    """
    n = len(batch)
    batch_mean = float(np.add.reduce(batch)) / n
    deviation = np.subtract(batch, batch_mean)
    np.multiply(deviation, deviation, deviation)
    batch_m2 = float(np.add.reduce(deviation)) / n * n
    count, mean, var = statistics.count, float(statistics.mean), float(statistics.var)
    total = count + n
    delta = batch_mean - mean
    statistics.mean = np.float64(mean + delta * n / total)  # type: ignore[assignment]
    statistics.var = np.float64((var * count + batch_m2 + delta * delta * count * n / total) / total)  # type: ignore[assignment]
    statistics.count = total
