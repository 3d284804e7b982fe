"""Action masks: environments that say which actions are valid, and algorithms that choose among these alone.

sb3_contrib's convention: a method `action_masks()` of the environment returns a boolean for each action, and `predict`
of the algorithm, as that of MaskablePPO, has an argument `action_masks`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from harness.training.algorithms import import_target

__all__ = ["METHOD", "evaluate_policy_for", "has_masks", "mask_argument", "needs_masks", "sampled_action"]

METHOD = "action_masks"
"""Method of an environment that returns the masks, and argument of `predict` that takes them."""


def needs_masks(algorithm: type[Any]) -> bool:
    """Return True for MaskablePPO and other classes that train with action masks unless `learn` is told otherwise."""
    return _has_argument(algorithm, "learn", "use_masking")


@cache
def _takes_masks(algorithm: Any) -> bool:
    return _has_argument(algorithm, "predict", METHOD)


def _model_takes_masks(model: Any) -> bool:
    kind: Any = type(model)
    return _takes_masks(kind)


def _has_argument(algorithm: type[Any], method: str, argument: str) -> bool:
    try:
        return argument in inspect.signature(getattr(algorithm, method)).parameters
    except (ValueError, TypeError, AttributeError):  # a method that tells nothing
        return False


def has_masks(env: VecEnv) -> bool:
    """Return True if the members of a vector environment have action masks."""
    return env.has_attr(METHOD)


def mask_argument(model: Any, env: VecEnv) -> dict[str, Any]:
    """Return the argument of `predict` with the masks [N, D] of the members now; nothing without masks."""
    is_masked = _model_takes_masks(model) and has_masks(env)
    return {METHOD: np.stack(env.env_method(METHOD))} if is_masked else {}


def evaluate_policy_for(model: Any, env: VecEnv) -> Callable[..., Any]:
    """Return SB3's `evaluate_policy`, or sb3_contrib's if the model takes action masks and the environment has them."""
    if not (_model_takes_masks(model) and has_masks(env)):
        return evaluate_policy
    masked: Callable[..., Any] = import_target("sb3_contrib.common.maskable.evaluation:evaluate_policy")
    return masked


def sampled_action(space: spaces.Space[Any], mask: Any = None) -> Any:
    """Return a random action of a space.

    mask: a boolean for each value of each number of the action, one after the other; None if all are valid.
    """
    if mask is None:
        return space.sample()
    valid = np.asarray(mask, dtype=np.int8)
    match space:
        case spaces.Discrete():
            return space.sample(mask=valid)
        case spaces.MultiDiscrete():
            return space.sample(mask=tuple(np.split(valid, np.cumsum(space.nvec)[:-1])))
        case spaces.MultiBinary():
            pairs = valid.reshape(-1, 2)
            # Gymnasium's code: 0 and 1 stand for themselves, 2 for either of them.
            return space.sample(mask=np.where(pairs.all(axis=1), 2, pairs[:, 1]).astype(np.int8))
    return space.sample()
