"""Changes that look like deviations but train to the same bits, so that they must not be reported as causes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom_ppo.recipe import PolicyLoss, Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import PPO_ONLY, WALK, huang, with_parts, wrap, wrap_engine

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["EQUIVALENT"]


def _two_optimizers(model: CustomPPO) -> None:
    policy = model.policy
    critic = [*policy.mlp_extractor.value_net.parameters(), *policy.value_net.parameters()]
    ids = {id(parameter) for parameter in critic}
    actor = [parameter for parameter in policy.parameters() if id(parameter) not in ids]
    make, rate = model.recipe.optimizer, model.lr_schedule(1)
    policy.optimizer, second = make(actor, rate), make(critic, rate)

    def backward(original: Callable[..., None], terms: Any, config: Any) -> None:
        second.zero_grad()
        original(terms, config)

    def descend(original: Callable[..., None], config: Any) -> None:
        original(config)
        for group in second.param_groups:
            group["lr"] = policy.optimizer.param_groups[0]["lr"]
        second.step()

    model.refresh_agent()
    wrap_engine(model, "backward", backward)
    wrap_engine(model, "descend", descend)


def _first_starts_lost(model: CustomPPO) -> None:
    def remember(original: Callable[..., None], observations: Any, step: Any, rewards: Any, starts: Any) -> None:
        first = model.rollout_buffer.position == 0
        original(observations, step, rewards, np.zeros_like(starts) if first else starts)

    wrap(model.agent, "remember", remember)


def _zeros_instead_of_none(model: CustomPPO) -> None:
    zero_grad = model.policy.optimizer.zero_grad
    wrap(model.policy.optimizer, "zero_grad", lambda _, set_to_none=True: zero_grad(set_to_none=False))


def _parameters_reversed(recipe: Recipe) -> Recipe:
    return recipe.replace(optimizer=lambda parameters, lr: recipe.optimizer(list(parameters)[::-1], lr))


def _larger_loss(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    ratio = torch.exp(log_prob - old_log_prob)
    clipped = torch.clamp(ratio, 1 - clip_range, 1 + clip_range)
    return torch.max(-advantages * ratio, -advantages * clipped)


def _shuffled_arange(n: int) -> NDArray[np.int64]:
    order = np.arange(n)
    np.random.shuffle(order)  # noqa: NPY002
    return order


def _predicts_meanwhile(model: CustomPPO) -> None:
    def act(original: Callable[[Any], Any], observations: Any) -> Any:
        model.predict(observations, deterministic=True)
        return original(observations)

    wrap(model.agent, "act", act)


EQUIVALENT: tuple[Deviation, ...] = (
    Deviation(
        id="two_optimizers_and_one_clip",
        description="Actor and critic each have an optimiser, and their gradients are clipped together",
        stage="parameters",
        source=huang("core detail 10"),
        remedy="None is needed: optimisers treat every parameter separately",
        patch=_two_optimizers,
    ),
    Deviation(
        id="first_episode_start_lost",
        description="No episode start is stored for the first step of a rollout",
        stage="episode_start",
        source="AgileRL/AgileRL#425",
        remedy="None is needed without a recurrent network: the first row is never read",
        patch=_first_starts_lost,
    ),
    Deviation(
        id="zero_grad_to_zeros",
        description="Gradients are set to zeros instead of None",
        stage="gradient",
        source=WALK,
        remedy="None is needed if all parameters get a gradient",
        patch=_zeros_instead_of_none,
    ),
    Deviation(
        id="parameters_in_reverse_order",
        description="The optimiser gets the parameters in reverse order",
        stage="optimizer_state",
        source=WALK,
        remedy="None is needed: optimisers treat every parameter separately",
        recipe=_parameters_reversed,
    ),
    Deviation(
        id="larger_of_two_losses",
        description="The policy loss is the larger negative surrogate instead of minus the smaller surrogate",
        stage="surrogate",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="None is needed: max(-a, -b) = -min(a, b), to the bit",
        recipe=with_parts(policy_loss=PolicyLoss(_larger_loss, reduction=lambda loss: loss.mean())),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="new_indices_shuffled_in_place",
        description="New indices are shuffled by np.random.shuffle in every epoch",
        stage="minibatch",
        source=WALK,
        remedy="None is needed: np.random.permutation does the same",
        recipe=with_parts(minibatch_order=_shuffled_arange),
    ),
    Deviation(
        id="predicts_while_acting",
        description="The model predicts deterministically before every action, as an evaluation does",
        stage="acting_randomness",
        source="DLR-RM/stable-baselines3#1480",
        remedy="None is needed: the mode draws no random numbers",
        patch=_predicts_meanwhile,
    ),
    Deviation(
        id="half_value_loss_with_twice_its_weight",
        description="The value loss is half of the mean squared error, and vf_coef is twice as large",
        stage="value_loss",
        source="ikostrikov/pytorch-a2c-ppo-acktr-gail#67",
        remedy="None is needed: factors of two do not round",
        settings=lambda given: {"vf_coef": 2 * given["vf_coef"]},
        recipe=lambda recipe: recipe.replace(value_loss=partial(_half, recipe.value_loss)),
    ),
)
"""Changes without effect on training; `stage` is the place of the change."""


def _half(value_loss: Callable[[Tensor, Tensor], Tensor], returns: Tensor, values: Tensor) -> Tensor:
    return 0.5 * value_loss(returns, values)
