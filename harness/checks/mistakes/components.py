"""The distributions of custom_ppo taken apart into their components, for formulae that put them together wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from custom_ppo.distributions import Bernoulli, Categorical, DiagGaussian, Distribution, StateDependentNoise
from harness.checks.case import Inputs

__all__ = [
    "LOG_2PI",
    "REDUCTIONS",
    "Formula",
    "bernoulli",
    "categorical",
    "entropies_of",
    "gaussian",
    "gsde",
    "gsde_std",
    "log_probs_of",
    "multi_categorical",
    "tensors",
]

Formula = Callable[..., Tensor]
"""Of the parameters of a distribution, and of actions for a log-probability."""

LOG_2PI = math.log(2 * math.pi)


def categorical(logits: Tensor) -> list[Distribution]:
    """One choice."""
    return [Categorical(logits)]


def multi_categorical(logits: Tensor, nvec: Sequence[int]) -> list[Distribution]:
    """One choice for each component."""
    return [Categorical(part) for part in torch.split(logits, list(nvec), dim=1)]


def bernoulli(logits: Tensor) -> list[Distribution]:
    """One switch for each component."""
    return [Bernoulli(logits[:, i : i + 1]) for i in range(logits.shape[1])]


def gaussian(mean: Tensor, log_std: Tensor) -> list[Distribution]:
    """One Gaussian for each component."""
    return [DiagGaussian(mean[:, i : i + 1], log_std[i : i + 1]) for i in range(mean.shape[1])]


def gsde(mean: Tensor, log_std: Tensor, features: Tensor) -> list[Distribution]:
    """One Gaussian with gSDE's deviation for each component."""
    noise = StateDependentNoise(1, full_std=True, use_expln=False, squash_output=False)
    return [noise.distribution(mean[:, i : i + 1], log_std[:, i : i + 1], features) for i in range(mean.shape[1])]


def _columns(components: Sequence[Distribution], actions: Tensor) -> list[Tensor]:
    if actions.ndim == 1:
        return [actions]
    if isinstance(components[0], Categorical):
        return list(torch.unbind(actions, dim=1))
    return [actions[:, i : i + 1] for i in range(actions.shape[1])]


def log_probs_of(components: Sequence[Distribution], actions: Tensor) -> Tensor:
    """Of each component, [B, A]."""
    columns = _columns(components, actions)
    return torch.stack([part.log_prob(column) for part, column in zip(components, columns, strict=True)], dim=1)


def entropies_of(components: Sequence[Distribution]) -> Tensor:
    """Of each component, [B, A]."""
    parts = [part.entropy() for part in components]
    return torch.stack([part for part in parts if part is not None], dim=1)


REDUCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "the mean over the components of an action instead of their sum": lambda parts: parts.mean(dim=1),
    "the components of an action are not added up: the result is [B, A]": lambda parts: parts,
    "only the first component of an action counts": lambda parts: parts[:, 0],
    "only the last component of an action counts": lambda parts: parts[:, -1],
    "the sum runs over the batch, not over the components": lambda parts: parts.sum(dim=0),
    "everything is added up to one number, the batch, too": lambda parts: parts.sum(),
}


def gsde_std(log_std: Tensor, features: Tensor) -> Tensor:
    """Standard deviation of gSDE's actions, [B, A]."""
    return torch.sqrt(features**2 @ log_std.exp() ** 2 + 1e-6)


def tensors(inputs: Inputs) -> list[Any]:
    """The inputs of a case as a formula takes them, in order."""
    return [torch.from_numpy(value) if isinstance(value, np.ndarray) else value for value in inputs.values()]
