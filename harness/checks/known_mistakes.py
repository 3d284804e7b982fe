"""Mistakes that the checks can name: entries of the catalogue, evaluated on the inputs of a case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from custom_ppo.losses import normalize_advantages
from harness.catalogue import MISTAKES, Mistake
from harness.catalogue import formulas as catalogue
from harness.catalogue.mistake import Role
from harness.catalogue.timeouts import Rollout
from harness.checks.case import Inputs, KnownMistake, Outputs

__all__ = [
    "WrongLoss",
    "advantage_mistakes",
    "entropy_gradient_mistakes",
    "entropy_mistakes",
    "log_prob_gradient_mistakes",
    "log_prob_mistakes",
    "normalizing_policy_mistakes",
    "policy_gradient_mistakes",
    "policy_mistakes",
    "timeout_mistakes",
    "total_gradient_mistakes",
    "value_gradient_mistakes",
    "value_mistakes",
]


@dataclass(frozen=True)
class WrongLoss:
    """A known mistake of a check of gradients."""

    id: str
    """Name in the catalogue."""
    hint: str
    """Text that is printed as the probable cause."""
    loss: Callable[..., Tensor]
    """Function that is differentiated; its arguments are the case's, by name."""


def _named(*roles: Role) -> Iterator[tuple[Mistake, str]]:
    """Yield the mistakes that have a hint for one of these roles, with that hint."""
    for role in roles:
        yield from ((mistake, mistake.hints[role]) for mistake in MISTAKES if mistake.hints.get(role))


def _tensors(inputs: Inputs) -> list[Any]:
    return [torch.from_numpy(value) if isinstance(value, np.ndarray) else value for value in inputs.values()]


# advantages


def advantage_mistakes() -> tuple[KnownMistake, ...]:
    """Return wrong advantages and returns, from the arrays of SB3's buffer."""

    def evaluated(mistake: Mistake) -> Callable[[Inputs], Outputs]:
        estimate = catalogue.advantage_formula(mistake)

        def outputs(inputs: Inputs) -> Outputs:
            *arrays, gamma, gae_lambda = inputs.values()
            advantages, returns = estimate(*arrays, gamma=gamma, gae_lambda=gae_lambda)
            return {"advantages": advantages, "returns": returns}

        return outputs

    return tuple(KnownMistake(mistake.id, hint, evaluated(mistake)) for mistake, hint in _named("advantages"))


def timeout_mistakes() -> tuple[KnownMistake, ...]:
    """Return wrong advantages and returns, from terminations and truncations."""

    def evaluated(mistake: Mistake) -> Callable[[Inputs], Outputs]:
        estimate = mistake.formulas["advantages_with_timeouts"]
        return lambda inputs: dict(zip(("advantages", "returns"), estimate(Rollout(**inputs)), strict=True))

    return tuple(
        KnownMistake(mistake.id, hint, evaluated(mistake)) for mistake, hint in _named("advantages_with_timeouts")
    )


# losses


def _losses(total: Tensor, each: Tensor | None) -> Outputs:
    """Return the loss of a minibatch, and that of each transition if the former is the mean of the latter."""
    outputs = {"loss": total.double().numpy()}
    if each is not None and torch.allclose(each.mean(), total, rtol=1e-4, equal_nan=True):
        outputs["loss of each transition"] = each.double().numpy()
    return outputs


def _evaluated_policy_loss(
    mistake: Mistake, normalize: Callable[[Tensor], Tensor] = lambda advantages: advantages
) -> Callable[[Inputs], Outputs]:
    def outputs(inputs: Inputs) -> Outputs:
        log_prob, old_log_prob, advantages, clip_range = _tensors(inputs)
        each, total = catalogue.policy_loss(mistake, log_prob, old_log_prob, normalize(advantages), clip_range)
        return _losses(total, each if each.ndim == 1 else None)

    return outputs


def policy_mistakes() -> tuple[KnownMistake, ...]:
    """Return wrong losses of the policy, for functions that use advantages as they are."""
    return tuple(
        KnownMistake(mistake.id, hint, _evaluated_policy_loss(mistake))
        for mistake, hint in _named("policy_loss", "own_normalisation")
    )


def normalizing_policy_mistakes() -> tuple[KnownMistake, ...]:
    """Return wrong losses of the policy, for functions that normalise advantages themselves."""
    normalisations = [
        KnownMistake(mistake.id, hint, _evaluated_policy_loss(mistake, catalogue.normalisation(mistake)))
        for mistake, hint in _named("normalisation")
    ]
    losses = [
        KnownMistake(mistake.id, hint, _evaluated_policy_loss(mistake, normalize_advantages))
        for mistake, hint in _named("policy_loss")
    ]
    return (*normalisations, *losses)


