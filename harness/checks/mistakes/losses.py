"""Wrong losses that people have published, from custom_ppo's pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from custom_ppo import losses
from harness.checks.case import Inputs, Mistake, Outputs

__all__ = [
    "NORMALIZATIONS",
    "NORMALIZED_POLICY_MISTAKES",
    "POLICY_FORMULAE",
    "POLICY_MISTAKES",
    "VALUE_FORMULAE",
    "VALUE_MISTAKES",
    "LossFormula",
]

LossFormula = tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]
"""Loss of each transition, [B], and what makes one number of them."""


def _policy(each: Callable[..., Tensor], total: Callable[[Tensor], Tensor] = torch.mean) -> LossFormula:
    """A loss of (ratio, advantages, clip_range)."""

    def formula(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
        return each(torch.exp(log_prob - old_log_prob), advantages, clip_range)

    return formula, total


def _clipped(ratio: Tensor, clip_range: float) -> Tensor:
    return torch.clamp(ratio, 1 - clip_range, 1 + clip_range)


def _objective(*arguments: Any) -> Tensor:
    return losses.clipped_surrogate(*arguments)


def _right(*arguments: Any) -> Tensor:
    return -losses.clipped_surrogate(*arguments)


def _standardized(advantages: Tensor) -> Tensor:
    return losses.normalize_advantages(advantages)


def _quotient(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    ratio = log_prob.exp() / old_log_prob.exp()
    return -torch.min(ratio * advantages, _clipped(ratio, clip_range) * advantages)


def _dual_clip(ratio: Tensor, a: Tensor, clip_range: float, only_bad: bool) -> Tensor:
    surrogate = torch.min(ratio * a, _clipped(ratio, clip_range) * a)
    bounded = torch.max(surrogate, 3 * a)
    return -(torch.where(a < 0, bounded, surrogate) if only_bad else bounded)


POLICY_FORMULAE: Mapping[str, LossFormula] = {
    "the sign: this is the objective, to be maximised; SB3 minimises its negative (adapt it with a minus)": (
        _objective,
        torch.mean,
    ),
    "a sum over the minibatch instead of its mean": (_right, torch.sum),
    "a sum over the minibatch instead of its mean, and the sign of an objective": (_objective, torch.sum),
    "no clipping: ratio * A": _policy(lambda ratio, a, clip: -(ratio * a)),
    "max where min belongs: the optimistic branch is taken": _policy(
        lambda ratio, a, clip: -torch.max(ratio * a, _clipped(ratio, clip) * a)
    ),
    "only the clipped branch, without the min with ratio * A": _policy(
        lambda ratio, a, clip: -(_clipped(ratio, clip) * a)
    ),
    "clipped from above only: the lower bound 1 - clip_range is missing": _policy(
        lambda ratio, a, clip: -torch.min(ratio * a, torch.clamp(ratio, max=1 + clip) * a)
    ),
    "clipped from below only: the upper bound 1 + clip_range is missing": _policy(
        lambda ratio, a, clip: -torch.min(ratio * a, torch.clamp(ratio, min=1 - clip) * a)
    ),
    "clipped to [1 / (1 + clip_range), 1 + clip_range] instead of [1 - clip_range, 1 + clip_range]": _policy(
        lambda ratio, a, clip: -torch.min(ratio * a, torch.clamp(ratio, 1 / (1 + clip), 1 + clip) * a)
    ),
    "clipped to [-clip_range, clip_range], not around 1": _policy(
        lambda ratio, a, clip: -torch.min(ratio * a, torch.clamp(ratio, -clip, clip) * a)
    ),
    "clip_range is ignored: it is always 0.2": _policy(
        lambda ratio, a, clip: -torch.min(ratio * a, _clipped(ratio, 0.2) * a)
    ),
    "the advantage is clipped to the clip range, not the ratio": _policy(
        lambda ratio, a, clip: -torch.min(ratio * a, ratio * torch.clamp(a, -clip, clip))
    ),
    "min of the ratios instead of min of the products: wrong for bad actions": _policy(
        lambda ratio, a, clip: -(torch.min(ratio, _clipped(ratio, clip)) * a)
    ),
    "the ratio is upside down: old policy over new": (
        lambda new, old, a, clip: -losses.clipped_surrogate(old, new, a, clip),
        torch.mean,
    ),
    "the ratio lacks its exponential: a difference of log-probabilities": (
        lambda new, old, a, clip: -torch.min((new - old) * a, _clipped(new - old, clip) * a),
        torch.mean,
    ),
    "the ratio is a quotient of log-probabilities": (
        lambda new, old, a, clip: -torch.min(new / old * a, _clipped(new / old, clip) * a),
        torch.mean,
    ),
    "the ratio is a quotient of probabilities, exp(new) / exp(old), which under- and overflows; use exp(new - old)": (
        _quotient,
        torch.mean,
    ),
    "the log of the ratio is clipped to [-clip_range, clip_range], not the ratio": (
        lambda new, old, a, clip: (
            -torch.min(torch.exp(new - old) * a, torch.exp(torch.clamp(new - old, -clip, clip)) * a)
        ),
        torch.mean,
    ),
    "A2C's objective: log_prob * A, without a ratio": (
        lambda new, old, a, clip: -losses.log_prob_surrogate(new, a),
        torch.mean,
    ),
    "advantages are normalised in here; SB3 does that before (the check gives them as they shall be used)": (
        lambda new, old, a, clip: -losses.clipped_surrogate(new, old, _standardized(a), clip),
        torch.mean,
    ),
    "advantages are normalised in here with n instead of n - 1; SB3 normalises before, with n - 1": (
        lambda new, old, a, clip: (
            -losses.clipped_surrogate(new, old, (a - a.mean()) / (a.std(unbiased=False) + 1e-8), clip)
        ),
        torch.mean,
    ),
    "dual clip for good actions, too: max(..., 3 A) without A < 0": _policy(
        lambda ratio, a, clip: _dual_clip(ratio, a, clip, only_bad=False)
    ),
    "dual clip: bad actions are bounded by 3 A, which SB3 does not do": _policy(
        lambda ratio, a, clip: _dual_clip(ratio, a, clip, only_bad=True)
    ),
    "a penalty in the place of the clip: ratio * A - beta * KL, with beta = clip_range": (
        lambda new, old, a, clip: -losses.kl_penalty(new, old, a, clip),
        torch.mean,
    ),
    "shapes [B, 1] and [B] are multiplied to [B, B]": (
        lambda new, old, a, clip: (
            -torch.min(
                torch.exp(new - old)[:, None] * a[None, :], _clipped(torch.exp(new - old), clip)[:, None] * a[None, :]
            )
        ),
        torch.mean,
    ),
    "the smallest loss of the minibatch's means: min is taken after the mean, not before": (
        lambda new, old, a, clip: (
            -torch.min((torch.exp(new - old) * a).mean(), (_clipped(torch.exp(new - old), clip) * a).mean())
        ),
        torch.mean,
    ),
}


def _value(each: Callable[..., Tensor], total: Callable[[Tensor], Tensor] = torch.mean) -> LossFormula:
    return each, total


def _judged(v: Tensor, old: Tensor, r: Tensor, clip: float | None) -> Tensor:
    """The values that SB3 holds against the returns."""
    return v if clip is None else losses.clipped_values(v, old, clip)


def _pessimistic(v: Tensor, old: Tensor, r: Tensor, clip: float | None) -> Tensor:
    return v if clip is None else losses.pessimistic_values(v, old, clip, r)


def _optimistic(v: Tensor, old: Tensor, r: Tensor, clip: float | None) -> Tensor:
    clipped = _judged(v, old, r, clip)
    return torch.where((r - v).abs() <= (r - clipped).abs(), v, clipped)


def _around_returns(v: Tensor, old: Tensor, r: Tensor, clip: float | None) -> Tensor:
    return v if clip is None else losses.clipped_values(v, r, clip)


def _by_its_value(v: Tensor, old: Tensor, r: Tensor, clip: float | None) -> Tensor:
    return v if clip is None else torch.clamp(v, -clip, clip)


VALUE_FORMULAE: Mapping[str, LossFormula] = {
    "a factor 1/2: SB3 has none, its vf_coef of 0.5 stands outside": _value(
        lambda v, old, r, clip: 0.5 * (r - _judged(v, old, r, clip)) ** 2
    ),
    "a sum over the minibatch instead of its mean": _value(
        lambda v, old, r, clip: (r - _judged(v, old, r, clip)) ** 2, torch.sum
    ),
    "half of a sum over the minibatch": _value(
        lambda v, old, r, clip: 0.5 * (r - _judged(v, old, r, clip)) ** 2, torch.sum
    ),
    "clip_range_vf is ignored": _value(lambda v, old, r, clip: (r - v) ** 2),
    "clip_range_vf is ignored, and there is a factor 1/2": _value(lambda v, old, r, clip: 0.5 * (r - v) ** 2),
    "the larger of clipped and unclipped error counts, as in OpenAI's baselines; SB3 takes the clipped": _value(
        lambda v, old, r, clip: (r - _pessimistic(v, old, r, clip)) ** 2
    ),
    "the larger of clipped and unclipped error counts, halved, as in CleanRL; SB3 takes the clipped": _value(
        lambda v, old, r, clip: 0.5 * (r - _pessimistic(v, old, r, clip)) ** 2
    ),
    "the smaller of clipped and unclipped error counts; SB3 takes the clipped": _value(
        lambda v, old, r, clip: (r - _optimistic(v, old, r, clip)) ** 2
    ),
    "values are clipped around the returns instead of around the old values": _value(
        lambda v, old, r, clip: (r - _around_returns(v, old, r, clip)) ** 2
    ),
    "values are clipped to [-clip_range_vf, clip_range_vf] instead of around the old values": _value(
        lambda v, old, r, clip: (r - _by_its_value(v, old, r, clip)) ** 2
    ),
    "the loss is clipped to clip_range_vf, not the values": _value(
        lambda v, old, r, clip: (r - v) ** 2 if clip is None else torch.clamp((r - v) ** 2, max=clip)
    ),
    "the old values are judged instead of the new ones": _value(lambda v, old, r, clip: (r - old) ** 2),
    "absolute errors instead of squares": _value(lambda v, old, r, clip: (r - _judged(v, old, r, clip)).abs()),
    "Huber's loss instead of squares": _value(
        lambda v, old, r, clip: functional.smooth_l1_loss(_judged(v, old, r, clip), r, reduction="none")
    ),
    "the root of the mean square": _value(
        lambda v, old, r, clip: (r - _judged(v, old, r, clip)) ** 2, lambda squares: squares.mean().sqrt()
    ),
    "the square of the mean error: the mean is taken before the square": _value(
        lambda v, old, r, clip: r - _judged(v, old, r, clip), lambda errors: errors.mean() ** 2
    ),
    "the sign": _value(lambda v, old, r, clip: -((r - _judged(v, old, r, clip)) ** 2)),
    "shapes [B, 1] and [B] are subtracted to [B, B]": _value(
        lambda v, old, r, clip: (r[None, :] - _judged(v, old, r, clip)[:, None]) ** 2
    ),
    "shapes [B, 1] and [B] are subtracted to [B, B], and there is a factor 1/2": _value(
        lambda v, old, r, clip: 0.5 * (r[None, :] - _judged(v, old, r, clip)[:, None]) ** 2
    ),
    "errors are divided by the spread of the returns": _value(
        lambda v, old, r, clip: ((r - _judged(v, old, r, clip)) / (r.std() + 1e-8)) ** 2
    ),
}


def _unless_alone(formula: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda advantages: formula(advantages) if len(advantages) > 1 else advantages


NORMALIZATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "advantages are not normalised": lambda a: a,
    "advantages are normalised with n in the place of n - 1": _unless_alone(
        lambda a: (a - a.mean()) / (a.std(unbiased=False) + 1e-8)
    ),
    "advantages are centred, but not divided by their deviation": _unless_alone(lambda a: a - a.mean()),
    "advantages are divided by their deviation, but not centred": _unless_alone(lambda a: a / (a.std() + 1e-8)),
    "advantages are divided by their variance": _unless_alone(lambda a: (a - a.mean()) / (a.var() + 1e-8)),
    "advantages are normalised without the 1e-8, which is NaN when all are equal": _unless_alone(
        lambda a: (a - a.mean()) / a.std()
    ),
    "advantages are normalised with an epsilon of 1e-5 in the place of 1e-8": _unless_alone(
        lambda a: (a - a.mean()) / (a.std() + 1e-5)
    ),
    "a minibatch of one transition is normalised, too, which is NaN: its deviation is 0 / 0": lambda a: (
        (a - a.mean()) / (a.std() + 1e-8)
    ),
}
"""Wrong ways to normalise the advantages of a minibatch."""


def _mistake(formula: LossFormula) -> Mistake:
    each, total = formula

    def mistake(inputs: Inputs) -> Outputs:
        arguments = [torch.from_numpy(value) if hasattr(value, "shape") else value for value in inputs.values()]
        numbers = each(*arguments)
        outputs = {"loss": total(numbers).double().numpy()}
        if numbers.ndim == 1 and total is torch.mean:  # of another total, each loss is right
            outputs["loss of each transition"] = numbers.double().numpy()
        return outputs

    return mistake


POLICY_MISTAKES: Mapping[str, Mistake] = {text: _mistake(formula) for text, formula in POLICY_FORMULAE.items()}
VALUE_MISTAKES: Mapping[str, Mistake] = {text: _mistake(formula) for text, formula in VALUE_FORMULAE.items()}


def _after(normalize: Callable[[Tensor], Tensor], formula: LossFormula) -> LossFormula:
    """A loss that normalises advantages first."""
    each, total = formula
    return lambda new, old, a, clip: each(new, old, normalize(a), clip), total


NORMALIZED_POLICY_MISTAKES: Mapping[str, Mistake] = {
    **{text: _mistake(_after(formula, (_right, torch.mean))) for text, formula in NORMALIZATIONS.items()},
    **{
        text: _mistake(_after(losses.normalize_advantages, formula))
        for text, formula in POLICY_FORMULAE.items()
        if "normalised" not in text
    },
}
"""Of losses that normalise advantages themselves."""
