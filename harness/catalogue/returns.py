"""Mistakes in the returns, the targets of the critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from custom_ppo.gae import gae
from custom_ppo.recipe import Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.estimates import Array, Estimates, around, following, monte_carlo, normalised
from harness.catalogue.mistake import Mistake, checked_only
from harness.catalogue.patching import WALK, huang

__all__ = ["RETURNS"]


def _returns(of: Callable[..., Array]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe: returns are of(advantages, rewards, values, starts, last_values, dones, gamma)."""

    def estimate(original: Any, rewards: Array, values: Array, *rest: Array, gamma: float, gae_lambda: float) -> Any:
        advantages, _ = original(rewards, values, *rest, gamma=gamma, gae_lambda=gae_lambda)
        return advantages, of(advantages, rewards, values, *rest, gamma)

    return around(estimate)


def _one_step_target(
    _: Array, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, gamma: float
) -> Array:
    next_values, mask = following(values, starts, last, dones)
    target: Array = rewards + gamma * next_values * mask
    return target


def _normalized_returns(original: Any, *arrays: Array, **discounts: float) -> Estimates:
    advantages, returns = original(*arrays, **discounts)
    return advantages, normalised(returns)


def _sums_without_last_value(
    _: Array, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, gamma: float
) -> Array:
    return monte_carlo(rewards, values, starts, np.zeros_like(last), dones, gamma)


def _with_next_values(
    advantages: Array, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, gamma: float
) -> Array:
    next_values, _ = following(values, starts, last, dones)
    return np.asarray(advantages + next_values)


RETURNS: tuple[Mistake, ...] = (
    Deviation(
        id="returns_monte_carlo",
        description="The critic's targets are discounted sums of rewards instead of advantages plus values",
        stage="return",
        source=huang("core detail 5"),
        remedy="Train the critic on advantages + values: TD(lambda)",
        shows="gae_lambda below 1",
        recipe=_returns(lambda _, *arrays: monte_carlo(*arrays)),
        hints={"advantages": "returns are Monte-Carlo (lambda 1) where they should be TD(lambda): advantages + V"},
    ),
    Deviation(
        id="returns_of_one_step",
        description="The critic's targets are r + gamma * V(s') instead of advantages plus values",
        stage="return",
        source="DLR-RM/stable-baselines3#375",
        remedy="Train the critic on advantages + values: TD(lambda)",
        shows="gae_lambda above 0",
        recipe=_returns(_one_step_target),
        hints={
            "advantages": (
                "returns are one-step targets, r + gamma V(next), where they should be TD(lambda): advantages + V"
            )
        },
    ),
    Deviation(
        id="returns_without_values",
        description="The critic's targets are the advantages: values are not added",
        stage="return",
        source="marlbenchmark/on-policy#12",
        remedy="Train the critic on advantages + values",
        recipe=_returns(lambda advantages, *_: advantages.copy()),
        hints={"advantages": "returns lack + V: they are the advantages"},
    ),
    Deviation(
        id="returns_normalised",
        description="The critic's targets are returns standardised over the rollout",
        stage="return",
        source="luchris429/model-free-opponent-shaping#1",
        remedy="Train the critic on returns that are not standardised",
        recipe=around(_normalized_returns),
        hints={"advantages": "the returned returns are standardised over the rollout"},
    ),
    Deviation(
        id="returns_of_normalised_advantages",
        description="The critic's targets are values plus advantages that were normalised over the rollout",
        stage="return",
        source=WALK,
        remedy="Form the returns from advantages that are not normalised",
        recipe=_returns(lambda advantages, rewards, values, *_: normalised(advantages) + values),
        hints={"advantages": "returns are V plus normalised advantages, although the returned advantages are right"},
    ),
    checked_only(
        "returns_minus_values",
        "advantages",
        "returns have - V where + V belongs",
        recipe=_returns(lambda advantages, rewards, values, *_: advantages - values),
    ),
    checked_only(
        "returns_without_last_value",
        "advantages",
        "returns are discounted sums of rewards without the last value",
        recipe=_returns(_sums_without_last_value),
    ),
    checked_only(
        "returns_of_next_values",
        "advantages",
        "returns use the next state's value: advantages + V(next)",
        recipe=_returns(_with_next_values),
    ),
    checked_only(
        "advantages_and_returns_swapped",
        "advantages",
        "advantages and returns are in the wrong order",
        formula=lambda *arrays, **discounts: gae(*arrays, **discounts)[::-1],
        why="an order of results, which only the function itself has",
    ),
)
