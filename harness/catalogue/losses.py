"""Mistakes in the entropy loss, and in the sum of the losses."""

from __future__ import annotations

import torch

from custom_ppo.recipe import Recipe
from harness.catalogue.components import ALL, of_entropies
from harness.catalogue.deviation import Deviation
from harness.catalogue.mistake import COMBINED, Mistake, checked_only
from harness.catalogue.patching import (
    WALK,
    one_after_another,
    with_parts,
    with_reduction,
    with_settings,
)
from harness.catalogue.value_losses import opposite_value_loss

__all__ = ["LOSSES"]


def _opposite_entropy(recipe: Recipe) -> Recipe:
    return recipe.replace(entropy_loss=lambda entropy, log_prob: -recipe.entropy_loss(entropy, log_prob))


def _estimated_entropy(recipe: Recipe) -> Recipe:
    return recipe.replace(entropy_loss=lambda _, log_prob: recipe.entropy_loss(None, log_prob))


LOSSES: tuple[Mistake, ...] = (
    Deviation(
        id="entropy_summed",
        description="The entropy loss is the sum over the minibatch instead of the mean",
        stage="entropy_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        shows="ent_coef > 0, otherwise only the logged number changes",
        recipe=with_parts(entropy_loss=lambda entropy, log_prob: -(-log_prob if entropy is None else entropy).sum()),
        hints={"total_loss": "the entropy is a sum over the minibatch instead of its mean"},
    ),
    Deviation(
        id="entropy_zero",
        description="The entropy loss is always 0",
        stage="entropy_loss",
        source="DLR-RM/stable-baselines3#127",
        remedy="Take minus the mean entropy of the policy",
        shows="ent_coef > 0, otherwise only the logged number changes",
        recipe=with_parts(entropy_loss=lambda entropy, log_prob: torch.zeros_like(log_prob[0])),
    ),
    Deviation(
        id="entropy_sign",
        description="The entropy is minimised instead of maximised",
        stage="entropy_loss",
        source="LuEE-C/PPO-Keras#4",
        remedy="Subtract ent_coef * entropy from the loss",
        shows="ent_coef > 0, otherwise only the logged number changes",
        recipe=_opposite_entropy,
        hints={
            "total_loss": "the entropy has the wrong sign: + ent_coef * entropy punishes exploration",
            "entropy": "the sign: minus the entropy, which is SB3's loss; the check expects the entropy itself",
        },
        formulas={"entropy": of_entropies(ALL, lambda parts: -parts.sum(dim=1))},
    ),
    Deviation(
        id="entropy_of_sampled_actions",
        description="The entropy is estimated by -log pi of the sampled actions",
        stage="entropy_loss",
        source="DLR-RM/stable-baselines3#127",
        remedy="Take the distribution's entropy if it has a closed form",
        shows="ent_coef > 0, otherwise only the logged number changes",
        recipe=_estimated_entropy,
    ),
    Deviation(
        id="entropy_left_out",
        description="The entropy is logged, but is no term of the loss",
        stage="loss",
        source="noahfarr/rlx#3",
        remedy="Add ent_coef * entropy_loss to the loss",
        shows="ent_coef > 0",
        settings=with_settings(ent_coef=0.0),
        hints={"total_loss": "the entropy term is missing"},
    ),
    Deviation(
        id="ent_coef_1",
        description="The entropy loss has weight 1: ent_coef is ignored",
        stage="loss",
        source=WALK,
        remedy="Multiply the entropy loss by ent_coef",
        shows="another ent_coef",
        settings=with_settings(ent_coef=1.0),
        hints={"total_loss": "ent_coef is missing: the entropy counts fully"},
    ),
    checked_only(
        "loss_maximised",
        "total_loss",
        "everything has the wrong sign",
        recipe=one_after_another(
            with_reduction(lambda surrogates: surrogates.mean()), opposite_value_loss, _opposite_entropy
        ),
        why=COMBINED,
    ),
    checked_only(
        "ent_coef_and_vf_coef_swapped",
        "total_loss",
        "ent_coef and vf_coef are exchanged",
        settings=lambda given: {"ent_coef": given["vf_coef"], "vf_coef": given["ent_coef"]},
    ),
)
