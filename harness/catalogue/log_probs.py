"""Wrong log-probabilities of actions, known from single functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from custom_ppo.distributions import Bernoulli, Categorical, DiagGaussian
from harness.catalogue.components import (
    ALL,
    LOG_2PI,
    SEVERAL,
    Formula,
    entropy_with_std,
    gsde_std,
    log_prob_with_std,
    of_log_probs,
    squashed_log_prob,
)
from harness.catalogue.mistake import UNSEEN, Mistake, Role, checked_only

__all__ = ["LOG_PROBS"]


def _mistake(
    id: str,
    hint: str,
    formulas: Mapping[str, Formula],
    *,
    entropy: tuple[str, Mapping[str, Formula]] | None = None,
    why: str = UNSEEN,
) -> Mistake:
    """Return a wrong log-probability; entropy: hint and formulas of the entropy with the same mistake."""
    if entropy is None:
        return checked_only(id, "log_prob", hint, formula=formulas, why=why)
    hints: Mapping[Role, str] = {"log_prob": hint, "entropy": entropy[0]}
    both: Mapping[Role, Any] = {"log_prob": formulas, "entropy": entropy[1]}
    return Mistake(id, hint, hints=hints, formulas=both, no_deviation=why)


def _chosen(log_probs: Tensor, actions: Tensor) -> Tensor:
    return log_probs.gather(1, actions.unsqueeze(1)).squeeze(1)


def _chosen_of_all(log_probs: Tensor, nvec: Sequence[int], actions: Tensor) -> Tensor:
    offsets = torch.tensor([0, *np.cumsum(nvec)[:-1]])
    return log_probs.gather(1, actions + offsets).sum(1)


def _choice(log_probs: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return a formula of one choice whose log-probabilities [B, n] are log_probs(logits)."""
    return {"categorical": lambda logits, actions: _chosen(log_probs(logits), actions)}


def _gaussian(change: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Formula]:
    """Return a formula of (action - mean) and log_std, [B, A] each, added up over the components."""
    return {"diag_gaussian": lambda mean, log_std, actions: change(actions - mean, log_std.expand_as(mean)).sum(dim=1)}


def _jacobian(actions: Tensor) -> Tensor:
    """Return the logarithm of the derivative of tanh where it is `actions`."""
    return torch.log(1 - actions**2 + 1e-6)


def _squashed(correction: Callable[[Tensor], Tensor]) -> Formula:
    """Return the log-probability of a squashed Gaussian with correction(actions) [B] for the change of variables."""
    return lambda mean, log_std, actions: squashed_log_prob(mean, log_std, actions, correction(actions))


def _gsde(std: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Formula]:
    """Return the log-probability under gSDE whose standard deviation [B, A] is std(log_std, features)."""

    def formula(mean: Tensor, log_std: Tensor, features: Tensor, actions: Tensor) -> Tensor:
        deviation = std(log_std, features)
        z = (actions - mean) / deviation
        return (-0.5 * z**2 - deviation.log() - 0.5 * LOG_2PI).sum(dim=1)

    return {"gsde": formula}


