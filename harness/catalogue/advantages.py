"""Mistakes in the use of the advantage estimate: its arguments, its results, the end of the rollout."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from custom_ppo.gae import gae
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.recipe import Recipe
from harness.catalogue import timeouts
from harness.catalogue.deviation import Deviation
from harness.catalogue.estimates import (
    Array,
    Estimates,
    around,
    normalised,
)
from harness.catalogue.mistake import Mistake, checked_only
from harness.catalogue.patching import PPO_ONLY, WALK, Patch, huang, with_settings, wrap

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["ADVANTAGES"]


def _no_mask(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    found: Estimates = original(rewards, values, np.zeros_like(starts), last, np.zeros_like(dones), **discounts)
    return found


def _starts_not_shifted(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    # `original` masks row t by row t + 1; shifted by one row, it masks row t by row t. The last row takes the dones.
    earlier = np.concatenate([starts[:1], starts[:-1]])
    found: Estimates = original(rewards, values, earlier, last, dones, **discounts)
    return found


def _last_values(change: Callable[[Tensor, TrajectoryMemory], Tensor]) -> Patch:
    """Return a patch that replaces the values [N, 1] after a rollout by change(values, memory)."""

    def patch(model: CustomPPO) -> None:
        def finish(original: Callable[..., None], observations: Any, dones: Any) -> None:
            predict = model.policy.predict_values
            wrap(model.policy, "predict_values", lambda value, obs: change(value(obs), model.rollout_buffer))
            try:
                original(observations, dones)
            finally:
                model.policy.predict_values = predict  # type: ignore[method-assign]

        wrap(model.agent, "finish_rollout", finish)

    return patch


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


def _rewards_normalized(original: Any, rewards: Array, *rest: Array, **discounts: float) -> Estimates:
    found: Estimates = original((rewards - rewards.mean()) / (rewards.std() + 1e-7), *rest, **discounts)
    return found


def _normalized_first(original: Any, rewards: Array, values: Array, *rest: Array, **discounts: float) -> Estimates:
    advantages, _ = original(rewards, values, *rest, **discounts)
    advantages = normalised(advantages)
    return advantages, advantages + values


def _normalised_in_memory(recipe: Recipe) -> Recipe:
    def estimate(*arrays: Array, **discounts: float) -> Estimates:
        advantages, returns = recipe.advantages(*arrays, **discounts)
        return normalised(advantages), returns

    return recipe.replace(advantages=estimate, normalize_advantages=lambda advantages: advantages)


def bootstrapped_from(last_values: Callable[[Array, Array], Array]) -> Callable[..., Estimates]:
    """Return GAE with last_values(values, last values) after the last step."""

    def estimate(
        rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
    ) -> Estimates:
        return gae(rewards, values, starts, last_values(values, last), dones, **discounts)

    return estimate


def _starts_and_dones_one_step_early(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    earlier = np.concatenate([starts[:1], starts[:-1]])
    found: Estimates = original(rewards, values, earlier, last, starts[-1], **discounts)
    return found


def _last_step_left_out(
    original: Any, rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    without = np.concatenate([rewards[:-1], values[-1:]])  # the last TD error is r - V, and 0 for r = V
    found: Estimates = original(without, values, starts, np.zeros_like(last), dones, **discounts)
    return found


def _normalised_without_bias(original: Any, *arrays: Array, **discounts: float) -> Estimates:
    advantages, returns = original(*arrays, **discounts)
    return (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8), returns


ADVANTAGES: tuple[Mistake, ...] = (
    Deviation(
        id="gae_done_mask_missing",
        description="No mask: advantages and values leak across the ends of episodes",
        stage="advantage",
        source="vietnh1009/Super-mario-bros-PPO-pytorch#21",
        remedy="Multiply V(s') and the recursion by 1 - done",
        shows="an episode that ends",
        recipe=around(_no_mask),
        hints={
            "advantages": "no done mask: values and advantages flow back across the end of an episode",
            "advantages_with_timeouts": "no mask at all: values and advantages flow across every end",
        },
        formulas={"advantages_with_timeouts": timeouts.never_cut},
    ),
    Deviation(
        id="gae_masked_by_own_start",
        description="A step is masked by its own episode start instead of that of the next step",
        stage="advantage",
        source="DLR-RM/stable-baselines3#105",
        remedy="Read the mask of step t from episode_starts[t + 1], and that of the last from dones",
        shows="an episode that ends",
        recipe=around(_starts_not_shifted),
        hints={
            "advantages": (
                "the mask is one step early, but for the last step: "
                "episode_starts[t] where episode_starts[t + 1] belongs"
            )
        },
    ),
    Deviation(
        id="last_values_zero",
        description="The value after the last step of a rollout is taken as zero",
        stage="last_value",
        source="bmazoure/ppo_jax#2",
        remedy="Bootstrap the rollout with V of the observation after its last step",
        shows="an episode that continues after a rollout",
        patch=_last_values(lambda found, memory: torch.zeros_like(found)),
        hints={"advantages": "the last value is taken as zero, as if the rollout ended every episode"},
        formulas={"advantages": bootstrapped_from(lambda values, last: np.zeros_like(last))},
    ),
    Deviation(
        id="last_values_are_stored_ones",
        description="A rollout is bootstrapped with V of its last stored observation instead of the one after it",
        stage="last_value",
        source="vwxyzjn/cleanrl#16",
        remedy="Bootstrap the rollout with V of the observation after its last step",
        shows="an episode that continues after a rollout",
        patch=_last_values(lambda found, memory: torch.from_numpy(memory.values[-1:].T)),
        hints={"advantages": "the last step is bootstrapped from its own value, values[-1] instead of last_values"},
        formulas={"advantages": bootstrapped_from(lambda values, last: values[-1])},
    ),
    Deviation(
        id="final_dones_ignored",
        description="A rollout is bootstrapped even where an episode ended with its last step",
        stage="advantage",
        source=WALK,
        remedy="Multiply the value after the last step by 1 - done",
        shows="an episode that ends with the last step of a rollout",
        recipe=around(_last_dones_ignored),
        hints={"advantages": "`dones`, the flag after the last step, is ignored"},
    ),
    Deviation(
        id="rollout_ends_episodes",
        description="The end of a rollout counts as the end of all episodes",
        stage="advantage",
        source=huang("core detail 5"),
        remedy="Bootstrap the rollout with V of the observation after its last step",
        shows="an episode that continues after a rollout",
        recipe=around(_last_is_end),
    ),
    Deviation(
        id="gamma_and_lambda_swapped",
        description="gamma and gae_lambda are exchanged in the estimate of advantages",
        stage="advantage",
        source=WALK,
        remedy="Discount V(s') by gamma",
        shows="gamma and gae_lambda that differ",
        recipe=around(
            lambda original, *arrays, gamma, gae_lambda: original(*arrays, gamma=gae_lambda, gae_lambda=gamma)
        ),
        hints={"advantages": "gamma and lambda are exchanged"},
    ),
    Deviation(
        id="memory_keeps_default_discounts",
        description="Advantages are estimated with gamma 0.99 and lambda 1, the defaults of SB3's RolloutBuffer",
        stage="advantage",
        source=WALK,
        remedy="Pass gamma and gae_lambda on to the rollout buffer",
        shows="another gamma or gae_lambda",
        recipe=around(lambda original, *arrays, gamma, gae_lambda: original(*arrays, gamma=0.99, gae_lambda=1.0)),
        hints={"advantages": "gamma is always 0.99 and lambda always 1, the defaults of SB3's RolloutBuffer"},
    ),
    Deviation(
        id="gamma_always_0-99",
        description="gamma is always 0.99",
        stage="stored_reward",
        source=WALK,
        remedy="Use the configured gamma",
        shows="another gamma",
        settings=with_settings(gamma=0.99),
    ),
    Deviation(
        id="gae_lambda_always_0-95",
        description="lambda is always 0.95",
        stage="advantage",
        source=WALK,
        remedy="Use the configured gae_lambda",
        shows="another gae_lambda",
        settings=with_settings(gae_lambda=0.95),
    ),
    Deviation(
        id="gae_lambda_1",
        description="lambda is always 1: advantages are Monte-Carlo returns minus values",
        stage="advantage",
        source="DLR-RM/stable-baselines3#375",
        remedy="Use the configured gae_lambda",
        shows="another gae_lambda",
        settings=with_settings(gae_lambda=1.0),
    ),
    Deviation(
        id="gae_across_environments",
        description="Environments are flattened before GAE, so that steps of one are followed by steps of another",
        stage="advantage",
        source=WALK,
        remedy="Estimate advantages for each environment separately",
        shows="more than one environment",
        recipe=around(_across_environments),
        hints={"advantages": "environments are flattened before the recursion, so that one's step follows another's"},
    ),
    Deviation(
        id="rewards_normalised_per_rollout",
        description="Rewards are standardised over the rollout before advantages are estimated",
        stage="advantage",
        source="Andrychowicz et al. 2021, arXiv 2006.05990",
        remedy="Leave rewards as the environment returns them, or use VecNormalize",
        recipe=around(_rewards_normalized),
        hints={"advantages": "rewards are standardised over the rollout first"},
    ),
    Deviation(
        id="advantages_normalised_before_returns",
        description="Advantages are normalised over the rollout before values are added to form the returns",
        stage="advantage",
        source=WALK,
        remedy="Form the returns from advantages that are not normalised",
        recipe=around(_normalized_first),
        hints={"advantages": "returns are computed from normalised advantages; add V before normalising"},
    ),
    Deviation(
        id="advantages_normalised_in_memory",
        description="Advantages are normalised over the rollout after the returns are formed, and not per minibatch",
        stage="advantage",
        source=huang("core detail 7"),
        remedy="Normalise the advantages of each minibatch",
        shows="normalize_advantage",
        recipe=_normalised_in_memory,
        algorithms=PPO_ONLY,
        hints={"advantages": "the returned advantages are normalised; SB3 does that later, for each minibatch"},
    ),
    checked_only(
        "gae_mask_one_step_early",
        "advantages",
        "the mask is one step early: episode_starts[t] where episode_starts[t + 1] belongs",
        recipe=around(_starts_and_dones_one_step_early),
    ),
    checked_only(
        "gamma_ignored",
        "advantages",
        "gamma is never applied",
        recipe=around(lambda original, *arrays, gamma, gae_lambda: original(*arrays, gamma=1.0, gae_lambda=gae_lambda)),
    ),
    checked_only(
        "gae_last_step_left_out",
        "advantages",
        "the step after the last is left out: the last step's advantage is 0",
        recipe=around(_last_step_left_out),
    ),
    checked_only(
        "advantages_normalised_in_memory_unbiased",
        "advantages",
        "the returned advantages are normalised (n - 1); SB3 does that later, for each minibatch",
        recipe=around(_normalised_without_bias),
    ),
)
