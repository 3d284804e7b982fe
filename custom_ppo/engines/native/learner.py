"""Learner of the compiled kernels: one policy and its optimiser, bound to the arrays of `kernels/learner.c`."""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from custom_ppo import recipe as recipes
from custom_ppo.config import UpdateConfig
from custom_ppo.engines.features import flattened_keys
from custom_ppo.engines.flat import FlatOptimizer
from custom_ppo.engines.native.encoding import layout
from custom_ppo.engines.native.heads import NativeHead, native_head
from custom_ppo.engines.native.library import load
from custom_ppo.engines.native.optimizers import kernel_options
from custom_ppo.losses import clipped_surrogate, half_value_loss, kl_penalty
from custom_ppo.memory import Batch
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO, Recipe

__all__ = [
    "ACTIVATIONS",
    "OBJECTIVES",
    "STOPPED_EARLY",
    "VALUE_CLIPPINGS",
    "Learner",
    "activation_of",
    "reason_against_layers",
]

Float32 = NDArray[np.float32]

COMPLETE, STOPPED_EARLY, NOT_FINITE = range(3)
"""Outcomes of an epoch, in the order of kernels/learner.c."""

ACTIVATIONS: Mapping[type[nn.Module], int] = {
    nn.Tanh: 1,
    nn.ReLU: 2,
    nn.ELU: 3,
    nn.GELU: 4,
    nn.LeakyReLU: 5,
    nn.SiLU: 6,
    nn.Sigmoid: 7,
}
"""Class of an activation -> its number in kernels/kernels.h."""

OBJECTIVES: Mapping[Any, int] = {clipped_surrogate: 0, recipes.log_prob_objective: 1, kl_penalty: 2}
"""Objective of a recipe's policy loss -> its number in kernels/kernels.h."""

VALUE_CLIPPINGS: Mapping[Any, int] = {recipes.clip_around_old_values: 1, recipes.clip_improvements_only: 2}
"""`clip_values` of a recipe -> its number in kernels/kernels.h; 0 stands for values that are not clipped."""

TERMS = np.dtype([(name, np.float32) for name in (
    "policy_loss", "value_loss", "entropy_loss", "clip_fraction", "approx_kl", "loss",
)])  # fmt: skip
"""`Terms` of kernels/kernels.h: the numbers of one minibatch."""


class _Numbers(ctypes.Structure):
    """`Numbers` of kernels/kernels.h: the numbers of one update."""

    _fields_ = [
        *((name, ctypes.c_double) for name in (
            "clip_range", "clip_range_vf", "beta", "ent_coef", "vf_coef", "max_grad_norm", "learning_rate", "target_kl",
        )),
        *((name, ctypes.c_int32) for name in (
            "objective", "value_clipping", "half_value_loss", "normalize_advantage", "stop_at_target_kl",
        )),
    ]  # fmt: skip


