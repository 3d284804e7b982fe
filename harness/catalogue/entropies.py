"""Wrong entropies of distributions over actions, known from single functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from custom_ppo.distributions import Categorical
from harness.catalogue.components import (
    ALL,
    LOG_2PI,
    SEVERAL,
    Formula,
    components,
    entropies_of,
    of_entropies,
)
from harness.catalogue.mistake import Mistake, checked_only

__all__ = ["ENTROPIES"]


def _mistake(id: str, hint: str, formulas: Mapping[str, Formula]) -> Mistake:
    return checked_only(id, "entropy", hint, formula=formulas)


def _plogp(p: Tensor, log_p: Tensor) -> Tensor:
    return -(p * log_p).sum(1)


def _choice(p: Callable[[Tensor], Tensor], log_p: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return the entropy - sum p log p of one choice, with p(logits) and log_p(logits)."""
    return {"categorical": lambda logits: _plogp(p(logits), log_p(logits))}


def _gaussian(change: Callable[[Tensor], Tensor]) -> dict[str, Formula]:
    """Return the entropy of a Gaussian whose components [A] have change(log_std)."""
    return {"diag_gaussian": lambda mean, log_std: change(log_std).expand_as(mean).sum(1)}


ENTROPIES: tuple[Mistake, ...] = (
    # components of an action
    _mistake(
        "entropy_not_summed",
        "the components of an action are not added up: the result is [B, A]",
        of_entropies(SEVERAL, lambda parts: parts),
    ),
    _mistake(
        "entropy_of_first_dimension",
        "only the first component of an action counts",
        of_entropies(SEVERAL, lambda parts: parts[:, 0]),
    ),
    _mistake(
        "entropy_of_last_dimension",
        "only the last component of an action counts",
        of_entropies(SEVERAL, lambda parts: parts[:, -1]),
    ),
    _mistake(
        "entropy_summed_over_batch",
        "the sum runs over the batch, not over the components",
        of_entropies(SEVERAL, lambda parts: parts.sum(dim=0)),
    ),
    _mistake(
        "entropy_summed_over_everything",
        "everything is added up to one number, over the batch as well",
        of_entropies(SEVERAL, lambda parts: parts.sum()),
    ),
    _mistake(
        "entropy_in_bits",
        "the entropy in bits (logarithm to base 2), not in nats",
        of_entropies(ALL, lambda parts: parts.sum(dim=1) / math.log(2)),
    ),
    # choices
    _mistake(
        "entropy_nan_of_impossible_choice",
        "an impossible choice gives 0 * -inf = NaN; 0 log 0 is 0",
        _choice(lambda logits: logits.softmax(1), lambda logits: logits.log_softmax(1)),
    ),
    _mistake(
        "entropy_mean_over_choices",
        "the mean over the choices instead of their sum",
        {"categorical": lambda logits: Categorical(logits).entropy() / logits.shape[1]},
    ),
    _mistake(
        "entropy_without_p",
        "the factor p is missing: - sum log p",
        {"categorical": lambda logits: -logits.log_softmax(1).sum(1)},
    ),
    _mistake(
        "entropy_relative_to_maximum",
        "the entropy is divided by its maximum, log n",
        {"categorical": lambda logits: Categorical(logits).entropy() / math.log(logits.shape[1])},
    ),
    _mistake(
        "entropy_of_most_likely_choice",
        "minus the log-probability of the most likely choice",
        {"categorical": lambda logits: -logits.log_softmax(1).max(1).values},
    ),
    _mistake(
        "entropy_of_largest_component",
        "the largest of the components' entropies",
        {
            "multi_categorical": lambda logits, nvec: (
                entropies_of(components["multi_categorical"](logits, nvec)).max(1).values
            )
        },
    ),
    # switches
    _mistake(
        "entropy_of_switches_that_are_on",
        "only -p log p: -(1 - p) log(1 - p) is missing",
        {"bernoulli": lambda logits: _plogp(torch.sigmoid(logits), functional.logsigmoid(logits))},
    ),
    _mistake(
        "entropy_nan_of_certain_switch",
        "0 * log 0 is NaN for nearly certain switches",
        {
            "bernoulli": lambda logits: (
                _plogp(torch.sigmoid(logits), torch.sigmoid(logits).log())
                + _plogp(1 - torch.sigmoid(logits), (1 - torch.sigmoid(logits)).log())
            )
        },
    ),
    _mistake(
        "entropy_of_softmax_of_switches",
        "the softmax of the switches, as if one of them had to be chosen",
        {"bernoulli": lambda logits: Categorical(logits).entropy()},
    ),
    # Gaussians
    _mistake(
        "entropy_half_missing",
        "1/2 of each component is missing: log_std + log(2 pi) / 2",
        _gaussian(lambda log_std: log_std + 0.5 * LOG_2PI),
    ),
    _mistake(
        "entropy_constant_missing",
        "log_std alone, without (1 + log(2 pi)) / 2",
        _gaussian(lambda log_std: log_std),
    ),
    _mistake(
        "entropy_constant_once",
        "the constant (1 + log(2 pi)) / 2 counts once, not for each component",
        {"diag_gaussian": lambda mean, log_std: log_std.expand_as(mean).sum(1) + 0.5 + 0.5 * LOG_2PI},
    ),
    _mistake(
        "entropy_of_std_for_log_std",
        "the standard deviation instead of its logarithm",
        _gaussian(lambda log_std: log_std.exp() + 0.5 + 0.5 * LOG_2PI),
    ),
    _mistake(
        "entropy_one_for_all_rows",
        "one entropy for all rows: [A] or [] instead of [B]",
        {"diag_gaussian": lambda mean, log_std: log_std + 0.5 + 0.5 * LOG_2PI},
    ),
    # gSDE
    _mistake(
        "entropy_of_noise_matrix",
        "the entropy of the noise matrix, not of the actions: log_std added up",
        {"gsde": lambda mean, log_std, features: (log_std + 0.5 + 0.5 * LOG_2PI).sum().expand(len(mean))},
    ),
    # right values with wrong gradients
    checked_only(
        "entropy_p_detached",
        "entropy_gradient",
        "p is detached in - sum p log p",
        formula=_choice(lambda logits: logits.softmax(1).detach(), lambda logits: logits.log_softmax(1)),
    ),
    checked_only(
        "entropy_log_p_detached",
        "entropy_gradient",
        "log p is detached in - sum p log p",
        formula=_choice(lambda logits: logits.softmax(1), lambda logits: logits.log_softmax(1).detach()),
    ),
)
