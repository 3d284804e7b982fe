"""Conditions under which an update can be fused, and in words the reason why one must be left to autograd."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import nn

from custom_ppo.engines.flat import reason_against_optimizer
from custom_ppo.extractors import FlattenExtractor
from custom_ppo.networks import ActorCritic, TwinMLP
from custom_ppo.recipe import SB3_PPO, Recipe

__all__ = ["reason_against"]

_OWN_PARTS = ("policy_loss", "value_loss", "clip_values", "entropy_loss", "clip_gradients")
"""Parts of a recipe that the fused engine has written out instead of calling them."""


def reason_against(policy: Any, optimizer: torch.optim.Optimizer, recipe: Recipe) -> str | None:
    """Return the reason why an update cannot be fused, or None if it can."""
    # Other parts may be changed: the agent calls them, or the engine does, like normalize_advantages.
    changed = [part for part in recipe.differs_in(SB3_PPO) if part in _OWN_PARTS]
    if changed:
        return f"the recipe has its own {', '.join(changed)}"
    return _reason_in_policy(policy) or reason_against_optimizer(optimizer, list(policy.parameters()))


def _reason_in_policy(policy: Any) -> str | None:
    if not isinstance(policy, ActorCritic):
        return f"{type(policy).__name__} is not a policy of custom_ppo"
    methods = ("evaluate_actions", "_latents", "_distribution", "_encode", "forward")
    # Looked up on the object, not on its class: an observer may have wrapped a method of this policy alone.
    own = [name for name in methods if getattr(getattr(policy, name), "__func__", None) is not vars(ActorCritic)[name]]
    if own:
        return f"{type(policy).__name__} has its own {', '.join(own)}"
    if not isinstance(policy.action_space, (spaces.Discrete, spaces.Box)):
        return f"actions are {type(policy.action_space).__name__}"
    if policy.sde is not None:
        return "exploration is state-dependent"
    return _reason_in_layers(policy) or _reason_in_parameters(policy)


def _reason_in_layers(policy: ActorCritic) -> str | None:
    for extractor in (policy.pi_features_extractor, policy.vf_features_extractor):
        if type(extractor) is not FlattenExtractor:  # not isinstance: a subclass may compute something else
            return f"features are extracted by {type(extractor).__name__}"
    twins = policy.mlp_extractor
    for modules, known in (
        ((twins, twins.policy_net, twins.value_net), (TwinMLP, nn.Sequential)),
        ((*twins.policy_net, *twins.value_net), (nn.Linear, nn.Tanh, nn.ReLU)),
        ((policy.action_net, policy.value_net), (nn.Linear,)),
    ):
        for module in modules:
            if type(module) not in known:
                return f"a layer is {type(module).__name__}"
    # The fused pass calls no module, so a hook would stay silent without an error.
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    states = [vars(module) for module in policy.modules()]
    watched = any("forward" in state or any(state[name] for name in hooks) for state in states)
    if watched or nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return "a hook watches a layer"
    return None


def _reason_in_parameters(policy: ActorCritic) -> str | None:
    parameters = list(policy.parameters())
    twins = policy.mlp_extractor
    layers = [*twins.policy_net, *twins.value_net, policy.action_net, policy.value_net]
    in_layers = [parameter for layer in layers for parameter in layer.parameters()]
    # `parameters` lists a shared parameter only once, so the count reveals it.
    if len(parameters) != len(in_layers) + hasattr(policy, "log_std"):
        return "a parameter is shared by two layers, or belongs to none"
    for parameter in parameters:
        if parameter.device.type != "cpu" or parameter.dtype != torch.float32 or not parameter.requires_grad:
            return "a parameter is not a trained float32 on the CPU"
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            return "a hook watches a gradient"
    return None
