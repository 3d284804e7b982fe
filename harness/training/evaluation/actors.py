"""Deterministic actions of a multilayer perceptron, with the bits of `policy.predict` and a tenth of its overhead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn
from torch.nn.functional import linear

__all__ = ["Actor", "make_actor"]

# By name, since the harness loads an algorithm only when it is trained.
_POLICIES = frozenset({"stable_baselines3.common.policies.ActorCriticPolicy", "custom_ppo.sb3.policy.MlpPolicy"})
_FLATTENING = frozenset(
    {"stable_baselines3.common.torch_layers.FlattenExtractor", "custom_ppo.extractors.FlattenExtractor"}
)
_PERCEPTRONS = frozenset({"stable_baselines3.common.torch_layers.MlpExtractor", "custom_ppo.networks.TwinMLP"})
_ACTIVATIONS: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {nn.Tanh: torch.tanh_, nn.ReLU: torch.relu_}
_WATCHED_METHODS = ("predict", "_predict", "get_distribution", "extract_features", "obs_to_tensor", "forward")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")

MAX_LOG_STD = 40.0
"""Magnitude up to which exp(2 * log_std) is a positive float32, so that SB3's distribution accepts it."""


class Actor:
    """Deterministic actions in N environments, for the weights that the policy has when the object is made.

    inputs: float32 [N, D], observations after normalisation; the caller writes them in place.
    """

    def __init__(self, policy: Any, n_envs: int) -> None:
        self.policy = policy
        (n_inputs,) = policy.observation_space.shape
        self.inputs = np.zeros((n_envs, n_inputs), dtype=np.float32)
        self._inputs = torch.from_numpy(self.inputs)
        layers = list(policy.mlp_extractor.policy_net)
        self._hidden = [
            (layer.weight.detach(), layer.bias.detach(), _ACTIVATIONS[type(activation)])
            for layer, activation in zip(layers[::2], layers[1::2], strict=True)
        ]
        self._last = policy.action_net.weight.detach(), policy.action_net.bias.detach()
        self._space = policy.action_space

    def actions(self) -> NDArray[Any]:
        """Return the actions that `policy.predict(inputs, deterministic=True)` returns, [N, ...].

        Raises what `predict` raises if the network returns NaN.
        """
        with torch.inference_mode():
            hidden = self._inputs
            for weight, bias, activation in self._hidden:
                hidden = activation(linear(hidden, weight, bias))
            outputs = linear(hidden, *self._last)
            numbers = outputs.numpy()
            # SB3's distributions refuse NaN: its own code should say so.
            if not np.isfinite(np.vdot(numbers, numbers)):
                actions: NDArray[Any] = self.policy.predict(self.inputs, deterministic=True)[0]
                return actions
            if isinstance(self._space, spaces.Box):
                clipped: NDArray[Any] = np.clip(
                    numbers.reshape(-1, *self._space.shape), self._space.low, self._space.high
                )
                return clipped
            # The most likely action, and not that of the largest logit: rounding may make two probabilities equal.
            logits = outputs - outputs.logsumexp(dim=-1, keepdim=True)
            chosen: NDArray[Any] = torch.softmax(logits, dim=-1).argmax(dim=1).numpy()
            return chosen


def make_actor(model: Any, n_envs: int) -> Actor | None:
    """Return the actor of a model's policy, or None if its actions must be left to `model.predict`."""
    policy = getattr(model, "policy", None)
    if getattr(type(model), "predict", None) is not BaseAlgorithm.predict or "predict" in vars(model):
        return None
    if _name(policy) not in _POLICIES or any(name in vars(policy) for name in _WATCHED_METHODS):
        return None
    if not _has_simple_spaces(policy) or not _has_simple_layers(policy) or not _has_sound_numbers(policy):
        return None
    return Actor(policy, n_envs)


def _name(value: object) -> str:
    """Return module and name of the object's class."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _has_simple_spaces(policy: Any) -> bool:
    """Return True for observations that are vectors of floats, and actions that are one number or a clipped vector."""
    observations, actions = policy.observation_space, policy.action_space
    is_vector = isinstance(observations, spaces.Box) and len(observations.shape) == 1
    if not is_vector or not np.issubdtype(observations.dtype, np.floating) or policy.squash_output:
        return False
    return type(actions) is spaces.Box or (type(actions) is spaces.Discrete and actions.start == 0)


def _has_simple_layers(policy: Any) -> bool:
    """Return True if features are the observation itself, and the actor alternates linear layers and activations."""
    twins = policy.mlp_extractor
    if _name(policy.pi_features_extractor) not in _FLATTENING:
        return False
    if _name(twins) not in _PERCEPTRONS or type(twins.policy_net) is not nn.Sequential:
        return False
    layers = list(twins.policy_net)
    if len(layers) % 2 or any(type(activation) not in _ACTIVATIONS for activation in layers[1::2]):
        return False
    linear_layers = [*layers[::2], policy.action_net]
    if any(type(layer) is not nn.Linear or layer.bias is None for layer in linear_layers):
        return False
    if any("forward" in vars(module) or any(vars(module)[name] for name in _HOOKS) for module in policy.modules()):
        return False  # a hook would not be called
    return not nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]


def _has_sound_numbers(policy: Any) -> bool:
    """Return True if the parameters are finite float32 on the CPU, and no standard deviation is 0 or infinite."""
    for parameter in policy.parameters():
        if parameter.device.type != "cpu" or parameter.dtype != torch.float32 or not parameter.isfinite().all():
            return False
    log_std = getattr(policy, "log_std", None)
    return log_std is None or bool(log_std.detach().abs().max() < MAX_LOG_STD)
