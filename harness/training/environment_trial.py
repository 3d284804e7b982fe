"""Try an environment out for a few steps: mistakes that would fail every run, and habits that make learning hard."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np

from harness.config.hyperparams import parse_kwargs
from harness.errors import did_you_mean
from harness.training.action_masks import METHOD, sampled_action
from harness.training.envs import check_environment
from harness.training.envs.vectorized import registered_id
from harness.training.findings import Finding

__all__ = ["N_STEPS", "try_environment"]

N_STEPS = 16
"""Steps of a trial; mistakes that occur later are those of single runs."""

_Step = tuple[Any, ...]


def try_environment(env_id: str, env_kwargs: object) -> list[Finding]:
    """Return what is wrong or unusual about an environment; raise UnknownNameError if it cannot be found.

    env_kwargs: unprocessed arguments of its constructor, as in a hyperparameter file.
    """
    check_environment(env_id)
    kwargs = parse_kwargs(env_kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            env = _make(env_id, kwargs)
        except Exception as error:
            return [_construction_problem(env_id, kwargs, error)]
        try:
            found = [Finding(message, env_id) for message in _interface_problems(env)]
            if not found:
                found = _played_problems(env_id, kwargs)
            notes = [*_action_notes(env.action_space)] if not found else []
        finally:
            env.close()
    return [*found, *(Finding(note, env_id, is_problem=False) for note in notes)]


def _make(env_id: str, kwargs: Mapping[str, Any]) -> Any:
    # Gymnasium's own checker raises in other words for some of the mistakes, and warns about the others.
    return gymnasium.make(registered_id(env_id), disable_env_checker=True, **kwargs)


def _construction_problem(env_id: str, kwargs: Mapping[str, Any], error: Exception) -> Finding:
    message = " ".join(str(error).split())
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", message)
    if isinstance(error, TypeError) and unexpected is not None and unexpected[1] in kwargs:
        return Finding(f"{env_id} has no argument {unexpected[1]}{_argument_hint(env_id, unexpected[1])}", env_id,
                       key="env_kwargs")  # fmt: skip
    cause = f"{type(error).__name__}: {message}"
    key = "env_kwargs" if any(name in message for name in kwargs) else None
    is_mistake = isinstance(error, TypeError) or key is not None
    return Finding(f"{env_id} cannot be built: {cause}", env_id, key=key, may_be_chance=not is_mistake)


def _argument_hint(env_id: str, name: str) -> str:
    """Return a suggestion for a misspelt argument of the constructor, if there is one."""
    import inspect

    entry_point = gymnasium.spec(registered_id(env_id)).entry_point
    try:
        found = (
            gymnasium.envs.registration.load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
        )
        return did_you_mean(name, inspect.signature(found).parameters) if callable(found) else ""
    except (ValueError, TypeError, ImportError, AttributeError):
        return ""


def _interface_problems(env: Any) -> Iterator[str]:
    """Yield the ways in which reset and step differ from Gymnasium's interface; wrappers are left out."""
    base = env.unwrapped
    try:
        answer = base.reset(seed=0)
    except TypeError as error:
        if "seed" not in str(error):
            raise
        yield "reset() takes no seed, as in old gym; Gymnasium's is reset(*, seed=None, options=None)"
        return
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
        yield "reset() must return (observation, info), where info is a dict; old gym returned the observation alone"
        return
    env.action_space.seed(0)
    step = base.step(_random_action(env))
    if not isinstance(step, tuple) or len(step) != 5:
        n_values = f"{len(step)} values" if isinstance(step, tuple) else "one value"
        old = ", as in old gym" if isinstance(step, tuple) and len(step) == 4 else ""
        yield f"step() returns {n_values}{old}; Gymnasium's returns observation, reward, terminated, truncated, info"


def _played_problems(env_id: str, kwargs: Mapping[str, Any]) -> list[Finding]:
    """Return problems and notes of playing random actions twice under one seed."""
    env = _make(env_id, kwargs)
    try:
        first = _play(env)
        problems = [*_bad_numbers(first)]
        notes = [] if problems else [*_outside(env.observation_space, first)]
    finally:
        env.close()
    again = _make(env_id, kwargs)
    try:
        second = _play(again)
    finally:
        again.close()
    if not problems and not _equal(first, second):
        notes.append("two episodes under one seed differ: its runs cannot be repeated exactly")
    return [Finding(problem, env_id) for problem in problems] + [
        Finding(note, env_id, is_problem=False) for note in notes
    ]


def _play(env: Any) -> list[_Step]:
    """Return observation, reward, terminated, truncated of the reset and of each step."""
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    steps: list[_Step] = [(observation, 0.0, False, False)]
    for _ in range(N_STEPS):
        observation, reward, terminated, truncated, _ = env.step(_random_action(env))
        steps.append((observation, reward, terminated, truncated))
        if terminated or truncated:
            observation, _ = env.reset()
            steps.append((observation, 0.0, False, False))
    return steps


def _random_action(env: Any) -> Any:
    """Return a random action, a valid one if the environment says which are."""
    masks = env.get_wrapper_attr(METHOD) if env.has_wrapper_attr(METHOD) else None
    return sampled_action(env.action_space, masks() if callable(masks) else None)


def _bad_numbers(steps: list[_Step]) -> Iterator[str]:
    for index, (observation, reward, *_) in enumerate(steps):
        when = f"in step {index}" if index else "at the reset"
        for array in _arrays(observation):
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                yield f"the observation {when} holds {_first_bad(array)}"
                return
        if not math.isfinite(float(reward)):
            yield f"the reward {when} is {float(reward)}"
            return


def _first_bad(array: Any) -> str:
    return f"{array[~np.isfinite(array)].flat[0]}"


def _arrays(observation: Any) -> list[Any]:
    parts = observation.values() if isinstance(observation, dict) else observation
    if isinstance(observation, dict | tuple):
        return [array for part in parts for array in _arrays(part)]
    return [np.asarray(observation)] if not isinstance(observation, str) else []


def _outside(space: Any, steps: list[_Step]) -> Iterator[str]:
    for observation, *_ in steps:
        if not space.contains(observation):
            arrays = _arrays(observation)
            shown = f" of shape {arrays[0].shape} and type {arrays[0].dtype}" if len(arrays) == 1 else ""
            yield f"an observation{shown} lies outside of its space {' '.join(str(space).split())[:100]}"
            return


def _equal(first: list[_Step], second: list[_Step]) -> bool:
    return len(first) == len(second) and all(
        one[1:] == other[1:]
        and len(_arrays(one[0])) == len(_arrays(other[0]))
        and all(np.array_equal(a, b) for a, b in zip(_arrays(one[0]), _arrays(other[0]), strict=True))
        for one, other in zip(first, second, strict=True)
    )


def _action_notes(space: Any) -> Iterator[str]:
    """Yield notes about bounds of actions: a Gaussian policy starts with actions around 0 and a deviation of 1."""
    if not isinstance(space, gymnasium.spaces.Box):
        return
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        yield "its actions have no bounds; a policy starts with actions around 0, so rescale them to [-1, 1]"
    elif not (np.allclose(space.low, -space.high) and 0.1 <= float(np.max(space.high)) <= 10):
        low, high = float(np.min(space.low)), float(np.max(space.high))
        yield f"its actions lie in [{low:g}, {high:g}]; a policy starts around 0 with deviation 1: rescale to [-1, 1]"
