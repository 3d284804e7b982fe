"""Components of action distributions, for wrong formulas of log-probabilities and entropies.

A formula of a log-probability takes the parameters of a distribution and actions, and one of an entropy the parameters
alone; the result is [B]. The formulas of one mistake are a mapping from names of distributions to functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from custom_ppo.distributions import Bernoulli, Categorical, DiagGaussian, Distribution, StateDependentNoise

__all__ = [
    "ALL",
    "LOG_2PI",
    "SEVERAL",
    "Formula",
    "components",
    "entropies_of",
    "entropy_with_std",
    "gsde_std",
    "log_prob_squashed_with_std",
    "log_prob_with_std",
    "log_probs_of",
    "of_entropies",
    "of_log_probs",
    "squashed_log_prob",
    "with_std",
]

Formula = Callable[..., Tensor]

LOG_2PI = math.log(2 * math.pi)


def _categorical(logits: Tensor) -> list[Distribution]:
    return [Categorical(logits)]


def _multi_categorical(logits: Tensor, nvec: Sequence[int]) -> list[Distribution]:
    return [Categorical(part) for part in torch.split(logits, list(nvec), dim=1)]


def _bernoulli(logits: Tensor) -> list[Distribution]:
    return [Bernoulli(logits[:, i : i + 1]) for i in range(logits.shape[1])]


def _gaussian(mean: Tensor, log_std: Tensor) -> list[Distribution]:
    return [DiagGaussian(mean[:, i : i + 1], log_std[i : i + 1]) for i in range(mean.shape[1])]


def _gsde(mean: Tensor, log_std: Tensor, features: Tensor) -> list[Distribution]:
    noise = StateDependentNoise(1, full_std=True, use_expln=False, squash_output=False)
    return [noise.distribution(mean[:, i : i + 1], log_std[:, i : i + 1], features) for i in range(mean.shape[1])]


components: Mapping[str, Callable[..., list[Distribution]]] = {
    "categorical": _categorical,
    "multi_categorical": _multi_categorical,
    "bernoulli": _bernoulli,
    "diag_gaussian": _gaussian,
    "gsde": _gsde,
}
"""Distribution -> function from its parameters to one distribution for each component of an action."""
ALL = tuple(components)
SEVERAL = tuple(name for name in ALL if name != "categorical")
"""Distributions over actions of several components."""


def _columns(parts: Sequence[Distribution], actions: Tensor) -> list[Tensor]:
    if actions.ndim == 1:
        return [actions]
    if isinstance(parts[0], Categorical):
        return list(torch.unbind(actions, dim=1))
    return [actions[:, i : i + 1] for i in range(actions.shape[1])]


def log_probs_of(parts: Sequence[Distribution], actions: Tensor) -> Tensor:
    """Return the log-probability of each component, [B, A]."""
    columns = _columns(parts, actions)
    return torch.stack([part.log_prob(column) for part, column in zip(parts, columns, strict=True)], dim=1)


def entropies_of(parts: Sequence[Distribution]) -> Tensor:
    """Return the entropy of each component, [B, A]."""
    entropies = [part.entropy() for part in parts]
    return torch.stack([entropy for entropy in entropies if entropy is not None], dim=1)


def of_log_probs(names: Sequence[str], change: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return formulas of these distributions: change(log-probabilities of the components [B, A])."""

    def formula(name: str) -> Formula:
        return lambda *arguments: change(log_probs_of(components[name](*arguments[:-1]), arguments[-1]))

    return {name: formula(name) for name in names}


def of_entropies(names: Sequence[str], change: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return formulas of these distributions: change(entropies of the components [B, A])."""

    def formula(name: str) -> Formula:
        return lambda *arguments: change(entropies_of(components[name](*arguments)))

    return {name: formula(name) for name in names}


def with_std(distribution: DiagGaussian, std: Tensor) -> DiagGaussian:
    """Give a Gaussian another standard deviation, [A], and return it."""
    distribution.std = torch.ones_like(distribution.mean) * std
    return distribution


def log_prob_with_std(std: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return the log-probability of a Gaussian whose standard deviation is std(log_std)."""
    return {
        "diag_gaussian": lambda mean, log_std, actions: with_std(DiagGaussian(mean, log_std), std(log_std)).log_prob(
            actions
        )
    }


def log_prob_squashed_with_std(std: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return the log-probability of a squashed Gaussian whose standard deviation is std(log_std)."""
    return {
        "squashed_gaussian": lambda mean, log_std, actions: squashed_log_prob(
            mean, std(log_std).log(), actions, -torch.log(1 - actions**2 + 1e-6).sum(1)
        )
    }


def entropy_with_std(std: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return the entropy of a Gaussian whose standard deviation is std(log_std)."""
    return {"diag_gaussian": lambda mean, log_std: with_std(DiagGaussian(mean, log_std), std(log_std)).entropy()}


def squashed_log_prob(mean: Tensor, log_std: Tensor, actions: Tensor, correction: Tensor) -> Tensor:
    """Return the log-probability of actions tanh(sample) with this correction for the change of variables, [B]."""
    return DiagGaussian(mean, log_std).log_prob(torch.atanh(actions)) + correction


def gsde_std(log_std: Tensor, features: Tensor) -> Tensor:
    """Return the standard deviation of gSDE's actions, [B, A]."""
    return torch.sqrt(features**2 @ log_std.exp() ** 2 + 1e-6)
