"""Recursions over a rollout: building blocks of wrong estimates of advantages and returns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_ppo.recipe import Recipe

__all__ = ["Array", "Estimates", "around", "following", "monte_carlo", "normalised", "recursion", "summed"]

Array = NDArray[Any]
Estimates = tuple[Array, Array]
"""Advantages and returns, [T, N]."""


def following(values: Array, starts: Array, last_values: Array, dones: Array) -> tuple[Array, Array]:
    """Return V(s_{t+1}), and the mask that is 1 where s_{t+1} belongs to the same episode, each [T, N]."""
    mask = np.float32(1) - np.concatenate([starts[1:], dones[None]], dtype=np.float32)
    return np.concatenate([values[1:], last_values[None]]), mask


def summed(terms: Array, decay: Array, last: Any = 0) -> Array:
    """Return x_t = terms_t + decay_t * x_{t+1}, [T, N], with `last` in place of row T."""
    sums = np.empty_like(terms)
    for step in reversed(range(len(terms))):
        last = terms[step] + decay[step] * last
        sums[step] = last
    return sums


def monte_carlo(rewards: Array, values: Array, starts: Array, last_values: Array, dones: Array, gamma: float) -> Array:
    """Return r_t + gamma * r_{t+1} + ..., [T, N], with V of the state after the last step as its last term."""
    _, mask = following(values, starts, last_values, dones)
    return summed(rewards, gamma * mask, last_values)


def around(estimate: Callable[..., Estimates]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe that wraps its estimate of advantages: estimate(original, *arrays, **discounts)."""
    return lambda recipe: recipe.replace(advantages=partial(estimate, recipe.advantages))


def normalised(array: Array) -> Array:
    """Return (x - mean) / (std + 1e-8) over the rollout, with NumPy's biased standard deviation."""
    normalized: Array = (array - array.mean()) / (array.std() + 1e-8)
    return normalized


def _target(rewards: Array, next_values: Array, mask: Array, gamma: float) -> Array:
    """Return the correct target, r + gamma * V(s') * mask."""
    target: Array = rewards + gamma * next_values * mask
    return target


def _decay(mask: Array, gamma: float, gae_lambda: float) -> Array:
    """Return the correct decay, gamma * lambda * mask."""
    return gamma * gae_lambda * mask


def _by_recursion(
    rewards: Array,
    values: Array,
    starts: Array,
    last: Array,
    dones: Array,
    *,
    gamma: float,
    gae_lambda: float,
    target: Callable[..., Array] = _target,
    decay: Callable[..., Array] = _decay,
) -> Estimates:
    """Return A_t = target_t - V_t + decay_t * A_{t+1}, and A + V."""
    next_values, mask = following(values, starts, last, dones)
    advantages = summed(target(rewards, next_values, mask, gamma) - values, decay(mask, gamma, gae_lambda))
    return advantages, advantages + values


def recursion(**changed: Callable[..., Array]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe that replaces the target or the decay of GAE, or both.

    Two such changes can be combined: the second keeps what the first has replaced.
    """

    def recipe(given: Recipe) -> Recipe:
        known = given.advantages
        before = known.keywords if isinstance(known, partial) and known.func is _by_recursion else {}
        return given.replace(advantages=partial(_by_recursion, **{**before, **changed}))

    return recipe
