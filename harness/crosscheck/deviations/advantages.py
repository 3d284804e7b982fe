"""Between rollout and update: advantages and what the critic is to learn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_ppo.recipe import Recipe
from harness.crosscheck.deviations.deviation import Deviation
from harness.crosscheck.deviations.surgery import WALK, huang, settings

__all__ = ["ADVANTAGES"]

Array = NDArray[Any]
Estimates = tuple[Array, Array]
"""Advantages and returns, [T, N]."""


def _of(estimate: Callable[..., Estimates]) -> Callable[[Recipe], Recipe]:
    """Recipe: the estimates are these."""
    return lambda recipe: recipe.replace(advantages=estimate)


def _around(estimate: Callable[..., Estimates]) -> Callable[[Recipe], Recipe]:
    """Recipe: estimate(original, ...) with the recipe's own estimates as its first argument."""
    return lambda recipe: recipe.replace(advantages=partial(estimate, recipe.advantages))


def _following(values: Array, starts: Array, last_values: Array, dones: Array) -> tuple[Array, Array]:
    """V(s_{t+1}) and whether s_{t+1} belongs to the same episode, [T, N]."""
    mask = np.float32(1) - np.concatenate([starts[1:], dones[None]], dtype=np.float32)
    return np.concatenate([values[1:], last_values[None]]), mask


def _summed(terms: Array, decay: Array, last: Any = 0) -> Array:
    """x_t = terms_t + decay_t * x_{t+1}, with `last` in the place of row T."""
    sums = np.empty_like(terms)
    for step in reversed(range(len(terms))):
        last = terms[step] + decay[step] * last
        sums[step] = last
    return sums


def _monte_carlo(rewards: Array, values: Array, starts: Array, last_values: Array, dones: Array, gamma: float) -> Array:
    """r_t + gamma * r_{t+1} + ..., with V after the last step, [T, N]."""
    _, mask = _following(values, starts, last_values, dones)
    return _summed(rewards, gamma * mask, last_values)