LOG_PROBS: tuple[Mistake, ...] = (
    # components of an action
    _mistake(
        "log_prob_not_summed",
        "the components of an action are not added up: the result is [B, A]",
        of_log_probs(SEVERAL, lambda parts: parts),
    ),
    _mistake(
        "log_prob_of_first_dimension",
        "only the first component of an action counts",
        of_log_probs(SEVERAL, lambda parts: parts[:, 0]),
    ),
    _mistake(
        "log_prob_of_last_dimension",
        "only the last component of an action counts",
        of_log_probs(SEVERAL, lambda parts: parts[:, -1]),
    ),
    _mistake(
        "log_prob_summed_over_batch",
        "the sum runs over the batch, not over the components",
        of_log_probs(SEVERAL, lambda parts: parts.sum(dim=0)),
    ),
    _mistake(
        "log_prob_summed_over_everything",
        "everything is added up to one number, over the batch as well",
        of_log_probs(SEVERAL, lambda parts: parts.sum()),
    ),
    # any distribution
    _mistake(
        "log_prob_sign",
        "the sign: minus the log-probability, as a cross-entropy loss has it",
        {
            **of_log_probs(ALL, lambda parts: -parts.sum(dim=1)),
            "squashed_gaussian": lambda mean, log_std, a: -squashed_log_prob(mean, log_std, a, -_jacobian(a).sum(1)),
        },
    ),
    _mistake(
        "log_prob_without_log",
        "probabilities, without the logarithm",
        of_log_probs(ALL, lambda parts: parts.sum(dim=1).exp()),
    ),
    _mistake(
        "log_prob_base_2", "the logarithm to base 2", of_log_probs(ALL, lambda parts: parts.sum(dim=1) / math.log(2))
    ),
    # choices
    _mistake(
        "logits_not_normalised",
        "the logits are not normalised: log-softmax is missing",
        {**_choice(lambda logits: logits), "multi_categorical": _chosen_of_all},
        entropy=(
            "the logits are not normalised: - sum p * logits",
            {"categorical": lambda logits: -(logits.softmax(1) * logits).sum(1)},
        ),
    ),
    _mistake(
        "softmax_over_batch",
        "the softmax runs over the batch (dim 0), not over the choices",
        _choice(lambda logits: logits.log_softmax(0)),
        entropy=(
            "the softmax runs over the batch (dim 0), not over the choices",
            {"categorical": lambda logits: -(logits.softmax(0) * logits.log_softmax(0)).sum(1)},
        ),
    ),
    _mistake(
        "log_of_softmax",
        "log(softmax(...)), which underflows to -inf; use log_softmax",
        _choice(lambda logits: logits.softmax(1).log()),
        entropy=(
            "log(softmax(...)), which underflows: 0 * -inf = NaN",
            {"categorical": lambda logits: -(logits.softmax(1) * logits.softmax(1).log()).sum(1)},
        ),
    ),
    _mistake(
        "log_of_softmax_plus_1e-8",
        "log(p + 1e-8), which bounds the log-probability of unlikely actions",
        _choice(lambda logits: torch.log(logits.softmax(1) + 1e-8)),
    ),
    _mistake("sigmoid_for_softmax", "sigmoid instead of softmax", _choice(functional.logsigmoid)),
    _mistake(
        "logits_as_probabilities",
        "logits are taken as probabilities",
        {
            **_choice(lambda logits: torch.log(logits / logits.sum(1, True))),
            "bernoulli": lambda logits, a: (a * logits.log() + (1 - a) * (1 - logits).log()).sum(1),
        },
    ),
    _mistake(
        "log_prob_of_most_likely_action",
        "the most likely action counts, not the given one",
        {"categorical": lambda logits, a: logits.log_softmax(1).max(1).values},
    ),
    _mistake(
        "log_prob_of_every_action_of_batch",
        "every action of the batch for every row: [B, B], as actions were given as [B, 1]",
        {"categorical": lambda logits, a: logits.log_softmax(1)[:, a].T},
    ),
    _mistake(
        "one_softmax_over_all_components",
        "one softmax over all components together",
        {"multi_categorical": lambda logits, nvec, a: _chosen_of_all(logits.log_softmax(1), nvec, a)},
        entropy=(
            "one softmax over all components together",
            {"multi_categorical": lambda logits, nvec: Categorical(logits).entropy()},
        ),
    ),
    # switches
    _mistake(
        "switches_that_are_off_left_out",
        "switches that are off are left out: (1 - a) log(1 - p) is missing",
        {"bernoulli": lambda logits, a: (a * functional.logsigmoid(logits)).sum(dim=1)},
    ),
    _mistake(
        "switches_judged_in_reverse",
        "on and off are exchanged",
        {"bernoulli": lambda logits, a: Bernoulli(logits).log_prob(1 - a)},
    ),
    _mistake(
        "switches_all_on",
        "log p of every switch, whatever the action",
        {"bernoulli": lambda logits, a: functional.logsigmoid(logits).sum(1)},
    ),
    _mistake(
        "log_of_sigmoid",
        "log(sigmoid(...)), which underflows to -inf; use logsigmoid",
        {
            "bernoulli": lambda logits, a: torch.where(
                a == 1, torch.sigmoid(logits).log(), (1 - torch.sigmoid(logits)).log()
            ).sum(1)
        },
    ),
    # Gaussians
    _mistake(
        "variance_as_std",
        "the variance is taken as the standard deviation: std = exp(2 log_std)",
        log_prob_with_std(lambda log_std: torch.exp(2 * log_std)),
        entropy=("2 log_std where log_std belongs", entropy_with_std(lambda log_std: (2 * log_std).exp())),
    ),
    _mistake(
        "log_std_as_std",
        "log_std is used as the standard deviation itself",
        log_prob_with_std(lambda log_std: log_std.abs()),
    ),
    _mistake("std_always_1", "the standard deviation is always 1", log_prob_with_std(torch.ones_like)),
    _mistake(
        "gaussian_constant_missing",
        "the constant -log(2 pi) / 2 of each component is missing",
        _gaussian(lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 - log_std),
    ),
    _mistake(
        "gaussian_constant_once",
        "the constant -log(2 pi) / 2 counts once, not for each component",
        {
            "diag_gaussian": lambda mean, log_std, a: (
                DiagGaussian(mean, log_std).log_prob(a) + 0.5 * (mean.shape[1] - 1) * LOG_2PI
            )
        },
    ),
    _mistake(
        "gaussian_log_std_missing",
        "- log_std is missing",
        _gaussian(lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 - 0.5 * LOG_2PI),
    ),
    _mistake(
        "gaussian_log_std_sign",
        "+ log_std where - log_std belongs",
        _gaussian(lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 + log_std - 0.5 * LOG_2PI),
    ),
    _mistake(
        "gaussian_half_missing",
        "the factor 1/2 of the square is missing",
        _gaussian(lambda d, log_std: -((d / log_std.exp()) ** 2) - log_std - 0.5 * LOG_2PI),
    ),
    _mistake(
        "gaussian_square_over_std",
        "the square is divided by the standard deviation, not by the variance",
        _gaussian(lambda d, log_std: -0.5 * d**2 / log_std.exp() - log_std - 0.5 * LOG_2PI),
    ),
    _mistake(
        "gaussian_square_alone",
        "the square alone: -(a - mean)^2 / (2 variance)",
        _gaussian(lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2),
    ),
    _mistake(
        "gaussian_constant_doubled",
        "log 2 pi where log(2 pi) / 2 belongs",
        _gaussian(lambda d, log_std: -0.5 * (d / log_std.exp()) ** 2 - log_std - LOG_2PI),
    ),
    _mistake(
        "log_prob_clips_actions",
        "actions are clipped to [-1, 1] first; the density is that of the sample",
        {"diag_gaussian": lambda mean, log_std, a: DiagGaussian(mean, log_std).log_prob(a.clamp(-1, 1))},
        why="two deviations together: log_prob_of_clipped_action and new_log_prob_of_clipped_action",
    ),
    _mistake(
        "log_prob_squashes_actions",
        "actions are squashed by tanh first",
        {"diag_gaussian": lambda mean, log_std, a: DiagGaussian(mean, log_std).log_prob(torch.tanh(a))},
    ),
    # squashed Gaussians
    _mistake(
        "squash_correction_missing",
        "the change of variables is missing: - sum log(1 - a^2)",
        {"squashed_gaussian": _squashed(lambda a: torch.zeros(len(a)))},
    ),
    _mistake(
        "squash_correction_sign",
        "the change of variables has the wrong sign: + sum log(1 - a^2)",
        {"squashed_gaussian": _squashed(lambda a: _jacobian(a).sum(1))},
    ),
    _mistake(
        "squash_correction_mean_over_dimensions",
        "the change of variables is a mean over the components, not a sum",
        {"squashed_gaussian": _squashed(lambda a: -_jacobian(a).mean(1))},
    ),
    _mistake(
        "artanh_missing",
        "the Gaussian's density is taken at the squashed action: artanh is missing",
        {"squashed_gaussian": lambda mean, log_std, a: DiagGaussian(mean, log_std).log_prob(a) - _jacobian(a).sum(1)},
    ),
    _mistake(
        "artanh_and_squash_correction_missing",
        "neither artanh nor the change of variables: the Gaussian of the squashed action",
        {"squashed_gaussian": lambda mean, log_std, a: DiagGaussian(mean, log_std).log_prob(a)},
    ),
    _mistake(
        "squash_correction_squashes_again",
        "the action is squashed twice in the change of variables: 1 - tanh(a)^2",
        {"squashed_gaussian": _squashed(lambda a: -_jacobian(torch.tanh(a)).sum(1))},
    ),
    # gSDE
    _mistake(
        "sde_variance_as_std",
        "the standard deviation lacks its root: it is the variance",
        _gsde(lambda log_std, features: gsde_std(log_std, features) ** 2),
        entropy=(
            "the standard deviation lacks its root: it is the variance",
            {
                "gsde": lambda mean, log_std, features: (
                    2 * gsde_std(log_std, features).log() + 0.5 + 0.5 * LOG_2PI
                ).sum(1)
            },
        ),
    ),
    _mistake(
        "sde_squares_missing",
        "features and deviations are multiplied without their squares: features @ std",
        _gsde(lambda log_std, features: (features @ log_std.exp()).abs()),
    ),
    _mistake(
        "sde_std_not_squared",
        "deviations are not squared: sqrt(features^2 @ std)",
        _gsde(lambda log_std, features: torch.sqrt(features**2 @ log_std.exp() + 1e-6)),
    ),
    _mistake(
        "sde_epsilon_missing",
        "epsilon of 1e-6 in the variance is missing",
        _gsde(lambda log_std, features: torch.sqrt(features**2 @ log_std.exp() ** 2)),
    ),
    _mistake(
        "sde_epsilon_outside_sqrt",
        "epsilon of 1e-6 stands outside of the root",
        _gsde(lambda log_std, features: torch.sqrt(features**2 @ log_std.exp() ** 2) + 1e-6),
    ),
    # right values with wrong gradients
    checked_only(
        "mean_detached",
        "log_prob_gradient",
        "the mean is detached: it is never trained",
        formula={"diag_gaussian": lambda mean, log_std, a: DiagGaussian(mean.detach(), log_std).log_prob(a)},
    ),
)
