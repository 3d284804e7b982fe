"""Updates that may not be fused are recognised, and the reason is named."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from custom_ppo.distributions import StateDependentNoise
from custom_ppo.engines import reason_against
from custom_ppo.extractors import FlattenExtractor
from custom_ppo.losses import normalize_advantages
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import CLEANRL_PPO, PPO_PENALTY, SB3_A2C, SB3_PPO, PolicyLoss, Recipe, adam
from tests.custom_ppo.engines.spaces_to_fuse import ACTIONS, VECTOR


class OwnExtractor(FlattenExtractor):
    def forward(self, observations: Tensor) -> Tensor:
        return 2 * super().forward(observations)


class OwnActivation(nn.Tanh):
    pass


class OwnNoise(StateDependentNoise):
    pass


class OwnLatents(ActorCritic):
    def _latents(self, obs: Any) -> tuple[Tensor, Tensor]:
        return super()._latents(obs)


def policy_with(actions: spaces.Space[Any] = ACTIONS["discrete"], **network: Any) -> ActorCritic:
    return ActorCritic(VECTOR, actions, net_arch=[4], **network)


def adam_for(policy: nn.Module, **settings: Any) -> torch.optim.Adam:
    return torch.optim.Adam(policy.parameters(), lr=1e-3, **settings)


def changed(change: Callable[[ActorCritic], Any], then: Callable[[ActorCritic], Any] = adam_for) -> tuple[Any, Any]:
    policy = policy_with()
    change(policy)
    return policy, then(policy)


def hooked(optimizer: torch.optim.Adam, hook: Callable[[torch.optim.Adam], Any]) -> torch.optim.Adam:
    hook(optimizer)
    return optimizer


def tie(policy: ActorCritic) -> None:
    policy.mlp_extractor.value_net[0] = policy.mlp_extractor.policy_net[0]


def two_groups(policy: ActorCritic) -> torch.optim.Adam:
    first, *rest = policy.parameters()
    return torch.optim.Adam([{"params": [first]}, {"params": rest}])


def uneven_steps(policy: ActorCritic) -> torch.optim.Adam:
    optimizer = adam_for(policy)
    policy.value_net.bias.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()  # moves only what has a gradient
    return optimizer


def value_bias(policy: ActorCritic) -> Any:
    return policy.value_net.bias


def nothing(*_: Any) -> None:
    """A hook, or what stands for one."""


REASONS: dict[str, tuple[Callable[[], tuple[Any, Any]], str]] = {
    "linear module": (lambda: ((net := nn.Linear(3, 2)), adam_for(net)), "Linear is not a policy of custom_ppo"),
    "subclass with its own latents": (
        lambda: ((policy := OwnLatents(VECTOR, ACTIONS["discrete"])), adam_for(policy)),
        "OwnLatents has its own _latents",
    ),
    "method wrapped on one policy": (
        lambda: changed(lambda policy: setattr(policy, "evaluate_actions", lambda *a: a)),
        "ActorCritic has its own evaluate_actions",
    ),
    "noise of a subclass": (
        lambda: changed(
            lambda policy: setattr(policy, "sde", OwnNoise(3, full_std=True, use_expln=False, squash_output=False))
        ),
        "exploration noise is OwnNoise",
    ),
    "critic's extractor replaced": (
        lambda: changed(lambda policy: setattr(policy, "vf_features_extractor", OwnExtractor(VECTOR))),
        "the critic's features extractor was exchanged",
    ),
    "another activation": (
        lambda: ((policy := policy_with(activation_fn=nn.Softplus)), adam_for(policy)),
        "a layer is Softplus",
    ),
    "subclass of an activation": (
        lambda: ((policy := policy_with(activation_fn=OwnActivation)), adam_for(policy)),
        "a layer is OwnActivation",
    ),
    "activation in place": (
        lambda: ((policy := policy_with(activation_fn=partial(nn.ELU, inplace=True))), adam_for(policy)),
        "a layer is ELU in place",
    ),
    "layer without a bias": (
        lambda: changed(lambda policy: setattr(policy, "value_net", nn.Linear(4, 1, bias=False))),
        "a layer has no bias",
    ),
    "head replaced by layers": (
        lambda: changed(lambda policy: setattr(policy, "action_net", nn.Sequential(nn.Linear(4, 3)))),
        "a layer is Sequential",
    ),
    "weights shared by layers": (lambda: changed(tie), "a parameter is shared by two layers, or belongs to none"),
    "parameter without a layer": (
        lambda: changed(lambda policy: policy.register_parameter("spare", nn.Parameter(torch.zeros(1)))),
        "a parameter is shared by two layers, or belongs to none",
    ),
    "frozen parameter": (
        lambda: changed(lambda policy: policy.value_net.bias.requires_grad_(False)),
        "a parameter is not a trained float32 on the CPU",
    ),
    "double precision": (
        lambda: changed(lambda policy: policy.double()),
        "a parameter is not a trained float32 on the CPU",
    ),
    "hook on a gradient": (
        lambda: changed(lambda policy: value_bias(policy).register_hook(nothing)),
        "a hook watches a gradient",
    ),
    "hook after a gradient": (
        lambda: changed(lambda policy: value_bias(policy).register_post_accumulate_grad_hook(nothing)),
        "a hook watches a gradient",
    ),
    "forward hook": (
        lambda: changed(lambda policy: policy.value_net.register_forward_hook(nothing)),
        "a hook watches a layer",
    ),
    "forward hook on the policy": (
        lambda: changed(lambda policy: policy.register_forward_pre_hook(nothing)),
        "a hook watches a layer",
    ),
    "backward hook": (
        lambda: changed(lambda policy: policy.value_net.register_full_backward_hook(nothing)),
        "a hook watches a layer",
    ),
    "backward pre-hook": (
        lambda: changed(lambda policy: policy.value_net.register_full_backward_pre_hook(nothing)),
        "a hook watches a layer",
    ),
    "forward wrapped on one layer": (
        lambda: changed(lambda policy: setattr(policy.value_net, "forward", lambda x: x)),
        "a hook watches a layer",
    ),
    "Adagrad": (lambda: changed(nothing, lambda p: torch.optim.Adagrad(p.parameters())), "the optimiser is Adagrad"),
    "two groups": (lambda: changed(nothing, two_groups), "the optimiser has other parameters than the policy"),
    "some parameters": (
        lambda: changed(nothing, lambda p: torch.optim.Adam(list(p.parameters())[:3])),
        "the optimiser has other parameters than the policy",
    ),
    "parameters of another policy": (
        lambda: changed(nothing, lambda _: adam_for(policy_with())),
        "the optimiser has other parameters than the policy",
    ),
    "maximize and foreach": (
        lambda: changed(nothing, lambda p: adam_for(p, maximize=True, foreach=True)),
        "Adam is set to maximize, foreach",
    ),
    "tensor betas": (
        lambda: changed(nothing, lambda p: adam_for(p, betas=(torch.tensor(0.9), torch.tensor(0.99)), foreach=False)),
        "Adam is set to tensors",
    ),
    "steps that differ": (
        lambda: changed(nothing, uneven_steps),
        "some parameters have made more steps than others",
    ),
    "hook before a step": (
        lambda: changed(nothing, lambda p: hooked(adam_for(p), lambda o: o.register_step_pre_hook(nothing))),
        "a hook watches the optimiser",
    ),
    "hook after a step": (
        lambda: changed(nothing, lambda p: hooked(adam_for(p), lambda o: o.register_step_post_hook(nothing))),
        "a hook watches the optimiser",
    ),
    "scheduler wraps the step": (
        lambda: changed(nothing, lambda p: hooked(adam_for(p), lambda o: setattr(o, "step", nothing))),
        "a hook watches the optimiser",
    ),
}


@pytest.mark.parametrize("thing", list(REASONS))
def test_the_reason_against_fusing_is_named(thing: str) -> None:
    build, reason = REASONS[thing]
    assert reason_against(*build(), SB3_PPO) == reason


@pytest.mark.parametrize("register", ["register_module_forward_hook", "register_module_full_backward_hook"])
def test_a_hook_on_all_modules_is_respected(register: str) -> None:
    handle = getattr(nn.modules.module, register)(nothing)
    try:
        assert reason_against(*changed(nothing), SB3_PPO) == "a hook watches a layer"
    finally:
        handle.remove()


def test_a_hook_on_all_optimisers_is_respected() -> None:
    handle = register_optimizer_step_post_hook(nothing)
    try:
        assert reason_against(*changed(nothing), SB3_PPO) == "a hook watches the optimiser"
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (SB3_A2C, None),
        (PPO_PENALTY, None),
        (CLEANRL_PPO, None),
        (
            SB3_PPO.replace(policy_loss=PolicyLoss(lambda *_: nothing()), value_loss=nn.functional.l1_loss),
            "the recipe has its own policy_loss, value_loss",
        ),
        (SB3_PPO.replace(policy_loss=PolicyLoss(reduction=torch.sum)), "the recipe has its own policy_loss"),
        (SB3_PPO.replace(clip_values=lambda values, *_: values), "the recipe has its own clip_values"),
        (SB3_PPO.replace(entropy_loss=lambda *_: nothing()), "the recipe has its own entropy_loss"),
        (SB3_PPO.replace(clip_gradients=nothing), "the recipe has its own clip_gradients"),
        (SB3_PPO.replace(minibatch_order=np.arange), None),
        (SB3_PPO.replace(normalize_advantages=lambda a: normalize_advantages(a)), None),
        (SB3_PPO.replace(optimizer=lambda parameters, lr: adam(parameters, lr)), None),
    ],
)
def test_recipes_are_fused_only_where_their_own_parts_are_called(recipe: Recipe, reason: str | None) -> None:
    assert reason_against(*changed(nothing), recipe) == reason


@pytest.mark.parametrize("actions", list(ACTIONS))
def test_a_plain_mlp_can_be_fused(actions: str) -> None:
    policy = policy_with(ACTIONS[actions])
    assert reason_against(policy, adam_for(policy), SB3_PPO) is None
