"""Fingerprint of a policy and its optimiser: says in microseconds that nothing changed which decides on the engine.

An engine is chosen before every rollout and every update, as hooks and layers may come and go. The reasons against an
engine are found in a tenth of a millisecond, which is much if a rollout has five steps.
"""

from __future__ import annotations

import operator
from itertools import chain
from operator import itemgetter
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

__all__ = ["Fingerprint", "switches"]

_dicts_of = itemgetter(
    "_modules", "_parameters", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"
)
_METHODS = ("evaluate_actions", "_latents", "_distribution", "_encode", "forward", "predict_values")
_SETTINGS = ("alpha", "negative_slope", "inplace", "approximate")
"""Attributes of activations."""
_SWITCHES = ("normalize_images", "share_features_extractor")
"""Attributes of a policy."""
_NOISE_SWITCHES = ("full_std", "use_expln", "squash_output")
"""Attributes of gSDE's noise."""


class Fingerprint:
    """State of a policy, its optimiser and the recipe at one moment; the engine was chosen for it."""

    def __init__(self, policy: nn.Module, optimizer: torch.optim.Optimizer, recipe: Any) -> None:
        self.policy, self.optimizer, self.recipe = policy, optimizer, recipe
        self._objects = _objects(policy, optimizer)
        self._attributes = [vars(module) for module in policy.modules()]
        # An attribute that is added is seen in the number of attributes.
        self._settings = [(state, name) for state in self._attributes for name in _SETTINGS if name in state]
        self._members, self._facts = self._members_now(), self._facts_now()
        self._parameters = list(policy.parameters())

    def unchanged(self, policy: nn.Module, optimizer: torch.optim.Optimizer, recipe: Any) -> bool:
        """Return True if these are the same objects, and nobody exchanged, froze, moved or watches a part of them."""
        return (
            policy is self.policy
            and optimizer is self.optimizer
            and recipe is self.recipe
            and _objects(policy, optimizer) == self._objects
            and self._facts_now() == self._facts
            and all(map(operator.is_, self._members_now(), self._members))
            and all(
                p.requires_grad
                and p.is_cpu
                and p.dtype is torch.float32
                and not p._backward_hooks
                and not p._post_accumulate_grad_hooks
                for p in self._parameters
            )
            and not nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
        )

    def _members_now(self) -> list[Any]:
        """Return the modules and parameters in all modules."""
        names = "_modules", "_parameters"
        return [member for state in self._attributes for name in names for member in state[name].values()]

    def _facts_now(self) -> tuple[list[Any], ...]:
        """Return what must be equal in all modules: numbers of attributes, members and hooks, own methods, settings."""
        states = self._attributes
        return (
            [*map(len, states)],
            [*map(len, chain.from_iterable(map(_dicts_of, states)))],
            ["forward" in state for state in states],
            [state.get(name) for state, name in self._settings],
        )


def _objects(policy: Any, optimizer: torch.optim.Optimizer) -> list[Any]:
    """Return what must be the same, by identity, outside of the modules: methods, spaces, settings, state."""
    group = optimizer.param_groups[0]
    settings = [value for name, value in group.items() if name not in ("params", "lr", "initial_lr")]
    methods = [getattr(getattr(policy, name, None), "__func__", None) for name in _METHODS]
    others = [policy.action_space, policy.observation_space, getattr(policy, "sde", None), optimizer.state]
    return [
        *map(id, (*methods, *others, *group["params"])),
        *switches(policy),
        settings,
        len(optimizer.param_groups),
        len(optimizer.state),
        "step" in vars(optimizer),
        len(optimizer._optimizer_step_pre_hooks),
        len(optimizer._optimizer_step_post_hooks),
        len(_global_optimizer_pre_hooks),
        len(_global_optimizer_post_hooks),
    ]


def switches(policy: Any) -> list[Any]:
    """Return attributes of a policy that its methods read at every call, and that an engine may have read only once."""
    state, noise = vars(policy), getattr(policy, "sde", None)
    own = [state.get(name) for name in _SWITCHES]
    return own if noise is None else [*own, *[getattr(noise, name, None) for name in _NOISE_SWITCHES]]
