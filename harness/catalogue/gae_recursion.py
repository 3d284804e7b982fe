"""Mistakes in the recursion of GAE: estimates of advantages that replace SB3's."""

from __future__ import annotations

import numpy as np

from harness.catalogue.deviation import Deviation
from harness.catalogue.estimates import (
    Array,
    Estimates,
    following,
    monte_carlo,
    recursion,
    summed,
)
from harness.catalogue.mistake import Mistake, checked_only
from harness.catalogue.patching import WALK, huang, with_parts

__all__ = ["GAE_RECURSION"]


def _monte_carlo_advantages(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    returns = monte_carlo(rewards, values, starts, last, dones, gamma)
    return returns - values, returns


def _in_float64(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    rewards, values, last = (array.astype(np.float64) for array in (rewards, values, last))
    next_values, mask = following(values, starts, last, dones)
    advantages = summed(rewards + gamma * next_values * mask - values, gamma * gae_lambda * mask)
    return advantages.astype(np.float32), (advantages + values).astype(np.float32)


def _value_not_subtracted(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    next_values, mask = following(values, starts, last, dones)
    advantages = summed(rewards + gamma * next_values * mask, gamma * gae_lambda * mask)
    return advantages, advantages + values


def _forwards(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    next_values, mask = following(values, starts, last, dones)
    deltas = rewards + gamma * next_values * mask - values
    advantages = summed(deltas[::-1], gamma * gae_lambda * mask[::-1])[::-1]
    return advantages, advantages + values


# These come before `advantages.ADVANTAGES`, which wrap an estimate to change its arguments or its results.
GAE_RECURSION: tuple[Mistake, ...] = (
    Deviation(
        id="gae_done_mask_missing_in_delta",
        description="The TD error includes V(s') across the end of an episode; the recursion is masked",
        stage="advantage",
        source="EdanToledo/Stoix#142",
        remedy="Multiply V(s') by 1 - done",
        shows="an episode that ends",
        recipe=recursion(target=lambda rewards, next_values, mask, gamma: rewards + gamma * next_values),
        hints={
            "advantages": "delta is not masked: V of the next episode's first state counts as the future of this one"
        },
    ),
    Deviation(
        id="gae_done_mask_missing_in_recursion",
        description="The recursion runs across the end of an episode; the TD error is masked",
        stage="advantage",
        source="walkinglabs/hands-on-modern-rl#63",
        remedy="Multiply the recursion by 1 - done",
        shows="an episode that ends within a rollout",
        recipe=recursion(decay=lambda mask, gamma, gae_lambda: np.full_like(mask, gamma * gae_lambda)),
        hints={
            "advantages": (
                "the recursion is not masked: advantages flow back across the end of an episode (delta is right)"
            )
        },
    ),
    Deviation(
        id="gae_gamma_missing_in_delta",
        description="The TD error is r + V(s') - V(s), without gamma",
        stage="advantage",
        source="AI4Finance-Foundation/ElegantRL#183",
        remedy="Multiply V(s') by gamma",
        recipe=recursion(target=lambda rewards, next_values, mask, gamma: rewards + next_values * mask),
        hints={"advantages": "gamma is missing in delta: r + V(next) - V"},
    ),
    Deviation(
        id="gae_gamma_missing_in_recursion",
        description="The recursion decays by lambda instead of gamma * lambda",
        stage="advantage",
        source=WALK,
        remedy="Multiply the recursion by gamma * lambda",
        recipe=recursion(decay=lambda mask, gamma, gae_lambda: gae_lambda * mask),
        hints={"advantages": "gamma is missing in the recursion: lambda alone"},
    ),
    Deviation(
        id="gae_lambda_missing_in_recursion",
        description="The recursion decays by gamma instead of gamma * lambda",
        stage="advantage",
        source=WALK,
        remedy="Multiply the recursion by gamma * lambda",
        shows="gae_lambda below 1",
        recipe=recursion(decay=lambda mask, gamma, gae_lambda: gamma * mask),
        hints={"advantages": "lambda is missing in the recursion, as if it were 1: discounted returns minus values"},
    ),
    Deviation(
        id="advantages_are_returns_minus_values",
        description="No GAE: returns are discounted sums of rewards, advantages are returns minus values",
        stage="advantage",
        source=huang("core detail 5"),
        remedy="Estimate advantages by GAE",
        recipe=with_parts(advantages=_monte_carlo_advantages),
    ),
    Deviation(
        id="advantages_are_td_errors",
        description="No GAE: advantages are TD errors of one step",
        stage="advantage",
        source=huang("core detail 5"),
        remedy="Estimate advantages by GAE",
        shows="gae_lambda above 0",
        recipe=recursion(decay=lambda mask, gamma, gae_lambda: 0 * mask),
        hints={
            "advantages": "the recursion is missing, as if lambda were 0: the error of one step, r + gamma V(next) - V"
        },
    ),
    Deviation(
        id="gae_in_float64",
        description="Advantages are estimated in float64 and then rounded to float32; differs by rounding only",
        stage="advantage",
        source="thu-ml/tianshou#65",
        remedy="Estimate advantages in float32, or accept the rounding",
        recipe=with_parts(advantages=_in_float64),
    ),
    checked_only(
        "gae_value_missing_in_delta",
        "advantages",
        "V(s) is not subtracted in delta",
        recipe=with_parts(advantages=_value_not_subtracted),
    ),
    checked_only(
        "gae_forwards",
        "advantages",
        "the recursion runs forwards in time",
        recipe=with_parts(advantages=_forwards),
    ),
)
