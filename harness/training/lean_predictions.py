"""Deterministic actions of a multilayer perceptron, with the bits of `policy.predict` and a tenth of its overhead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn
from torch.nn.functional import linear

from harness.training.algorithms import import_target

__all__ = ["has_lean_predictions", "lean_predictions"]

# By name, since the harness loads an algorithm only when it is trained.
_POLICIES = frozenset({"stable_baselines3.common.policies.ActorCriticPolicy", "custom_ppo.sb3.policy.MlpPolicy"})
_FLATTENING = frozenset(
    {"stable_baselines3.common.torch_layers.FlattenExtractor", "custom_ppo.extractors.FlattenExtractor"}
)
_PERCEPTRONS = frozenset({"stable_baselines3.common.torch_layers.MlpExtractor", "custom_ppo.networks.TwinMLP"})
_ACTIVATIONS: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {nn.Tanh: torch.tanh_, nn.ReLU: torch.relu_}
_METHODS = ("predict", "_predict", "get_distribution", "extract_features", "obs_to_tensor", "forward")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")

MAX_LOG_STD = 40.0
"""Magnitude up to which exp(2 * log_std) is a positive float32, so that SB3's distribution accepts it."""


@contextmanager
def lean_predictions(model: Any) -> Iterator[None]:
    """Replace `model.policy.predict` in the `with` block by a function with the same results in less time.

    It spares the modules and the distribution object of every call, and changes nothing for policies other than
    multilayer perceptrons whose actions are one number or a vector. Weights must stay as they are in the block.
    """
    policy: Any = getattr(model, "policy", None)
    if not _is_known(policy):
        yield
        return
    policy.predict = _Predict(policy)
    try:
        yield
    finally:
        del policy.predict


def has_lean_predictions(model: Any) -> bool:
    """Return True inside a `with lean_predictions(model)` block that has replaced the policy's `predict`."""
    return isinstance(getattr(getattr(model, "policy", None), "predict", None), _Predict)


class _Predict:
    """Function with the arguments and results of `policy.predict`, for the weights that the policy has now.

    Its first actions are compared with those of the policy, which predicts all others if one bit differs.
    """

    def __init__(self, policy: Any) -> None:
        self._predict = policy.predict
        self._agrees: bool | None = None
        (self._n_inputs,) = policy.observation_space.shape
        self._space = policy.action_space
        layers = list(policy.mlp_extractor.policy_net)
        self._hidden = [
            (layer.weight.detach(), layer.bias.detach(), _ACTIVATIONS[type(activation)])
            for layer, activation in zip(layers[::2], layers[1::2], strict=True)
        ]
        self._last = policy.action_net.weight.detach(), policy.action_net.bias.detach()
        linear_layers = [*layers[::2], policy.action_net]
        self._layers = [
            (layer.weight.detach(), layer.bias.detach(), activation)
            for layer, activation in zip(linear_layers, [*layers[1::2], None], strict=True)
        ]
        self._native: Any = None
        self._native_shape: tuple[int, ...] | None = None

    def __call__(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray[Any], Any]:
        if self._agrees and deterministic and self._is_batch(observation):
            by_kernels = self._native is not None and observation.shape == self._native_shape
            actions = self._native_actions(observation) if by_kernels else self._actions(observation)
            if actions is not None:
                return actions, state
        expected: tuple[NDArray[Any], Any] = self._predict(observation, state, episode_start, deterministic)
        if self._agrees is None and deterministic and self._is_batch(observation):
            self._agrees = _is_same(self._actions(observation), expected[0])
            self._make_native(observation, expected[0])
        return expected

    def _make_native(self, observations: NDArray[Any], expected: NDArray[Any]) -> None:
        """Predict batches of this size by compiled kernels, if there are any and they return what is expected."""
        make = import_target("custom_ppo.engines.native.prediction:native_prediction")
        self._native = make(self._layers, len(observations), chooses=isinstance(self._space, spaces.Discrete))
        if self._native is not None and not _is_same(self._native_actions(observations), expected):
            self._native = None
        self._native_shape = observations.shape

    def _native_actions(self, observations: NDArray[Any]) -> NDArray[Any] | None:
        """Return what `_actions` returns, by compiled kernels."""
        found: NDArray[Any] | None = self._native(observations)
        return self._clipped(found) if found is not None and isinstance(self._space, spaces.Box) else found

    def _clipped(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return actions [N, ...] within the bounds of the space."""
        low, high = self._space.low, self._space.high
        # What numpy.clip computes, without its own Python code.
        clipped: NDArray[Any] = np.minimum(np.maximum(outputs.reshape(-1, *self._space.shape), low), high)
        return clipped

    def _is_batch(self, observation: Any) -> bool:
        """Return True for floats [N, D] in C's order; a single observation is left to the policy."""
        return (
            type(observation) is np.ndarray
            and observation.shape[1:] == (self._n_inputs,)
            and (observation.dtype == np.float32 or observation.dtype == np.float64)
            and observation.flags.c_contiguous
        )

    def _actions(self, observations: NDArray[Any]) -> NDArray[Any] | None:
        """Return the most likely actions [N, ...], or None if the network returns a number that is not finite."""
        with torch.inference_mode():
            hidden = torch.from_numpy(observations).float()
            for weight, bias, activation in self._hidden:
                hidden = activation(linear(hidden, weight, bias))
            outputs = linear(hidden, *self._last)
            numbers = outputs.numpy()
            # SB3's distributions refuse NaN: its own code should say so.
            if not np.isfinite(np.vdot(numbers, numbers)):
                return None
            if isinstance(self._space, spaces.Box):
                return self._clipped(numbers)
            # The most likely action, and not that of the largest logit: rounding may make two probabilities equal.
            logits = outputs - outputs.logsumexp(dim=-1, keepdim=True)
            chosen: NDArray[Any] = torch.softmax(logits, dim=-1).argmax(dim=1).numpy()
            return chosen


def _is_same(found: NDArray[Any] | None, expected: NDArray[Any]) -> bool:
    """Return True for equal types, shapes and bits."""
    if found is None or found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    return found.tobytes() == expected.tobytes()


def _is_known(policy: Any) -> bool:
    """Return True if the class above computes what this policy computes."""
    if _name(policy) not in _POLICIES or type(policy).predict is not BasePolicy.predict:
        return False
    if any(name in vars(policy) for name in _METHODS):
        return False  # somebody watches this object
    return _has_simple_spaces(policy) and _has_simple_layers(policy) and _has_sound_numbers(policy)


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
