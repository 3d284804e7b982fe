"""Wrong losses as they are seen in gradients: those of the single terms, and wrong ways to put them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from custom_ppo import losses
from custom_ppo.distributions import DiagGaussian
from harness.checks.mistakes.entropies import ENTROPY_FORMULAE
from harness.checks.mistakes.log_probs import LOG_PROB_FORMULAE
from harness.checks.mistakes.losses import NORMALIZATIONS, POLICY_FORMULAE, VALUE_FORMULAE

__all__ = ["entropy_mistakes", "log_prob_mistakes", "policy_mistakes", "total_mistakes", "value_mistakes"]

Loss = Callable[..., Tensor]
"""A loss of a minibatch, whose arguments are given by name."""


def policy_mistakes() -> Mapping[str, Loss]:
    """Wrong policy losses, and right ones that teach something else."""
    found: dict[str, Loss] = {text: _policy(formula) for text, formula in POLICY_FORMULAE.items()}
    found["the unclipped branch is detached: only clip(ratio) * A teaches"] = (
        lambda log_prob, old_log_prob, advantages, clip_range: _half_detached(
            log_prob, old_log_prob, advantages, clip_range, keep_clipped=True
        )
    )
    return found


def _policy(formula: Any) -> Loss:
    each, total = formula
    return lambda log_prob, old_log_prob, advantages, clip_range: total(
        each(log_prob, old_log_prob, advantages, clip_range)
    )


def _half_detached(new: Tensor, old: Tensor, a: Tensor, clip: float, *, keep_clipped: bool) -> Tensor:
    ratio = torch.exp(new - old)
    clipped = torch.clamp(ratio, 1 - clip, 1 + clip)
    return (
        -torch.min(ratio.detach() * a, clipped * a).mean()
        if keep_clipped
        else -torch.min(ratio * a, clipped.detach() * a).mean()
    )


def value_mistakes() -> Mapping[str, Loss]:
    """Wrong losses of the critic."""
    return {text: _value(formula) for text, formula in VALUE_FORMULAE.items()}


def _value(formula: Any) -> Loss:
    each, total = formula
    return lambda values, old_values, returns, clip_range_vf: total(each(values, old_values, returns, clip_range_vf))


def log_prob_mistakes(distribution: str) -> Mapping[str, Loss]:
    """Wrong log-probabilities."""
    detached: dict[str, Loss] = {}
    if distribution == "diag_gaussian":
        detached["log_std is detached: it is never learnt"] = lambda mean, log_std, actions: DiagGaussian(
            mean, log_std.detach()
        ).log_prob(actions)
        detached["the mean is detached: it is never learnt"] = lambda mean, log_std, actions: DiagGaussian(
            mean.detach(), log_std
        ).log_prob(actions)
    return {**{text: _by_position(formula) for text, formula in LOG_PROB_FORMULAE[distribution].items()}, **detached}


def entropy_mistakes(distribution: str) -> Mapping[str, Loss]:
    """Wrong entropies."""
    detached: dict[str, Loss] = {}
    if distribution == "categorical":
        detached["p is detached in - sum p log p"] = lambda logits: (
            -(logits.softmax(1).detach() * logits.log_softmax(1)).sum(1)
        )
        detached["log p is detached in - sum p log p"] = lambda logits: (
            -(logits.softmax(1) * logits.log_softmax(1).detach()).sum(1)
        )
    return {**{text: _by_position(formula) for text, formula in ENTROPY_FORMULAE[distribution].items()}, **detached}


def _by_position(formula: Callable[..., Tensor]) -> Loss:
    return lambda **arguments: formula(*arguments.values())


def _right_policy(new: Tensor, old: Tensor, a: Tensor, clip: float) -> Tensor:
    return losses.policy_loss(losses.clipped_surrogate(new, old, a, clip))


def _right_value(v: Tensor, old: Tensor, r: Tensor, clip: float | None) -> Tensor:
    return losses.value_loss(r, v if clip is None else losses.clipped_values(v, old, clip))


def _further(formulae: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Those that do not have another name in the whole loss: a sign, a factor 1/2, or a term that teaches nothing."""
    known = ("the sign", "a factor 1/2", "the old values are judged")
    return [(text, formula) for text, formula in formulae.items() if not text.startswith(known)]


