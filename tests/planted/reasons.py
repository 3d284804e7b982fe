"""Why the cross-check misses what it misses, for the table that is published."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REASONS"]

_RATIO_ONE = (
    "Before the first step the ratio is one, and the surrogate is the normalised advantages, which it has; its mean is "
    "the first number that is not to be found."
)
_CANCELS = (
    "In the first minibatch the policy's loss is zero but for rounding, as the normalised advantages are, summed or "
    "averaged; the gradient is the first number that differs by more."
)
_REPORTED = (
    "The mutated term is what it reports, and so is found wrong itself, before the whole loss that is expected: the "
    "right term is computed on the way, but used for nothing else."
)
_SWITCHES = (
    "Only the entropy of several choices is averaged; the entry of that name averages Gaussian ones, too, which the "
    "other world of this combination would show, so that no set of entries fits both. No name that is given is false."
)

REASONS: Mapping[str, str] = {
    "value_loss_halved": _REPORTED,
    "entropy_sign": _REPORTED,
    "mean_squashed_by_tanh": (
        "The first means are so near zero that they are their own tanh up to rounding: the first difference of any "
        "size is in the actions, the first beyond rounding comes when the means have moved."
    ),
    "advantage_eps_1e-5": (
        "The first difference of any size is in the normalised advantages, but it is no larger than rounding; the "
        "first beyond that is in a gradient."
    ),
    "ratio_without_exp": _RATIO_ONE,
    "ratio_without_exp+target_kl_ignored": _RATIO_ONE,
    "policy_loss_summed": _CANCELS,
    "value_clip_ignored+policy_loss_summed": _CANCELS,
    "rewards_normalised_per_rollout+entropy_mean_over_dimensions__multidiscrete": _SWITCHES,
    "shuffled_once_per_update+sgd+entropy_mean_over_dimensions__multidiscrete": _SWITCHES,
    "schedules_one_update_late+adam_beta2_0-99+learning_rate_not_annealed": (
        "In the first update all three entries about schedules give the same numbers; the one that agrees longest is "
        "followed, and the two that would take its place together are not tried within the steps that may be taken "
        "back. The search says that it explains only a part."
    ),
    "learning_rate_reversed": (
        "The nearest entry reverses the clip range as well; the search says that it explains only a part."
    ),
    "value_loss_root": (
        "The root is what it reports as its value loss, and what it reports is believed before the mean squared error "
        "that it computes on the way."
    ),
    "advantage_eps_inside_sqrt": (
        "It moves the advantages by no more than rounding, which is first seen in the gradient."
    ),
}
"""Planted bug, or several joined by "+" -> why it was not found where it is, or not called by its name."""