def value_mistakes(*, clipping: bool) -> tuple[KnownMistake, ...]:
    """Return wrong losses of the critic; clipping=False leaves out mistakes in the clipping."""

    def evaluated(mistake: Mistake) -> Callable[[Inputs], Outputs]:
        def outputs(inputs: Inputs) -> Outputs:
            values, old_values, returns, clip_range_vf = _tensors(inputs)
            total = catalogue.value_loss(mistake, values, old_values, returns, clip_range_vf)
            each = [
                catalogue.value_loss(mistake, values[i], old_values[i], returns[i], clip_range_vf)
                for i in (slice(row, row + 1) for row in range(len(values)))
            ]
            return _losses(total, torch.stack(each))

        return outputs

    return tuple(
        KnownMistake(mistake.id, hint, evaluated(mistake))
        for mistake, hint in _named("value_loss")
        if clipping or "clip" not in hint
    )


def policy_gradient_mistakes() -> tuple[WrongLoss, ...]:
    """Return wrong losses of the policy, and right ones with wrong gradients."""

    def loss(mistake: Mistake) -> Callable[..., Tensor]:
        return lambda **given: catalogue.policy_loss(mistake, **given)[1]

    return tuple(
        WrongLoss(mistake.id, hint, loss(mistake))
        for mistake, hint in _named("policy_loss", "own_normalisation", "policy_gradient")
    )


def value_gradient_mistakes() -> tuple[WrongLoss, ...]:
    """Return wrong losses of the critic."""

    def loss(mistake: Mistake) -> Callable[..., Tensor]:
        return lambda **given: catalogue.value_loss(mistake, **given)

    return tuple(WrongLoss(mistake.id, hint, loss(mistake)) for mistake, hint in _named("value_loss"))


def total_gradient_mistakes(*, normalize_advantage: bool) -> tuple[WrongLoss, ...]:
    """Return wrong whole losses; a mistake of one term has the term's name before its hint."""
    named = list(_named("total_loss", "normalisation") if normalize_advantage else _named("total_loss"))
    policy = _named("policy_loss") if normalize_advantage else _named("own_normalisation", "policy_loss")
    for term, mistakes in (("policy loss", policy), ("value loss", _named("value_loss"))):
        named += [(mistake, f"{term}: {hint}") for mistake, hint in mistakes if "total_loss" not in mistake.hints]

    def loss(mistake: Mistake) -> Callable[..., Tensor]:
        return lambda **given: catalogue.total_loss(mistake, **given, normalize_advantage=normalize_advantage)

    return tuple(WrongLoss(mistake.id, hint, loss(mistake)) for mistake, hint in named)


# distributions


def _formulas(distribution: str, *roles: Role) -> Iterator[tuple[Mistake, str, Callable[..., Tensor]]]:
    for role in roles:
        for mistake, hint in _named(role):
            formula = catalogue.distribution_formula(mistake, role, distribution)
            if formula is not None:
                yield mistake, hint, formula


def log_prob_mistakes(distribution: str) -> tuple[KnownMistake, ...]:
    """Return wrong log-probabilities of a distribution."""

    def evaluated(formula: Callable[..., Tensor]) -> Callable[[Inputs], Outputs]:
        return lambda inputs: {"log_prob": formula(*_tensors(inputs)).double().numpy()}

    return tuple(
        KnownMistake(mistake.id, hint, evaluated(formula))
        for mistake, hint, formula in _formulas(distribution, "log_prob")
    )


def entropy_mistakes(distribution: str) -> tuple[KnownMistake, ...]:
    """Return wrong entropies of a distribution."""

    def evaluated(formula: Callable[..., Tensor]) -> Callable[[Inputs], Outputs]:
        def outputs(inputs: Inputs) -> Outputs:
            *parameters, _ = _tensors(inputs)
            entropy = formula(*parameters).double()
            if entropy.ndim == 0:
                return {"mean entropy": entropy.numpy()}
            return {"entropy": entropy.numpy(), "mean entropy": entropy.mean().numpy()}

        return outputs

    return tuple(
        KnownMistake(mistake.id, hint, evaluated(formula))
        for mistake, hint, formula in _formulas(distribution, "entropy")
    )


def _by_position(formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda **arguments: formula(*arguments.values())


def log_prob_gradient_mistakes(distribution: str) -> tuple[WrongLoss, ...]:
    """Return wrong log-probabilities of a distribution, and right ones with wrong gradients."""
    return tuple(
        WrongLoss(mistake.id, hint, _by_position(formula))
        for mistake, hint, formula in _formulas(distribution, "log_prob", "log_prob_gradient")
    )


def entropy_gradient_mistakes(distribution: str) -> tuple[WrongLoss, ...]:
    """Return wrong entropies of a distribution, and right ones with wrong gradients."""
    return tuple(
        WrongLoss(mistake.id, hint, _by_position(formula))
        for mistake, hint, formula in _formulas(distribution, "entropy", "entropy_gradient")
    )
