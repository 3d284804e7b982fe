"""Vector environments of SB3 with less overhead: the same results and the same attributes in a fraction of the time.

    step = stepper(model.env)                              # a function for one environment as it is now
    observations, rewards, dones, infos = step(actions)

    env = LeanVecEnv([make_env] * 4)                       # or a class, for every algorithm of SB3
    env = LeanVecNormalize(env)

SB3's DummyVecEnv copies the infos with `deepcopy`, which costs more than a step of CartPole. Here an info is copied
according to what it holds. Environments that are not known exactly are stepped by their own `step`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize, VecTransposeImage
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from custom_ppo.sb3.image_stepping import stacking_step, transposing_step
from custom_ppo.sb3.normalization import can_normalize, moments_of, normalized_step

__all__ = ["LeanVecEnv", "LeanVecNormalize", "stepper"]

Results = tuple[Any, NDArray[Any], NDArray[np.bool_], list[dict[str, Any]]]
StepFunction = Callable[[NDArray[Any]], Results]
"""(actions [N, ...]) -> observations [N, ...], rewards [N], dones [N] and one info per environment."""


def stepper(env: Any) -> StepFunction:
    """Return a function that does what `env.step` does, with less overhead where env is known exactly.

    Known are DummyVecEnv with observations that are one array or a dict of arrays, and around it VecNormalize or, with
    one array, any stack of VecFrameStack and VecTransposeImage, if neither they nor their classes were patched. Ask
    again after env was exchanged or patched.
    """
    if _is_lean(env):
        return lambda actions: _step(env, actions)
    for_images = _image_stepper(env)
    if for_images is not None:
        return for_images
    if not (_is_untouched(env, VecNormalize, LeanVecNormalize) and can_normalize(env)):
        return env.step  # type: ignore[no-any-return]
    inner = env.venv
    if not _is_lean(inner):
        return env.step  # type: ignore[no-any-return]
    moments = moments_of(env)
    return lambda actions: normalized_step(env, moments, *_step(inner, actions))


def _image_stepper(env: Any) -> StepFunction | None:
    """Return the function for a VecFrameStack or VecTransposeImage around known environments, or None.

    Observations must be one array: those of a Dict are stacked and transposed by SB3.
    """
    stacks = _is_untouched(env, VecFrameStack) and _is_untouched(env.stacked_obs, StackedObservations)
    if not stacks and not _is_untouched(env, VecTransposeImage):
        return None
    inner = env.venv
    step = stepper(inner)
    if step == inner.step or not isinstance(env.observation_space, spaces.Box):  # not known
        return None
    return stacking_step(env.stacked_obs, step) if stacks else transposing_step(env, step)


class LeanVecEnv(DummyVecEnv):
    """DummyVecEnv with the same results in less time, for every algorithm of SB3.

    env_fns: functions that make one environment each.
    """

    def step_wait(self) -> Results:
        """Return the results of one step; Tuple observations are left to DummyVecEnv."""
        return _step(self, self.actions) if _has_known_space(self) else super().step_wait()


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
    VecFrameStack: ("step", "step_async", "step_wait"),
    StackedObservations: ("update",),
    VecTransposeImage: ("step", "step_async", "step_wait", "transpose_observations", "transpose_image"),
}
"""Methods of SB3's classes that the functions of this module stand for."""

_ORIGINALS = {(cls, name): getattr(cls, name) for cls, names in _METHODS.items() for name in names}


def _is_untouched(env: Any, cls: type, lean_cls: type | None = None) -> bool:
    """Return True if env is of one of these very classes, and nobody has exchanged one of its methods."""
    names = _METHODS[cls]
    if type(env) not in (cls, lean_cls) or not vars(env).keys().isdisjoint(names):
        return False
    return all(getattr(cls, name) is _ORIGINALS[cls, name] for name in names)


def _is_lean(env: Any) -> bool:
    return _is_untouched(env, DummyVecEnv, LeanVecEnv) and _has_known_space(env)


def _has_known_space(env: DummyVecEnv) -> bool:
    return env.keys == [None] or isinstance(env.observation_space, spaces.Dict)


def _step(env: Any, actions: NDArray[Any]) -> Results:
    """Step the environments of a DummyVecEnv, and leave its buffers as it does.

    Its observations are one array or a dict of arrays.
    """
    env.actions = actions
    buffers, rewards, dones, infos = env.buf_obs, env.buf_rews, env.buf_dones, env.buf_infos
    obs_buffer = buffers.get(None)
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
        if obs_buffer is not None:
            obs_buffer[i] = observation
        else:
            for key, buffer in buffers.items():
                buffer[i] = observation[key]
    return _observations(buffers), rewards.copy(), dones.copy(), _copies(infos)


def _observations(buffers: OrderedDict[Any, NDArray[Any]]) -> Any:
    """Return copies of the buffers as DummyVecEnv returns them: one array, or the dict's own class."""
    if None in buffers:
        return buffers[None].copy()
    return OrderedDict([(key, buffer.copy()) for key, buffer in buffers.items()])


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
    """Return a copy of an info of simple values, arrays of numbers and dicts of these; None for another one."""
    if type(info) is not dict:
        return None
    copied = info.copy()
    for key, value in info.items():
        kind = type(value)
        if kind in _ATOMS:
            continue
        if kind is np.ndarray and not value.dtype.hasobject:
            copied[key] = value.copy("K")  # in the memory's own order, as deepcopy does
            continue
        nested = _copy_of_dict(value) if kind is dict else None
        if nested is None:
            return None
        copied[key] = nested
    return copied


def _copy_of_dict(values: dict[Any, Any]) -> dict[Any, Any] | None:
    """Return a copy of a dict of simple values and arrays of numbers, such as an observation; None for another one."""
    copied, arrays = values.copy(), set()
    for key, value in values.items():
        if type(value) in _ATOMS:
            continue
        # One array under two keys is one array in a deep copy, too.
        if type(value) is not np.ndarray or value.dtype.hasobject or id(value) in arrays:
            return None
        arrays.add(id(value))
        copied[key] = value.copy("K")
    return copied
