"""Reasons why the cross-check misses some planted bugs, for the published page."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REASONS"]

_RATIO_ONE = (
    "Before the first step the ratio is 1, so that the surrogate is the normalised advantages, which the subject does "
    "compute; the mean of the surrogate is the first number that it lacks."
)
_MEAN_IS_ZERO = (
    "In the first minibatch the policy's loss is zero up to rounding, as normalised advantages are, summed or "
    "averaged; the gradient is the first quantity that differs by more."
)
_REPORTED = (
    "The subject logs the wrong term, so that the term itself is found wrong, before the total loss that is expected; "
    "the right term is computed on the way, but used for nothing else."
)
_ONE_DISTRIBUTION_ONLY = (
    "Only the entropy of MultiDiscrete actions is averaged; the catalogue's entry averages that of Gaussian ones, too, "
    "which the other environment of this combination would show, so that no set of entries fits both. Every name that "
    "is given is right."
)

REASONS: Mapping[str, str] = {
    "value_loss_halved": _REPORTED,
    "entropy_sign": _REPORTED,
    "mean_squashed_by_tanh": (
        "The first means are so close to zero that tanh changes them by rounding only: the first divergence of any "
        "size is in the actions, the first beyond rounding comes when the means have moved."
    ),
    "advantage_eps_1e-5": (
        "The first divergence of any size is in the normalised advantages, but it is no larger than rounding; the "
        "first beyond rounding is in a gradient."
    ),
    "ratio_without_exp": _RATIO_ONE,
    "ratio_without_exp+target_kl_ignored": _RATIO_ONE,
    "policy_loss_summed": _MEAN_IS_ZERO,
    "value_clip_ignored+policy_loss_summed": _MEAN_IS_ZERO,
    "rewards_normalised_per_rollout+entropy_mean_over_dimensions__multidiscrete": _ONE_DISTRIBUTION_ONLY,
    "shuffled_once_per_update+sgd+entropy_mean_over_dimensions__multidiscrete": _ONE_DISTRIBUTION_ONLY,
    "schedules_one_update_late+adam_beta2_0-99+learning_rate_not_annealed": (
        "In the first update all three entries about schedules give the same numbers. The search follows the one that "
        "agrees longest, and does not try the two that would replace it together within the steps that it may take "
        "back. It says that its explanation is partial."
    ),
    "learning_rate_reversed": (
        "The nearest entry reverses the schedule of the clip range as well; the search says that its explanation is "
        "partial."
    ),
    "value_loss_root": (
        "The subject logs the root as its value loss, and the logged number is preferred to the mean squared error "
        "that is computed on the way."
    ),
    "advantage_eps_inside_sqrt": (
        "It changes the advantages by no more than rounding, which the gradient is the first to show."
    ),
}
"""Name of a subject -> reason why its bug is not found at the expected quantity, or not named."""
