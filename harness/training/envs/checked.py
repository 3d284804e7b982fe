"""Wrapper directly around every environment: it names rewards and observations that are not finite, and counts steps.

Nothing else can name them for every algorithm: SB3's fail later, at a place that depends on the algorithm, with a page
of tensors. The results of the environment pass unchanged.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from math import isfinite
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

__all__ = ["CheckedEnv", "NotFiniteError", "checked_maker", "steps_made"]

_SHORT = 64
"""Length of an observation up to which Python's sum is faster than NumPy's functions."""

_ALIVE: weakref.WeakSet[CheckedEnv] = weakref.WeakSet()


class NotFiniteError(ArithmeticError):
    """An environment has returned a reward or an observation that is NaN or infinite."""


def steps_made() -> int:
    """Return the number of steps and resets that all checked environments of this process have made."""
    return sum(env.n_steps + env.n_resets for env in list(_ALIVE))


class CheckedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Environment whose steps are checked and counted.

    use: "training" or "evaluation", for messages.
    index: number of the environment among those that are stepped side by side, for messages.
    Raises NotFiniteError at the first reward or observation that is not finite.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], use: str, index: int) -> None:
        super().__init__(env)
        self.use = use
        self.index = index
        self.n_steps = 0
        self.n_resets = 0
        space = env.observation_space
        self._is_short = isinstance(space, spaces.Box) and len(space.shape) == 1 and space.shape[0] <= _SHORT
        self._has_floats = _has_floats(env.observation_space)
        _ALIVE.add(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes of a copy, or of an environment that was restored."""
        self.__dict__.update(state)
        _ALIVE.add(self)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Make one step."""
        result = self.env.step(action)
        self.n_steps += 1
        try:
            reward_is_finite = isfinite(result[1])
        except TypeError:  # an array, or nothing that is a number: others complain about that
            reward_is_finite = _is_finite(result[1])
        if not reward_is_finite:
            raise NotFiniteError(self._message("reward", result[1]))
        if self._has_floats:
            self._check(result[0], "observation")
        return result

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        result = self.env.reset(seed=seed, options=options)
        self.n_resets += 1
        if self._has_floats:
            self._check(result[0], "first observation of an episode")
        return result

    def _check(self, observation: Any, name: str) -> None:
        if self._is_short:
            try:
                # A fifth of the time of isfinite().all(). A finite sum proves that all numbers are finite.
                if isfinite(sum(observation.tolist())):
                    return
            except (AttributeError, TypeError):
                pass
        if not _is_finite(observation):
            raise NotFiniteError(self._message(name, observation))

    def _message(self, name: str, value: Any) -> str:
        shown = np.array2string(np.asarray(value), threshold=10) if not isinstance(value, dict | tuple) else value
        return (
            f"the {name} of environment {self.index} is not finite at its step {self.n_steps:,} "
            f"in {self.use}: the environment returned {shown}"
        )


def _has_floats(space: gymnasium.Space[Any]) -> bool:
    match space:
        case spaces.Box():
            return bool(np.issubdtype(space.dtype, np.floating))
        case spaces.Dict():
            return any(map(_has_floats, space.spaces.values()))
        case spaces.Tuple():
            return any(map(_has_floats, space.spaces))
    return False


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, tuple | list):
        return all(map(_is_finite, value))
    try:
        return bool(np.isfinite(value).all())
    except TypeError:  # text, None and other things that are no numbers
        return True


def checked_maker(make: Callable[..., gymnasium.Env[Any, Any]], use: str) -> Callable[..., gymnasium.Env[Any, Any]]:
    """Return a function like `make` whose environments are checked, and numbered in the order of making."""
    made = 0

    def make_checked(**kwargs: Any) -> gymnasium.Env[Any, Any]:
        nonlocal made
        made += 1
        return CheckedEnv(make(**kwargs), use, made - 1)

    return make_checked
