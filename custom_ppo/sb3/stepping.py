"""Vector environments of SB3 with less overhead: the same results and the same attributes in a fraction of the time.

    step = stepper(model.env)                              # a function for one environment as it is now
    observations, rewards, dones, infos = step(actions)

    env = LeanVecEnv([make_env] * 4)                       # or a class, for every algorithm of SB3
    env = LeanVecNormalize(env)

SB3's DummyVecEnv copies the infos with `deepcopy`, which costs more than a step of CartPole. Here an info is copied
according to what it holds. Environments that are not known exactly are stepped by their own `step`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from custom_ppo.sb3.normalization import can_normalize, moments_of, normalized_step

__all__ = ["LeanVecEnv", "LeanVecNormalize", "stepper"]

Results = tuple[Any, NDArray[Any], NDArray[np.bool_], list[dict[str, Any]]]
StepFunction = Callable[[NDArray[Any]], Results]
"""(actions [N, ...]) -> observations [N, ...], rewards [N], dones [N] and one info per environment."""


def stepper(env: Any) -> StepFunction:
    """Return a function that does what `env.step` does, with less overhead where env is known exactly.

    Known are DummyVecEnv with observations that are one array, and VecNormalize around it, if neither they nor their
    classes were patched. Ask again after env was exchanged or patched.
    """
    if _is_lean(env):
        return lambda actions: _step(env, actions)
    if not (_is_untouched(env, VecNormalize, LeanVecNormalize) and can_normalize(env)):
        return env.step  # type: ignore[no-any-return]
    inner = env.venv
    if not _is_lean(inner):
        return env.step  # type: ignore[no-any-return]
    moments = moments_of(env)
    return lambda actions: normalized_step(env, moments, *_step(inner, actions))


class LeanVecEnv(DummyVecEnv):
    """DummyVecEnv with the same results in less time, for every algorithm of SB3.

    env_fns: functions that make one environment each.
    """

    def step_wait(self) -> Results:
        """Return the results of one step; Dict and Tuple observations are left to DummyVecEnv."""
        return _step(self, self.actions) if self.keys == [None] else super().step_wait()


class LeanVecNormalize(VecNormalize):
    """VecNormalize with the same results in less time, around any vector environment.

    The arguments are those of VecNormalize. What `save` writes is loaded by `LeanVecNormalize.load`.
    """

    def step_wait(self) -> Results:
        """Return the results of one step, normalised, and update the statistics."""
        if not can_normalize(self):
            return super().step_wait()
        return normalized_step(self, moments_of(self), *self.venv.step_wait())


_METHODS: dict[type, tuple[str, ...]] = {
    DummyVecEnv: ("step", "step_async", "step_wait", "_save_obs", "_obs_from_buf"),
    VecNormalize: (
        *("step", "step_async", "step_wait", "normalize_obs", "normalize_reward"),
        *("_normalize_obs", "_update_reward"),
    ),
}
"""Methods of SB3's classes that the functions of this module stand for."""

_ORIGINALS = {(cls, name): getattr(cls, name) for cls, names in _METHODS.items() for name in names}


def _is_untouched(env: Any, cls: type, lean_cls: type) -> bool:
    """Return True if env is of one of these very classes, and nobody has exchanged one of its methods."""
    names = _METHODS[cls]
    if type(env) not in (cls, lean_cls) or not vars(env).keys().isdisjoint(names):
        return False
    return all(getattr(cls, name) is _ORIGINALS[cls, name] for name in names)


def _is_lean(env: Any) -> bool:
    return _is_untouched(env, DummyVecEnv, LeanVecEnv) and bool(env.keys == [None])


def _step(env: Any, actions: NDArray[Any]) -> Results:
    """Step the environments of a DummyVecEnv whose observations are one array, and leave its buffers as it does."""
    env.actions = actions
    obs_buffer, rewards, dones, infos = env.buf_obs[None], env.buf_rews, env.buf_dones, env.buf_infos
    for i, member in enumerate(env.envs):
        observation, rewards[i], terminated, truncated, info = member.step(actions[i])
        infos[i] = info
        done = terminated or truncated
        dones[i] = done
        info["TimeLimit.truncated"] = truncated and not terminated
        if done:
            info["terminal_observation"] = observation
            # The infos are copied after all steps, as in SB3: an environment that reuses an array changes them too.
            observation, env.reset_infos[i] = member.reset()
        obs_buffer[i] = observation
    return obs_buffer.copy(), rewards.copy(), dones.copy(), _copies(infos)


_ATOMS = frozenset({bool, int, float, str, type(None), np.bool_, np.int32, np.int64, np.float32, np.float64})
"""Immutable types, which `deepcopy` need not copy."""


def _copies(infos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return deep copies of infos, which share what cannot be changed."""
    copies = []
    for info in infos:
        copied = _copy(info)
        if copied is None:
            # All at once: two infos may hold the same object, and must do so in the copies.
            return deepcopy(infos)
        copies.append(copied)
    return copies


def _copy(info: Any) -> dict[str, Any] | None:
    """Return a copy of an info of simple values, arrays of numbers and dicts of simple values; None for another one."""
    if type(info) is not dict:
        return None
    copied = info.copy()
    for key, value in info.items():
        kind = type(value)
        if kind in _ATOMS:
            continue
        if kind is np.ndarray and not value.dtype.hasobject:
            copied[key] = value.copy("K")  # in the memory's own order, as deepcopy does
        elif kind is dict and all(type(part) in _ATOMS for part in value.values()):
            copied[key] = value.copy()
        else:
            return None
    return copied
