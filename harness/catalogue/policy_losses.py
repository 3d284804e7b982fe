"""Mistakes in the policy loss other than its clipping: its reduction, and the arguments of the surrogate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from custom_ppo import losses
from custom_ppo.recipe import Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.mistake import COMBINED, Mistake, checked_only
from harness.catalogue.patching import (
    PPO_ONLY,
    WALK,
    with_objective,
    with_reduction,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["POLICY_LOSSES"]

Objective = Callable[[Tensor, Tensor, Tensor, float], Tensor]

ALREADY_NORMALISED = "the minibatch's advantages are normalised by the recipe in training"


def _ratio_to_itself(recipe: Recipe) -> Recipe:
    original = recipe.policy_loss.objective

    def of_itself(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, limit: float) -> Tensor:
        return original(log_prob, log_prob.detach(), advantages, limit)

    return with_objective(of_itself)(recipe)


def _over_nominal_size(model: CustomPPO) -> None:
    agent = model.agent
    over_nominal_size = with_reduction(
        lambda surrogates: -surrogates.sum() / (agent.config.batch_size or len(surrogates))
    )
    agent.recipe = over_nominal_size(agent.recipe)


def _normalised_by(normalise: Callable[[Tensor], Tensor]) -> Objective:
    """Return SB3's objective, which normalises its advantages first."""

    def changed(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
        return losses.clipped_surrogate(log_prob, old_log_prob, normalise(advantages), clip_range)

    return changed


POLICY_LOSSES: tuple[Mistake, ...] = (
    Deviation(
        id="policy_loss_positive",
        description="The surrogate is minimised instead of maximised",
        stage="policy_loss",
        source="ray-project/ray#29056",
        remedy="Minimise minus the surrogate",
        recipe=with_reduction(lambda surrogates: surrogates.mean()),
        hints={
            "policy_loss": (
                "the sign: this is the objective, to be maximised; SB3 minimises its negative (adapt it with a minus)"
            ),
            "total_loss": "the policy loss has the wrong sign",
        },
    ),
    Deviation(
        id="policy_loss_summed",
        description="The policy loss is the sum over the minibatch instead of the mean",
        stage="policy_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        recipe=with_reduction(lambda surrogates: -surrogates.sum()),
        hints={"policy_loss": "a sum over the minibatch instead of its mean"},
    ),
    Deviation(
        id="policy_loss_over_nominal_batch_size",
        description="The policy loss is the sum divided by batch_size, also for a smaller last minibatch",
        stage="policy_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        shows="a batch_size that does not divide n_steps * n_envs",
        patch=_over_nominal_size,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="ratio_to_itself",
        description="The ratio is that of the policy to itself, so that it is always 1 and never clipped",
        stage="surrogate",
        source="higgsfield-ai/higgsfield#20",
        remedy="Take the ratio to the stored log-probability of the behaviour policy",
        shows="more than one minibatch; rounding in the first",
        recipe=_ratio_to_itself,
        algorithms=PPO_ONLY,
    ),
    checked_only(
        "policy_loss_summed_and_positive",
        "policy_loss",
        "a sum over the minibatch instead of its mean, and the sign of an objective",
        recipe=with_reduction(lambda surrogates: surrogates.sum()),
        why=COMBINED,
    ),
    checked_only(
        "loss_normalises_advantages",
        "own_normalisation",
        "advantages are normalised inside the loss; SB3 does that before (the check passes them ready to use)",
        recipe=with_objective(_normalised_by(losses.normalize_advantages)),
        why=ALREADY_NORMALISED,
    ),
    checked_only(
        "loss_normalises_advantages_biased",
        "own_normalisation",
        "advantages are normalised inside the loss, with n instead of n - 1; SB3 does that before, with n - 1",
        recipe=with_objective(_normalised_by(lambda a: (a - a.mean()) / (a.std(unbiased=False) + 1e-8))),
        why=ALREADY_NORMALISED,
    ),
    checked_only(
        "policy_loss_left_out",
        "total_loss",
        "the policy loss is missing",
        recipe=with_reduction(lambda surrogates: 0 * surrogates.mean()),
    ),
)
