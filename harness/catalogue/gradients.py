"""Mistakes in the treatment of a gradient before the optimiser's step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import nn

from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import (
    WALK,
    huang,
    with_parts,
    with_settings,
    wrap,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["GRADIENTS"]


Parameters = Iterable[nn.Parameter]


def _unclipped(parameters: Parameters, max_norm: float) -> None:
    """Leave the gradients unchanged."""


def _per_tensor(parameters: Parameters, max_norm: float) -> None:
    for parameter in parameters:
        nn.utils.clip_grad_norm_(parameter, max_norm)


def _by_value(parameters: Parameters, max_norm: float) -> None:
    nn.utils.clip_grad_value_(parameters, max_norm)


def _by_largest(parameters: Parameters, max_norm: float) -> None:
    nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=float("inf"))


def _per_network(model: CustomPPO) -> None:
    def clip(parameters: Parameters, max_norm: float) -> None:
        critic = {
            id(parameter)
            for network in (model.policy.mlp_extractor.value_net, model.policy.value_net)
            for parameter in network.parameters()
        }
        everything = list(parameters)
        nn.utils.clip_grad_norm_([parameter for parameter in everything if id(parameter) not in critic], max_norm)
        nn.utils.clip_grad_norm_([parameter for parameter in everything if id(parameter) in critic], max_norm)

    model.agent.recipe = model.agent.recipe.replace(clip_gradients=clip)


def _accumulated(model: CustomPPO) -> None:
    wrap(model.policy.optimizer, "zero_grad", lambda original, set_to_none=True: None)


GRADIENTS: tuple[Deviation, ...] = (
    Deviation(
        id="gradients_accumulate",
        description="Gradients are not set to zero between two steps of the optimiser",
        stage="gradient",
        source=WALK,
        remedy="Call optimizer.zero_grad() before loss.backward()",
        shows="more than one step",
        patch=_accumulated,
    ),
    Deviation(
        id="gradients_not_clipped",
        description="Gradients are not clipped, or are clipped before the backward pass or after the step",
        stage="clipped_gradient",
        source=huang("core detail 11"),
        remedy="Call clip_grad_norm_ between loss.backward() and optimizer.step()",
        shows="a gradient longer than max_grad_norm",
        recipe=with_parts(clip_gradients=_unclipped),
    ),
    Deviation(
        id="gradients_clipped_per_tensor",
        description="The gradient of every parameter tensor is clipped separately",
        stage="clipped_gradient",
        source=huang("core detail 11"),
        remedy="Clip the joint norm of all parameters",
        shows="a gradient longer than max_grad_norm",
        recipe=with_parts(clip_gradients=_per_tensor),
    ),
    Deviation(
        id="gradients_clipped_per_network",
        description="The gradients of actor and critic are clipped separately",
        stage="clipped_gradient",
        source=huang("core detail 11"),
        remedy="Clip the joint norm of all parameters",
        shows="a gradient longer than max_grad_norm",
        patch=_per_network,
    ),
    Deviation(
        id="gradients_clipped_by_value",
        description="Every element of a gradient is clipped separately (clip_grad_value_)",
        stage="clipped_gradient",
        source=WALK,
        remedy="Clip the joint norm: clip_grad_norm_",
        shows="a gradient longer than max_grad_norm",
        recipe=with_parts(clip_gradients=_by_value),
    ),
    Deviation(
        id="gradients_clipped_by_largest",
        description="Gradients are clipped by their largest element instead of their Euclidean norm",
        stage="clipped_gradient",
        source=WALK,
        remedy="Clip the Euclidean norm: norm_type=2",
        shows="a gradient longer than max_grad_norm",
        recipe=with_parts(clip_gradients=_by_largest),
    ),
    Deviation(
        id="max_grad_norm_10_times",
        description="Gradients are clipped to ten times max_grad_norm",
        stage="clipped_gradient",
        source=WALK,
        remedy="Use the configured max_grad_norm",
        shows="a gradient longer than max_grad_norm",
        settings=lambda given: {"max_grad_norm": 10 * given["max_grad_norm"]},
    ),
    Deviation(
        id="max_grad_norm_1",
        description="Gradients are clipped to norm 1: max_grad_norm is ignored",
        stage="clipped_gradient",
        source=WALK,
        remedy="Use the configured max_grad_norm",
        shows="another max_grad_norm, and a gradient longer than one of the two",
        settings=with_settings(max_grad_norm=1.0),
    ),
)