def _no_delta_mask(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    following, mask = _following(values, starts, last, dones)
    advantages = _summed(rewards + gamma * following - values, gamma * gae_lambda * mask)
    return advantages, advantages + values


def _no_recursion_mask(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    following, mask = _following(values, starts, last, dones)
    decay = np.full_like(mask, gamma * gae_lambda)
    advantages = _summed(rewards + gamma * following * mask - values, decay)
    return advantages, advantages + values


def _no_gamma_in_delta(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    following, mask = _following(values, starts, last, dones)
    advantages = _summed(rewards + following * mask - values, gamma * gae_lambda * mask)
    return advantages, advantages + values


def _no_gamma_in_recursion(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    following, mask = _following(values, starts, last, dones)
    advantages = _summed(rewards + gamma * following * mask - values, gae_lambda * mask)
    return advantages, advantages + values


def _no_lambda_in_recursion(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    following, mask = _following(values, starts, last, dones)
    advantages = _summed(rewards + gamma * following * mask - values, gamma * mask)
    return advantages, advantages + values


def _no_mask(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    found: Estimates = original(rewards, values, np.zeros_like(starts), last, np.zeros_like(dones), **discounts)
    return found


def _starts_not_shifted(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    # The mask of row t is read from row t; only the last one has no row after it, and takes the dones.
    earlier = np.concatenate([starts[:1], starts[:-1]])
    found: Estimates = original(rewards, values, earlier, last, dones, **discounts)
    return found


def _last_is_zero(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    found: Estimates = original(rewards, values, starts, np.zeros_like(last), dones, **discounts)
    return found


def _last_is_stored(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    found: Estimates = original(rewards, values, starts, values[-1], dones, **discounts)
    return found


def _last_dones_ignored(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    found: Estimates = original(rewards, values, starts, last, np.zeros_like(dones), **discounts)
    return found


def _last_is_end(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    found: Estimates = original(rewards, values, starts, last, np.ones_like(dones), **discounts)
    return found


def _across_environments(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    flat = [array.reshape(-1, 1) for array in (rewards, values, starts)]
    advantages, returns = original(*flat, last[-1:], dones[-1:], **discounts)
    return advantages.reshape(rewards.shape), returns.reshape(rewards.shape)


def _in_float64(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    rewards, values, last = (array.astype(np.float64) for array in (rewards, values, last))
    following, mask = _following(values, starts, last, dones)
    advantages = _summed(rewards + gamma * following * mask - values, gamma * gae_lambda * mask)
    return advantages.astype(np.float32), (advantages + values).astype(np.float32)


def _rewards_normalized(original: Any, rewards: Array, *rest: Array, **discounts: float) -> Estimates:
    found: Estimates = original((rewards - rewards.mean()) / (rewards.std() + 1e-7), *rest, **discounts)
    return found


def _monte_carlo_advantages(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    returns = _monte_carlo(rewards, values, starts, last, dones, gamma)
    return returns - values, returns


def _td_advantages(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> Estimates:
    following, mask = _following(values, starts, last, dones)
    advantages = rewards + gamma * following * mask - values
    return advantages, advantages + values


def _returns(of: Callable[..., Array]) -> Callable[[Recipe], Recipe]:
    """Recipe: the returns are of(advantages, rewards, values, starts, last_values, dones, gamma)."""

    def estimate(original: Any, rewards: Array, values: Array, *rest: Array, gamma: float, gae_lambda: float) -> Any:
        advantages, _ = original(rewards, values, *rest, gamma=gamma, gae_lambda=gae_lambda)
        return advantages, of(advantages, rewards, values, *rest, gamma)

    return _around(estimate)


def _one_step_target(
    _: Array, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, gamma: float
) -> Array:
    following, mask = _following(values, starts, last, dones)
    target: Array = rewards + gamma * following * mask
    return target


def _normalized(array: Array) -> Array:
    normalized: Array = (array - array.mean()) / (array.std() + 1e-8)
    return normalized


def _normalized_first(original: Any, rewards: Array, values: Array, *rest: Array, **discounts: float) -> Estimates:
    advantages, _ = original(rewards, values, *rest, **discounts)
    advantages = _normalized(advantages)
    return advantages, advantages + values


def _normalized_returns(original: Any, *arrays: Array, **discounts: float) -> Estimates:
    advantages, returns = original(*arrays, **discounts)
    return advantages, _normalized(returns)


ADVANTAGES: tuple[Deviation, ...] = (
    Deviation(
        id="gae_done_mask_missing",
        description="Advantages and values flow over the ends of episodes as if there were none",
        stage="advantage",
        source="vietnh1009/Super-mario-bros-PPO-pytorch#21",
        remedy="Multiply V(s') and the recursion by 1 - done",
        shows="an episode that ends",
        recipe=_around(_no_mask),
    ),
    Deviation(
        id="gae_done_mask_missing_in_delta",
        description="The TD error takes V(s') even where an episode has ended; the recursion stops there",
        stage="advantage",
        source="EdanToledo/Stoix#142",
        remedy="Multiply V(s') by 1 - done",
        shows="an episode that ends",
        recipe=_of(_no_delta_mask),
    ),
    Deviation(
        id="gae_done_mask_missing_in_recursion",
        description="The recursion goes on where an episode has ended; the TD error stops there",
        stage="advantage",
        source="walkinglabs/hands-on-modern-rl#63",
        remedy="Multiply the recursion by 1 - done",
        shows="an episode that ends within a rollout",
        recipe=_of(_no_recursion_mask),
    ),
    Deviation(
        id="gae_masked_by_own_start",
        description="The mask of a step is whether it is the first of its episode, not whether the next one is",
        stage="advantage",
        source="DLR-RM/stable-baselines3#105",
        remedy="Read the mask of step t from episode_starts[t + 1], and that of the last from dones",
        shows="an episode that ends",
        recipe=_around(_starts_not_shifted),
    ),
    Deviation(
        id="last_values_zero",
        description="Nothing follows the last step of a rollout: its next value is 0",
        stage="advantage",
        source="bmazoure/ppo_jax#2",
        remedy="Bootstrap the rollout with V of the observation after its last step",
        shows="an episode that goes on after a rollout",
        recipe=_around(_last_is_zero),
    ),
    Deviation(
        id="last_values_are_stored_ones",
        description="A rollout is bootstrapped with V of its last observation, not of the one after it",
        stage="advantage",
        source="vwxyzjn/cleanrl#16",
        remedy="Bootstrap the rollout with V of the observation after its last step",
        shows="an episode that goes on after a rollout",
        recipe=_around(_last_is_stored),
    ),
    Deviation(
        id="final_dones_ignored",
        description="A rollout is bootstrapped even where an episode ended with its last step",
        stage="advantage",
        source=WALK,
        remedy="Multiply the value after the last step by 1 - done",
        shows="an episode that ends with the last step of a rollout",
        recipe=_around(_last_dones_ignored),
    ),
    Deviation(
        id="rollout_ends_episodes",
        description="The end of a rollout counts as the end of all episodes",
        stage="advantage",
        source=huang("core detail 5"),
        remedy="Bootstrap the rollout with V of the observation after its last step",
        shows="an episode that goes on after a rollout",
        recipe=_around(_last_is_end),
    ),
    Deviation(
        id="gae_gamma_missing_in_delta",
        description="The TD error is r + V(s') - V(s), without gamma",
        stage="advantage",
        source="AI4Finance-Foundation/ElegantRL#183",
        remedy="Multiply V(s') by gamma",
        recipe=_of(_no_gamma_in_delta),
    ),
    Deviation(
        id="gae_gamma_missing_in_recursion",
        description="The recursion decays by lambda instead of gamma * lambda",
        stage="advantage",
        source=WALK,
        remedy="Let the recursion decay by gamma * lambda",
        recipe=_of(_no_gamma_in_recursion),
    ),
    Deviation(
        id="gae_lambda_missing_in_recursion",
        description="The recursion decays by gamma instead of gamma * lambda",
        stage="advantage",
        source=WALK,
        remedy="Let the recursion decay by gamma * lambda",
        shows="gae_lambda below 1",
        recipe=_of(_no_lambda_in_recursion),
    ),
    Deviation(
        id="gamma_and_lambda_swapped",
        description="gamma and gae_lambda stand in each other's place in the estimate of advantages",
        stage="advantage",
        source=WALK,
        remedy="Discount V(s') by gamma",
        shows="gamma and gae_lambda that differ",
        recipe=_around(
            lambda original, *arrays, gamma, gae_lambda: original(*arrays, gamma=gae_lambda, gae_lambda=gamma)
        ),
    ),
    Deviation(
        id="gamma_always_0-99",
        description="Rewards are discounted by 0.99, whatever was asked for",
        stage="stored_reward",
        source=WALK,
        remedy="Use the gamma that was asked for",
        shows="another gamma",
        settings=settings(gamma=0.99),
    ),
    Deviation(
        id="gae_lambda_always_0-95",
        description="lambda is 0.95, whatever was asked for",
        stage="advantage",
        source=WALK,
        remedy="Use the gae_lambda that was asked for",
        shows="another gae_lambda",
        settings=settings(gae_lambda=0.95),
    ),
    Deviation(
        id="gae_lambda_1",
        description="lambda is 1: advantages are Monte-Carlo returns minus values",
        stage="advantage",
        source="DLR-RM/stable-baselines3#375",
        remedy="Use the gae_lambda that was asked for",
        shows="another gae_lambda",
        settings=settings(gae_lambda=1.0),
    ),
    Deviation(
        id="advantages_are_returns_minus_values",
        description="No GAE: advantages are discounted sums of rewards minus values, returns these sums",
        stage="advantage",
        source=huang("core detail 5"),
        remedy="Estimate advantages by GAE",
        recipe=_of(_monte_carlo_advantages),
    ),
    Deviation(
        id="advantages_are_td_errors",
        description="No GAE: advantages are TD errors of one step",
        stage="advantage",
        source=huang("core detail 5"),
        remedy="Estimate advantages by GAE",
        shows="gae_lambda above 0",
        recipe=_of(_td_advantages),
    ),
    Deviation(
        id="gae_across_environments",
        description="Rollouts of several environments are flattened before GAE: a step follows one of another environment",
        stage="advantage",
        source=WALK,
        remedy="Estimate advantages for each environment by itself",
        shows="more than one environment",
        recipe=_around(_across_environments),
    ),
    Deviation(
        id="gae_in_float64",
        description="Advantages are estimated in float64 and rounded afterwards; differs by rounding only",
        stage="advantage",
        source="thu-ml/tianshou#65",
        remedy="Estimate advantages in float32, or accept the rounding",
        recipe=_of(_in_float64),
    ),
    Deviation(
        id="rewards_normalised_per_rollout",
        description="Advantages are estimated from rewards with the mean and deviation of the rollout taken out",
        stage="advantage",
        source="Andrychowicz et al. 2021, arXiv 2006.05990",
        remedy="Leave rewards as the environment returns them, or use VecNormalize",
        recipe=_around(_rewards_normalized),
    ),
    Deviation(
        id="advantages_normalised_before_returns",
        description="Advantages are normalised over the rollout before values are added to make the returns",
        stage="advantage",
        source="luchris429/model-free-opponent-shaping#1",
        remedy="Make the returns from the advantages as they are",
        recipe=_around(_normalized_first),
    ),
    Deviation(
        id="returns_monte_carlo",
        description="The critic learns discounted sums of rewards instead of advantages plus values",
        stage="return",
        source=huang("core detail 5"),
        remedy="Let the critic learn advantages + values: TD(lambda)",
        shows="gae_lambda below 1",
        recipe=_returns(lambda _, *arrays: _monte_carlo(*arrays)),
    ),
    Deviation(
        id="returns_of_one_step",
        description="The critic learns r + gamma * V(s') instead of advantages plus values",
        stage="return",
        source="DLR-RM/stable-baselines3#375",
        remedy="Let the critic learn advantages + values: TD(lambda)",
        shows="gae_lambda above 0",
        recipe=_returns(_one_step_target),
    ),
    Deviation(
        id="returns_without_values",
        description="The critic learns the advantages: values are not added",
        stage="return",
        source="marlbenchmark/on-policy#12",
        remedy="Let the critic learn advantages + values",
        recipe=_returns(lambda advantages, *_: advantages.copy()),
    ),
    Deviation(
        id="returns_normalised",
        description="The critic learns returns with their mean and deviation over the rollout taken out",
        stage="return",
        source=WALK,
        remedy="Let the critic learn the returns as they are",
        recipe=_around(_normalized_returns),
    ),
)