def total_mistakes(normalize_advantage: bool) -> Mapping[str, Loss]:
    """Whole losses with one part wrong."""
    normalize = losses.normalize_advantages if normalize_advantage else lambda advantages: advantages

    def whole(
        policy: Callable[..., Tensor] = _right_policy,
        value: Callable[..., Tensor] = _right_value,
        entropy: Callable[[Tensor], Tensor] = lambda e: -e.mean(),
        advantages: Callable[[Tensor], Tensor] = normalize,
        put_together: Callable[..., Tensor] = lambda p, v, e, vf_coef, ent_coef: p + ent_coef * e + vf_coef * v,
    ) -> Loss:
        def loss(
            log_prob: Tensor, old_log_prob: Tensor, advantages_: Tensor, values: Tensor, old_values: Tensor,
            returns: Tensor, entropy_: Tensor, clip_range: float, clip_range_vf: float | None, ent_coef: float,
            vf_coef: float,
        ) -> Tensor:  # fmt: skip
            return put_together(
                policy(log_prob, old_log_prob, advantages(advantages_), clip_range),
                value(values, old_values, returns, clip_range_vf),
                entropy(entropy_),
                vf_coef,
                ent_coef,
            )

        return lambda **given: loss(*given.values())

    def reduced(formula: Any) -> Callable[..., Tensor]:
        each, total = formula
        return lambda *arguments: total(each(*arguments))

    normalizations: Mapping[str, Callable[[Tensor], Tensor]] = NORMALIZATIONS
    if not normalize_advantage:
        normalizations = {"advantages are normalised in here": losses.normalize_advantages}
    together: dict[str, Callable[..., Tensor]] = {
        "the entropy has the wrong sign: + ent_coef * entropy punishes exploration": lambda p, v, e, vf, ent: (
            p - ent * e + vf * v
        ),
        "the entropy term is missing": lambda p, v, e, vf, ent: p + vf * v,
        "ent_coef is missing: the entropy counts fully": lambda p, v, e, vf, ent: p + e + vf * v,
        "the value loss is missing": lambda p, v, e, vf, ent: p + ent * e,
        "vf_coef is missing: the value loss counts fully": lambda p, v, e, vf, ent: p + ent * e + v,
        "vf_coef is ignored: the value loss always counts by half": lambda p, v, e, vf, ent: p + ent * e + 0.5 * v,
        "vf_coef is applied, and a factor 1/2 as well": lambda p, v, e, vf, ent: p + ent * e + 0.5 * vf * v,
        "the value loss has the wrong sign": lambda p, v, e, vf, ent: p + ent * e - vf * v,
        "the policy loss has the wrong sign": lambda p, v, e, vf, ent: -p + ent * e + vf * v,
        "the policy loss is missing": lambda p, v, e, vf, ent: ent * e + vf * v,
        "everything has the wrong sign": lambda p, v, e, vf, ent: -(p + ent * e + vf * v),
        "ent_coef and vf_coef are exchanged": lambda p, v, e, vf, ent: p + vf * e + ent * v,
    }
    return {
        **{text: whole(put_together=formula) for text, formula in together.items()},
        **{text: whole(advantages=formula) for text, formula in normalizations.items()},
        **{f"policy loss: {text}": whole(policy=reduced(formula)) for text, formula in _further(POLICY_FORMULAE)},
        **{f"value loss: {text}": whole(value=reduced(formula)) for text, formula in _further(VALUE_FORMULAE)},
        "the entropy is a sum over the minibatch instead of its mean": whole(entropy=lambda e: -e.sum()),
    }
