"""Conditions under which an update can be fused, and in words the reason why one must be left to autograd."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import nn

from custom_ppo.distributions import StateDependentNoise
from custom_ppo.engines.features import extractors
from custom_ppo.engines.flat import reason_against_optimizer
from custom_ppo.engines.layers import ACTIVATIONS
from custom_ppo.engines.objectives import reason_against_losses
from custom_ppo.networks import ActorCritic, TwinMLP
from custom_ppo.recipe import SB3_PPO, Recipe

__all__ = ["reason_against"]

_METHODS = {
    name: vars(ActorCritic)[name]
    for name in ("evaluate_actions", "_latents", "_distribution", "_encode", "forward", "predict_values")
}
"""Methods that the engines stand for, as they were when this module was imported: users also patch the class."""

_ACTIONS = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)


def reason_against(policy: Any, optimizer: torch.optim.Optimizer, recipe: Recipe) -> str | None:
    """Return the reason why an update cannot be fused, or None if it can."""
    # Other parts may be changed: the agent calls them, or the engine does, like normalize_advantages.
    if recipe.clip_gradients is not SB3_PPO.clip_gradients:
        return "the recipe has its own clip_gradients"
    reason = reason_against_losses(recipe) or _reason_in_policy(policy)
    if reason:
        return reason
    parameters = list(policy.parameters())  # once, as this is asked before every update, and A2C's are short
    return _reason_in_parameters(policy, parameters) or reason_against_optimizer(optimizer, parameters)


def _reason_in_policy(policy: Any) -> str | None:
    if not isinstance(policy, ActorCritic):
        return f"{type(policy).__name__} is not a policy of custom_ppo"
    # Looked up on the object, not on its class: an observer may have wrapped a method of this policy alone.
    own = [name for name, method in _METHODS.items() if getattr(getattr(policy, name), "__func__", None) is not method]
    if own:
        return f"{type(policy).__name__} has its own {', '.join(own)}"
    if not isinstance(policy.action_space, _ACTIONS):
        return f"actions are {type(policy.action_space).__name__}"
    if policy.sde is not None and type(policy.sde) is not StateDependentNoise:
        return f"exploration noise is {type(policy.sde).__name__}"
    if policy.share_features_extractor and policy.vf_features_extractor is not policy.pi_features_extractor:
        return "the critic's features extractor was exchanged"
    return _reason_in_layers(policy)


def _reason_in_layers(policy: ActorCritic) -> str | None:
    twins = policy.mlp_extractor
    for modules, known in (
        ((twins, twins.policy_net, twins.value_net), (TwinMLP, nn.Sequential)),
        ((*twins.policy_net, *twins.value_net), (nn.Linear, *ACTIVATIONS)),
        ((policy.action_net, policy.value_net), (nn.Linear,)),
    ):
        for module in modules:
            if type(module) not in known:  # not isinstance: a subclass may compute something else
                return f"a layer is {type(module).__name__}"
            if isinstance(module, nn.Linear) and module._parameters["bias"] is None:
                return "a layer has no bias"
            # Autograd differentiates other activations by their output if that has replaced their input.
            if getattr(module, "inplace", False) and not isinstance(module, nn.ReLU):
                return f"a layer is {type(module).__name__} in place"
    # The fused pass calls none of these modules, so a hook would stay silent without an error.
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    states = [vars(module) for module in policy.modules()]
    watched = any("forward" in state or any(state[name] for name in hooks) for state in states)
    if watched or nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return "a hook watches a layer"
    return None


def _reason_in_parameters(policy: ActorCritic, parameters: list[nn.Parameter]) -> str | None:
    twins = policy.mlp_extractor
    layers = [*twins.policy_net, *twins.value_net, policy.action_net, policy.value_net]
    n_in_layers = sum(len(layer._parameters) for layer in layers)
    n_in_extractors = sum(len(list(extractor.parameters())) for extractor in extractors(policy))
    # `parameters` lists a shared parameter only once, so the count reveals it.
    if len(parameters) != n_in_layers + n_in_extractors + hasattr(policy, "log_std"):
        return "a parameter is shared by two layers, or belongs to none"
    for parameter in parameters:
        if parameter.device.type != "cpu" or parameter.dtype != torch.float32 or not parameter.requires_grad:
            return "a parameter is not a trained float32 on the CPU"
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            return "a hook watches a gradient"
    return None