class _Rollout(ctypes.Structure):
    """`Rollout` of kernels/learner.c: the transitions of a whole rollout."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("features", "actions", "old_values", "old_log_prob", "advantages", "returns")
    ]


class Transitions:
    """Transitions of a rollout where the kernels find them.

    features: float32 [T * N, features], the encoded observations of the batch.
    """

    def __init__(self, features: Tensor, batch: Batch) -> None:
        assert self.possible(features, batch)
        self.features = features
        actions = batch.actions.to(torch.float32).contiguous()
        # Kept, as the kernels have their addresses only.
        self._columns = (features, actions, *(column.contiguous() for column in _numbers_of(batch)))
        self.addresses = _Rollout(*(column.data_ptr() for column in self._columns))

    @staticmethod
    def possible(features: Tensor, batch: Batch) -> bool:
        """Return True if all numbers are float32, and all columns have one row for each transition."""
        n = len(batch)
        columns = (features, *_numbers_of(batch))
        return len(batch.actions) == n and all(c.dtype == torch.float32 and len(c) == n for c in columns)


def _numbers_of(batch: Batch) -> tuple[Tensor, ...]:
    return batch.old_values, batch.old_log_prob, batch.advantages, batch.returns


class Learner:
    """Actor, critic, distribution and optimiser inside the kernels, which change the parameters in place.

    capacity: most states that are handled at once, of a minibatch or of parallel environments.
    flat: must be bound; the kernels keep the addresses of its tensors.
    """

    def __init__(self, policy: ActorCritic, flat: FlatOptimizer, recipe: Recipe, capacity: int) -> None:
        self.kernels = load().kernels
        self.policy = policy
        self.flat = flat
        self.recipe = recipe
        self.capacity = capacity
        self._gradients = dict(zip(map(id, flat.parameters), flat.grad_views, strict=True))
        twins = policy.mlp_extractor
        self.n_features = _n_features(policy)
        self.handle = self.kernels.learner_new(capacity, self.n_features)
        for of_critic, layers in (
            (False, [*twins.policy_net, policy.action_net]),
            (True, [*twins.value_net, policy.value_net]),
        ):
            self._add_layers(of_critic, [layer for layer in layers if type(layer) is not nn.Identity])
        self.head: NativeHead = native_head(self, policy)
        self._set_optimizer()
        self.kernels.learner_ready(self.handle)
        self.addresses = self._addresses()
        self.activations = self._activations()
        self.switches = self._switches()
        self._parts = self._parts_now()
        self._last_numbers: tuple[UpdateConfig | None, _Numbers] = None, _Numbers()
        # The text of a copy: Box.__repr__ stores it in the space, with which it would reach the model's files. Without
        # hidden layers, the extractor's text does not show the number of features.
        actions = repr(copy(policy.action_space))
        self.architecture = (self.n_features, *self.switches, repr(twins), actions)

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self.kernels.learner_free(self.handle)

    def shape_class(self, config: UpdateConfig) -> tuple[Any, ...]:
        """Return what decides which code of the kernels, and of PyTorch, runs in an update."""
        numbers = self._numbers(config)
        switches = (numbers.objective, numbers.value_clipping, numbers.half_value_loss, numbers.normalize_advantage)
        return (*self.architecture, type(self.flat).__name__, self.options, *switches, config.ent_coef != 0)

    def is_outdated(self) -> bool:
        """Return True if a layer, or a switch of policy or optimiser, was exchanged since this learner was made."""
        if self.addresses != self._addresses():
            return True
        parts = self._parts_now()
        if len(parts) == len(self._parts) and all(map(operator.is_, parts, self._parts)):
            return False
        return (
            self.switches != self._switches()
            or self.options != kernel_options(self.flat)[1]
            or self.activations != self._activations()
        )

    def _parts_now(self) -> list[Any]:
        """Return the objects that switches, settings and activations are derived from, which takes far longer."""
        policy, group = self.policy, self.flat.optimizer.param_groups[0]
        twins, extractor = policy.mlp_extractor, policy.pi_features_extractor
        layers = [*twins.policy_net._modules.values(), *twins.value_net._modules.values()]
        return [
            policy.observation_space,
            policy.normalize_images,
            *flattened_keys(extractor),
            *_sde_options(policy),
            *[value for name, value in group.items() if name not in ("params", "lr", "initial_lr")],
            *layers,
            *[vars(layer).get(name) for layer in layers if layer is not None for name in ("alpha", "negative_slope")],
        ]

    def _switches(self) -> tuple[Any, ...]:
        """Return kinds of observations and options of gSDE, which users may change."""
        return layout(self.policy), _sde_options(self.policy)

    def _activations(self) -> list[tuple[int, float]]:
        twins = self.policy.mlp_extractor
        return [activation_of(layer) for layer in (*twins.policy_net, *twins.value_net)]

    def _addresses(self) -> list[int]:
        return [parameter.data_ptr() for parameter in self.flat.parameters]

    def gradient_of(self, parameter: Tensor) -> int:
        """Return the address of the gradient of a parameter."""
        return self._gradients[id(parameter)].data_ptr()

    def _add_layers(self, of_critic: bool, layers: list[nn.Module]) -> None:
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, nn.Linear):
                activation, slope = activation_of(following)
                self.kernels.learner_add_layer(
                    self.handle, of_critic, layer.in_features, layer.out_features, activation, slope,
                    layer.weight.data_ptr(), layer.bias.data_ptr(),
                    self.gradient_of(layer.weight), self.gradient_of(layer.bias),
                )  # fmt: skip

    def _set_optimizer(self) -> None:
        flat = self.flat
        kind, options, state = kernel_options(flat)
        addresses = [view.data_ptr() for view in flat.grad_views]
        sizes = [view.numel() for view in flat.grad_views]
        self.kernels.learner_set_optimizer(
            self.handle, kind, flat.values.numel(), flat.values.data_ptr(), flat.grads.data_ptr(),
            (ctypes.c_void_p * 3)(*(None if tensor is None else tensor.data_ptr() for tensor in state)),
            (ctypes.c_double * 8)(*options),
            len(sizes), (ctypes.c_void_p * len(sizes))(*addresses), (ctypes.c_int64 * len(sizes))(*sizes),
        )  # fmt: skip
        self.options = options

    def accepts(self, transitions: Transitions, order: NDArray[np.int64]) -> bool:
        """Return True if an epoch of these transitions in this order leaves no array.

        Users may exchange the actions of a rollout, and the order; what PyTorch refuses must be refused here, too.
        """
        if not isinstance(order, np.ndarray) or order.dtype != np.int64 or not order.flags.c_contiguous:
            return False
        n = len(transitions.features)
        addresses = transitions.addresses.actions, n, order.ctypes.data, len(order)
        return bool(self.kernels.learner_accepts(self.handle, *addresses))

    def learn_epoch(
        self, transitions: Transitions, order: NDArray[np.int64], config: UpdateConfig
    ) -> tuple[NDArray[Any], bool]:
        """Make one epoch; return the `TERMS` of its minibatches, and True if the last one exceeded target_kl.

        order: indices of the transitions, contiguous, each below their number.
        An epoch ends at a loss that is not finite, before that changes the weights.
        """
        size = config.batch_size or len(order)
        terms = np.empty(-(-len(order) // size), TERMS)
        n_minibatches = ctypes.c_int64()
        self.kernels.learner_set_steps(self.handle, self.flat.n_steps)
        try:
            outcome = self.kernels.learner_epoch(
                self.handle, ctypes.byref(transitions.addresses), order.ctypes.data, len(order), size,
                ctypes.byref(self._numbers(config)), terms.ctypes.data, ctypes.byref(n_minibatches),
            )  # fmt: skip
        finally:  # also where Ctrl-C was pressed meanwhile: the weights have made these steps
            self.flat.n_steps = self.kernels.learner_steps(self.handle)
        return terms[: n_minibatches.value], outcome == STOPPED_EARLY

    def _numbers(self, config: UpdateConfig) -> _Numbers:
        """Return the numbers of an update as the kernels take them; they are made once for all of its epochs."""
        if self._last_numbers[0] is not config:
            self._last_numbers = config, _numbers(config, self.recipe)
        return self._last_numbers[1]


def reason_against_layers(policy: ActorCritic) -> str | None:
    """Return the reason why the kernels have no counterpart of a layer, or None if they have one of each."""
    twins = policy.mlp_extractor
    if not all(map(_alternate, (twins.policy_net, twins.value_net))):
        return "an activation does not follow a linear layer"
    for layer in (*twins.policy_net, *twins.value_net):
        # Not by tanh, GELU is code that oneDNN makes for the processor at hand (use_mkldnn in ATen's Activation.cpp).
        by_erf = getattr(layer, "approximate", "tanh") != "tanh"
        if by_erf or type(layer) not in (nn.Linear, nn.Identity, *ACTIVATIONS):
            return f"no kernel computes {layer}"
        # In place, PyTorch derives the others from their result.
        if getattr(layer, "inplace", False) and type(layer) is not nn.ReLU:
            return f"{type(layer).__name__} works in place"
    return None


def _alternate(layers: Iterable[nn.Module]) -> bool:
    """Return True if every activation follows a linear layer, as the kernels apply it to the output of that."""
    linear = [isinstance(layer, nn.Linear) for layer in layers if type(layer) is not nn.Identity]
    return all(one or other for one, other in zip([False, *linear], linear, strict=False))


def activation_of(layer: nn.Module | None) -> tuple[int, float]:
    """Return the kernels' number of an activation and its slope; 0 for a linear layer that follows directly."""
    if layer is None or isinstance(layer, (nn.Linear, nn.Identity)):
        return 0, 0.0
    return ACTIVATIONS[type(layer)], float(getattr(layer, "alpha", getattr(layer, "negative_slope", 0.0)))


def _sde_options(policy: ActorCritic) -> tuple[bool, ...]:
    sde = policy.sde
    return () if sde is None else (sde.full_std, sde.use_expln, sde.squash_output)


def _n_features(policy: ActorCritic) -> int:
    return int(policy.features_extractor.features_dim)  # type: ignore[arg-type]


def _numbers(config: UpdateConfig, recipe: Recipe) -> _Numbers:
    """Return the numbers of an update as the kernels take them."""
    return _Numbers(
        clip_range=config.clip_range,
        clip_range_vf=config.clip_range_vf or 0.0,
        beta=config.beta,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        learning_rate=config.learning_rate,
        target_kl=config.target_kl or 0.0,
        objective=OBJECTIVES[recipe.policy_loss.objective],
        value_clipping=0 if config.clip_range_vf is None else VALUE_CLIPPINGS[recipe.clip_values],
        half_value_loss=recipe.value_loss is half_value_loss,
        normalize_advantage=config.normalize_advantage,
        stop_at_target_kl=config.target_kl is not None and recipe.stop_early is SB3_PPO.stop_early,
    )
