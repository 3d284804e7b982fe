"""Environments in the middle of an episode as bytes, and back; an exact checkpoint needs them, and SB3 saves none.

Plain pickling is not enough: the __getstate__ of MuJoCo's and Box2D's environments, and of SB3's VecNormalize, leaves
state out, and the copy silently starts a new episode. Here all attributes are saved, and `check_resumable` verifies the
result before training.
"""

from __future__ import annotations

import copy
import copyreg
import inspect
import io
import os
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import NDArray
from stable_baselines3.common.monitor import ResultsWriter
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper

from custom_ppo.config import InvalidConfigError
from custom_ppo.sb3.randomness import preserved_randomness

__all__ = ["check_resumable", "dumps", "loads"]

_N_STEPS = 20
"""Number of steps that `check_resumable` makes before and after it saves a copy."""


def dumps(value: Any) -> bytes:
    """Return an object as bytes, with the whole state of its environments; raises any error of pickle."""
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def loads(data: bytes, *, reopen_logs: bool) -> Any:
    """Return the object that `dumps` was given.

    reopen_logs: True lets Monitor's episode logs go on in their files, which lose everything written after `dumps`;
        with False the files stay untouched, and these copies of the environments write no log.
    Runs code from data, as all pickles do: use trusted data only.
    Raises OSError if a log cannot be reopened, and any error of the classes of the objects in it.
    """
    return _Unpickler(io.BytesIO(data), reopen_logs).load()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def persistent_id(self, obj: Any) -> Any:
        """Return name and size of a log file instead of the open file, and None for every other object."""
        if not isinstance(obj, ResultsWriter):
            return None
        # Size on disk, so buffered rows must be there first.
        file = obj.file_handler
        file.flush()
        os.fsync(file.fileno())
        return file.name, os.fstat(file.fileno()).st_size, tuple(obj.logger.fieldnames)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, VecEnv | EzPickle):
            # It holds members of the class, some of which cannot be pickled; loading takes them from the class again.
            state = {name: value for name, value in vars(obj).items() if name != "class_attributes"}
            # With our own setter: the object's __setstate__ expects the incomplete state of its __getstate__.
            return copyreg.__newobj__, (type(obj),), state, None, None, _set_state  # type: ignore[attr-defined]
        if isinstance(obj, np.dtype) and obj is np.dtype(obj.str):
            # NumPy has one object for each plain type, and its own pickles make copies. Then files written after a
            # restoration would hold the same values in other bytes, as pickle writes an object once.
            return np.dtype, (obj.str,)
        return super().reducer_override(obj)


def _set_state(obj: Any, state: dict[str, Any]) -> None:
    vars(obj).update(state)
    if isinstance(obj, VecEnvWrapper):
        obj.class_attributes = dict(inspect.getmembers(type(obj)))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, reopen_logs: bool) -> None:
        super().__init__(file)
        self.reopen_logs = reopen_logs

    def persistent_load(self, pid: Any) -> ResultsWriter | None:
        """Return the log of a Monitor, or None, with which it writes no log."""
        if not self.reopen_logs:
            return None
        path, size, fields = pid
        if os.path.getsize(path) < size:
            raise OSError(f"{path} has lost rows since: expected {size} bytes, found {os.path.getsize(path)}")
        os.truncate(path, size)
        return ResultsWriter(path, extra_keys=fields[3:], override_existing=False)  # after r, l, t


def check_resumable(env: VecEnv) -> None:
    """Raise InvalidConfigError unless saved and restored environments continue exactly as the original ones.

    It is verified on copies, so that neither the environments nor the global generators move.
    """
    if isinstance(env.unwrapped, SubprocVecEnv):
        raise InvalidConfigError(
            "an exact checkpoint is not possible: SubprocVecEnv keeps its environments in other processes; "
            "use DummyVecEnv"
        )
    try:
        ours = loads(dumps(env), reopen_logs=False)
    except Exception as error:  # pickle raises PicklingError, TypeError, AttributeError, and what the objects raise
        reason = " ".join(str(error).split())
        raise InvalidConfigError(f"an exact checkpoint is not possible: {_unsavable_message(env)}{reason}") from error
    actions = _actions(env, 2 * _N_STEPS)
    with preserved_randomness():
        ours.seed(0)
        ours.reset()
        _play(ours, actions[:_N_STEPS])  # into an episode, whose state is what incomplete copies lose
        restored = loads(dumps(ours), reopen_logs=False)
    with preserved_randomness():
        expected = _play(ours, actions[_N_STEPS:])
    with preserved_randomness():
        found = _play(restored, actions[_N_STEPS:])
    try:
        np.testing.assert_equal(found, expected)
    except AssertionError as error:
        raise InvalidConfigError(
            f"an exact checkpoint is not possible: environments of {type(env.unwrapped).__name__} go on differently "
            "after they were saved and restored; is there state outside of their attributes, or a clock?"
        ) from error


def _actions(env: VecEnv, n_steps: int) -> Sequence[NDArray[Any]]:
    space = copy.deepcopy(env.action_space)  # as sampling moves its generator
    space.seed(0)
    return [np.stack([space.sample() for _ in range(env.num_envs)]) for _ in range(n_steps)]


def _play(env: VecEnv, actions: Sequence[NDArray[Any]]) -> list[tuple[Any, ...]]:
    """Return observations, rewards and dones of some steps; infos are left out, as they may hold wall-clock times."""
    return [env.step(action)[:3] for action in actions]


def _unsavable_message(env: VecEnv) -> str:
    """Return the beginning of a message that names the attributes that cannot be saved, or ""."""
    base = env.unwrapped
    for i, member in enumerate(base.envs if isinstance(base, DummyVecEnv) else ()):
        names = list(_unsavable_attributes(member))
        if names:
            return f"environment {i} cannot be saved because of {', '.join(names)}: "
    return ""


def _unsavable_attributes(env: gym.Env[Any, Any]) -> Iterator[str]:
    for name, value in vars(env).items():
        if name == "env":
            continue  # the wrapped one comes next
        try:
            dumps(value)
        except Exception:
            yield f"{type(env).__name__}.{name}"
    if isinstance(env, gym.Wrapper):
        yield from _unsavable_attributes(env.env)
