"""Wrong log-probabilities that people have published, from custom_ppo's distributions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from custom_ppo.distributions import Bernoulli, DiagGaussian, Distribution
from harness.checks.case import Mistake
from harness.checks.mistakes.components import (
    LOG_2PI,
    REDUCTIONS,
    Formula,
    bernoulli,
    categorical,
    gaussian,
    gsde,
    gsde_std,
    log_probs_of,
    multi_categorical,
    tensors,
)

__all__ = ["LOG_PROB_FORMULAE", "LOG_PROB_MISTAKES"]


def _of_log_probs(components: Callable[..., list[Distribution]], *, several: bool = True) -> dict[str, Formula]:
    def of(change: Callable[[Tensor], Tensor]) -> Formula:
        return lambda *arguments: change(log_probs_of(components(*arguments[:-1]), arguments[-1]))

    formulae = {text: of(reduce) for text, reduce in REDUCTIONS.items()} if several else {}
    return {
        **formulae,
        "the sign: minus the log-probability, as a cross-entropy loss has it": of(lambda parts: -parts.sum(dim=1)),
        "probabilities, without the logarithm": of(lambda parts: parts.sum(dim=1).exp()),
        "the logarithm to base 2": of(lambda parts: parts.sum(dim=1) / math.log(2)),
    }


def _chosen(log_probs: Tensor, actions: Tensor) -> Tensor:
    return log_probs.gather(1, actions.unsqueeze(1)).squeeze(1)


def _both(first: Tensor, actions: Tensor) -> Tensor:
    return (actions * first).sum(dim=1)


def _gaussian_terms(change: Callable[[Tensor, Tensor], Tensor]) -> Formula:
    """A formula of (action - mean) and log_std, [B, A] each, added up."""
    return lambda mean, log_std, actions: change(actions - mean, log_std.expand_as(mean)).sum(dim=1)


def _other_std(std: Callable[[Tensor], Tensor]) -> Formula:
    return lambda mean, log_std, actions: DiagGaussian(mean, std(log_std).log()).log_prob(actions)


def _softplus(log_std: Tensor) -> Tensor:
    return functional.softplus(log_std)


def _artanh(actions: Tensor) -> Tensor:
    return torch.atanh(actions)


def _jacobian(actions: Tensor) -> Tensor:
    return torch.log(1 - actions**2 + 1e-6)


def _squashed(mean: Tensor, log_std: Tensor, actions: Tensor, correction: Tensor) -> Tensor:
    return DiagGaussian(mean, log_std).log_prob(_artanh(actions)) + correction


def _gsde_with(std: Callable[[Tensor, Tensor], Tensor]) -> Formula:
    def formula(mean: Tensor, log_std: Tensor, features: Tensor, actions: Tensor) -> Tensor:
        deviation = std(log_std, features)
        z = (actions - mean) / deviation
        return (-0.5 * z**2 - deviation.log() - 0.5 * LOG_2PI).sum(dim=1)

    return formula


LOG_PROB_FORMULAE: Mapping[str, Mapping[str, Formula]] = {
    "categorical": {
        **_of_log_probs(categorical, several=False),
        "the logits are not normalised: log-softmax is missing": lambda logits, a: _chosen(logits, a),
        "the softmax runs over the batch (dim 0), not over the choices": lambda logits, a: _chosen(
            logits.log_softmax(0), a
        ),
        "log(softmax(...)), which underflows to -inf; use log_softmax": lambda logits, a: _chosen(
            logits.softmax(1).log(), a
        ),
        "log(p + 1e-8), which bounds the log-probability of unlikely actions": lambda logits, a: _chosen(
            torch.log(logits.softmax(1) + 1e-8), a
        ),
        "sigmoid in the place of softmax": lambda logits, a: _chosen(functional.logsigmoid(logits), a),
        "logits are taken as probabilities": lambda logits, a: _chosen(torch.log(logits / logits.sum(1, True)), a),
        "the most likely action counts, not the given one": lambda logits, a: logits.log_softmax(1).max(1).values,
        "a softmax of a softmax": lambda logits, a: _chosen(logits.softmax(1).log_softmax(1), a),
        "every action of the batch for every row: [B, B], as actions were given as [B, 1]": lambda logits, a: (
            logits.log_softmax(1)[:, a].T
        ),
    },
    "multi_categorical": {
        **_of_log_probs(multi_categorical),
        "one softmax over all components together": lambda logits, nvec, a: _chosen_of_all(
            logits.log_softmax(1), nvec, a
        ),
        "the logits are not normalised: log-softmax is missing": lambda logits, nvec, a: _chosen_of_all(
            logits, nvec, a
        ),
    },
    "bernoulli": {
        **_of_log_probs(bernoulli),
        "switches that are off are left out: (1 - a) log(1 - p) is missing": lambda logits, a: _both(
            functional.logsigmoid(logits), a
        ),
        "on and off are exchanged": lambda logits, a: Bernoulli(logits).log_prob(1 - a),
        "log p of every switch, whatever the action": lambda logits, a: functional.logsigmoid(logits).sum(1),
        "logits are taken as probabilities": lambda logits, a: (a * logits.log() + (1 - a) * (1 - logits).log()).sum(1),
        "log(sigmoid(...)), which underflows to -inf; use logsigmoid": lambda logits, a: torch.where(
            a == 1, torch.sigmoid(logits).log(), (1 - torch.sigmoid(logits)).log()
        ).sum(1),
    },
    "diag_gaussian": {
        **_of_log_probs(gaussian),
        "log_std is taken as the logarithm of the variance: std = exp(log_std / 2)": _other_std(
            lambda log_std: torch.exp(0.5 * log_std)
        ),
        "the variance is taken as the standard deviation: std = exp(2 log_std)": _other_std(
            lambda log_std: torch.exp(2 * log_std)
        ),
        "softplus(log_std) in the place of exp(log_std)": _other_std(_softplus),
        "log_std is used as the standard deviation itself": _other_std(lambda log_std: log_std.abs()),
        "the standard deviation is always 1": _other_std(torch.ones_like),
        "the constant -log(2 pi) / 2 of each component is missing": _gaussian_terms(
            lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 - log_std
        ),
        "the constant -log(2 pi) / 2 counts once, not for each component": lambda mean, log_std, a: (
            DiagGaussian(mean, log_std).log_prob(a) + 0.5 * (mean.shape[1] - 1) * LOG_2PI
        ),
        "- log_std is missing": _gaussian_terms(lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 - 0.5 * LOG_2PI),
        "+ log_std where - log_std belongs": _gaussian_terms(
            lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 + log_std - 0.5 * LOG_2PI
        ),
        "the factor 1/2 of the square is missing": _gaussian_terms(
            lambda d, log_std: -((d / log_std.exp()) ** 2) - log_std - 0.5 * LOG_2PI
        ),
        "the square is divided by the standard deviation, not by the variance": _gaussian_terms(
            lambda d, log_std: -0.5 * d**2 / log_std.exp() - log_std - 0.5 * LOG_2PI
        ),
        "the square alone: -(a - mean)^2 / (2 variance)": _gaussian_terms(
            lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2
        ),
        "log 2 pi where log(2 pi) / 2 belongs": _gaussian_terms(
            lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 - log_std - LOG_2PI
        ),
        "actions are clipped to [-1, 1] first; the density is that of the sample": lambda mean, log_std, a: (
            DiagGaussian(mean, log_std).log_prob(a.clamp(-1, 1))
        ),
        "actions are squashed by tanh first": lambda mean, log_std, a: DiagGaussian(mean, log_std).log_prob(
            torch.tanh(a)
        ),
    },
    "squashed_gaussian": {
        "the change of variables is missing: - sum log(1 - a^2)": lambda mean, log_std, a: _squashed(
            mean, log_std, a, torch.zeros(len(a))
        ),
        "the change of variables has the wrong sign: + sum log(1 - a^2)": lambda mean, log_std, a: _squashed(
            mean, log_std, a, _jacobian(a).sum(1)
        ),
        "the change of variables is a mean over the components, not a sum": lambda mean, log_std, a: _squashed(
            mean, log_std, a, -_jacobian(a).mean(1)
        ),
        "the squashed action is judged by the Gaussian: artanh is missing": lambda mean, log_std, a: (
            DiagGaussian(mean, log_std).log_prob(a) - _jacobian(a).sum(1)
        ),
        "neither artanh nor the change of variables: the Gaussian of the squashed action": lambda mean, log_std, a: (
            DiagGaussian(mean, log_std).log_prob(a)
        ),
        "the action is squashed twice in the change of variables: 1 - tanh(a)^2": lambda mean, log_std, a: _squashed(
            mean, log_std, a, -_jacobian(torch.tanh(a)).sum(1)
        ),
        "the sign: minus the log-probability": lambda mean, log_std, a: (
            -_squashed(mean, log_std, a, -_jacobian(a).sum(1))
        ),
        "log_std is taken as the logarithm of the variance: std = exp(log_std / 2)": lambda mean, log_std, a: _squashed(
            mean, 0.5 * log_std, a, -_jacobian(a).sum(1)
        ),
    },
    "gsde": {
        **_of_log_probs(gsde),
        "the standard deviation lacks its root: it is the variance": _gsde_with(
            lambda log_std, f: gsde_std(log_std, f) ** 2
        ),
        "features and deviations are multiplied without their squares: features @ std": _gsde_with(
            lambda log_std, f: (f @ log_std.exp()).abs()
        ),
        "deviations are not squared: sqrt(features^2 @ std)": _gsde_with(
            lambda log_std, f: torch.sqrt(f**2 @ log_std.exp() + 1e-6)
        ),
        "epsilon of 1e-6 in the variance is missing": _gsde_with(
            lambda log_std, f: torch.sqrt(f**2 @ log_std.exp() ** 2)
        ),
        "epsilon of 1e-6 stands outside of the root": _gsde_with(
            lambda log_std, f: torch.sqrt(f**2 @ log_std.exp() ** 2) + 1e-6
        ),
    },
}


def _chosen_of_all(log_probs: Tensor, nvec: Sequence[int], actions: Tensor) -> Tensor:
    offsets = torch.tensor([0, *np.cumsum(nvec)[:-1]])
    return log_probs.gather(1, actions + offsets).sum(1)


def _log_prob_mistake(formula: Formula) -> Mistake:
    return lambda inputs: {"log_prob": formula(*tensors(inputs)).double().numpy()}


LOG_PROB_MISTAKES: Mapping[str, Mapping[str, Mistake]] = {
    name: {text: _log_prob_mistake(formula) for text, formula in formulae.items()}
    for name, formulae in LOG_PROB_FORMULAE.items()
}
