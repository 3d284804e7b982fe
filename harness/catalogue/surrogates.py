"""Mistakes in the surrogate objective: ratio and clipping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from custom_ppo import losses
from custom_ppo.config import value_at
from custom_ppo.recipe import log_prob_objective
from harness.catalogue.deviation import Deviation
from harness.catalogue.mistake import Mistake, checked_only
from harness.catalogue.patching import (
    PPO_ONLY,
    WALK,
    huang,
    with_objective,
    with_settings,
    wrap_engine,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["SURROGATES"]


Objective = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def _surrogate(formula: Callable[[Tensor, Tensor, float], Tensor]) -> Objective:
    """Return the objective formula(ratio, advantages, clip_range)."""

    def changed(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
        return formula(torch.exp(log_prob - old_log_prob), advantages, clip_range)

    return changed


def _of_ratio(ratio: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    """Return SB3's objective with another ratio, ratio(log_prob, old_log_prob)."""

    def changed(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
        return _clipped(ratio(log_prob, old_log_prob), advantages, clip_range)

    return changed


def _clipped(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range))


def _larger(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.max(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range))


def _clipped_only(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range)


def _unclipped(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return advantages * ratio


def _clipped_above(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, max=1 + clip_range))


def _clipped_below(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, min=1 - clip_range))


def _clipped_reciprocally(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    clipped = torch.clamp(ratio, 1 / (1 + clip_range), 1 + clip_range)
    return torch.min(advantages * ratio, advantages * clipped)


def _dual(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    surrogate = _clipped(ratio, advantages, clip_range)
    return torch.where(advantages < 0, torch.max(surrogate, 3.0 * advantages), surrogate)


def _dual_everywhere(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.max(_clipped(ratio, advantages, clip_range), 3.0 * advantages)


def _log_ratio_clipped(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    log_ratio = log_prob - old_log_prob
    clipped = torch.exp(torch.clamp(log_ratio, -clip_range, clip_range))
    return torch.min(advantages * torch.exp(log_ratio), advantages * clipped)


def _own_log_prob(model: CustomPPO) -> None:
    def forward(original: Callable[..., Any], batch: Any, *rest: Any) -> Any:
        with torch.no_grad():
            _, log_prob, _ = model.policy.evaluate_actions(batch.observations, batch.actions)
        return original(replace(batch, old_log_prob=log_prob), *rest)

    wrap_engine(model, "forward", forward)


def _clipped_around_zero(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, -clip_range, clip_range))


def _advantage_clipped(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, ratio * torch.clamp(advantages, -clip_range, clip_range))


def _smaller_ratio(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return advantages * torch.min(ratio, torch.clamp(ratio, 1 - clip_range, 1 + clip_range))


def _broadcast(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return _clipped(ratio[:, None], advantages[None, :], clip_range)


def _smaller_mean(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(
        _unclipped(ratio, advantages, clip_range).mean(), _clipped_only(ratio, advantages, clip_range).mean()
    )


def _unclipped_branch_detached(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio.detach(), _clipped_only(ratio, advantages, clip_range))


SURROGATES: tuple[Mistake, ...] = (
    Deviation(
        id="old_log_prob_recomputed_per_minibatch",
        description="Old log-probabilities are recomputed for every minibatch: ratio 1, KL 0",
        stage="ratio",
        source="higgsfield-ai/higgsfield#20",
        remedy="Keep the log-probabilities stored in the rollout",
        shows="more than one minibatch; rounding in the first; differs from ratio_to_itself only with target_kl",
        patch=_own_log_prob,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="ratio_without_exp",
        description="The ratio is the difference of the log-probabilities, without exp",
        stage="surrogate",
        source=WALK,
        remedy="Take exp of the difference of the log-probabilities",
        recipe=with_objective(_of_ratio(lambda new, old: new - old)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "the ratio lacks its exponential: a difference of log-probabilities"},
    ),
    Deviation(
        id="ratio_inverted",
        description="The ratio is that of the old policy to the new one",
        stage="gradient",
        source=WALK,
        remedy="Take exp(new log_prob - old log_prob)",
        recipe=with_objective(_of_ratio(lambda new, old: torch.exp(old - new))),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "the ratio is upside down: old policy over new"},
    ),
    Deviation(
        id="ratio_of_probabilities",
        description="The ratio is exp(new) / exp(old) instead of exp(new - old); differs by rounding only",
        stage="policy_loss",
        source=WALK,
        remedy="Take exp of the difference, which does not overflow",
        recipe=with_objective(_of_ratio(lambda new, old: torch.exp(new) / torch.exp(old))),
        algorithms=PPO_ONLY,
        hints={
            "policy_loss": (
                "the ratio is a quotient of probabilities, exp(new) / exp(old), which under- and overflows; "
                "use exp(new - old)"
            )
        },
    ),
    Deviation(
        id="surrogate_is_maximum",
        description="The objective is the larger of the clipped and the unclipped surrogate",
        stage="surrogate",
        source="openai/baselines#1156",
        remedy="Take the smaller one: torch.min of the surrogates, or torch.max of their negatives",
        shows="a ratio beyond the clip range",
        recipe=with_objective(_surrogate(_larger)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "max where min belongs: the optimistic branch is taken"},
    ),
    Deviation(
        id="surrogate_always_clipped",
        description="The objective is the clipped surrogate alone, without the minimum with the unclipped one",
        stage="surrogate",
        source=huang("core detail 8"),
        remedy="Take the minimum of the clipped and the unclipped surrogate",
        shows="a ratio beyond the clip range",
        recipe=with_objective(_surrogate(_clipped_only)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "only the clipped branch, without the min with ratio * A"},
    ),
    Deviation(
        id="surrogate_never_clipped",
        description="The objective is the unclipped surrogate: ratio * advantage",
        stage="surrogate",
        source="openai/baselines#1156",
        remedy="Take the minimum of the clipped and the unclipped surrogate",
        shows="a ratio beyond the clip range",
        recipe=with_objective(_surrogate(_unclipped)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "no clipping: ratio * A"},
    ),
    Deviation(
        id="surrogate_clipped_above_only",
        description="The ratio is clipped at 1 + clip_range, but not at 1 - clip_range",
        stage="surrogate",
        source=WALK,
        remedy="Clip the ratio to [1 - clip_range, 1 + clip_range]",
        shows="a ratio below the clip range",
        recipe=with_objective(_surrogate(_clipped_above)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "clipped from above only: the lower bound 1 - clip_range is missing"},
    ),
    Deviation(
        id="surrogate_clipped_below_only",
        description="The ratio is clipped at 1 - clip_range, but not at 1 + clip_range",
        stage="surrogate",
        source=WALK,
        remedy="Clip the ratio to [1 - clip_range, 1 + clip_range]",
        shows="a ratio above the clip range",
        recipe=with_objective(_surrogate(_clipped_below)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "clipped from below only: the upper bound 1 + clip_range is missing"},
    ),
    Deviation(
        id="surrogate_clipped_reciprocally",
        description="The ratio is clipped to [1 / (1 + clip_range), 1 + clip_range]",
        stage="surrogate",
        source=WALK,
        remedy="Clip the ratio to [1 - clip_range, 1 + clip_range]",
        shows="a ratio below the clip range",
        recipe=with_objective(_surrogate(_clipped_reciprocally)),
        algorithms=PPO_ONLY,
        hints={
            "policy_loss": (
                "clipped to [1 / (1 + clip_range), 1 + clip_range] instead of [1 - clip_range, 1 + clip_range]"
            )
        },
    ),
    Deviation(
        id="log_ratio_clipped",
        description="The log ratio is clipped to -clip_range and clip_range, instead of the ratio",
        stage="surrogate",
        source=WALK,
        remedy="Clip the ratio to [1 - clip_range, 1 + clip_range]",
        shows="a ratio beyond the clip range",
        recipe=with_objective(_log_ratio_clipped),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "the log of the ratio is clipped to [-clip_range, clip_range], not the ratio"},
    ),
    Deviation(
        id="dual_clip",
        description="For negative advantages the surrogate is bounded from below by 3 * A",
        stage="surrogate",
        source="Ye et al. 2020, arXiv 1912.09729",
        remedy="Leave the surrogate unbounded where the advantage is negative",
        shows="a ratio above 3 with a negative advantage",
        recipe=with_objective(_surrogate(_dual)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "dual clip: bad actions are bounded by 3 A, which SB3 does not do"},
    ),
    Deviation(
        id="dual_clip_for_all_advantages",
        description="The surrogate is bounded from below by 3 * A for positive advantages as well",
        stage="surrogate",
        source="thu-ml/tianshou#433",
        remedy="Leave the surrogate unbounded, or bound it for negative advantages only",
        recipe=with_objective(_surrogate(_dual_everywhere)),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "dual clip for good actions as well: max(..., 3 A) without A < 0"},
    ),
    Deviation(
        id="surrogate_without_ratio",
        description="The objective is A * log pi(a|s), as in A2C, in all epochs",
        stage="surrogate",
        source="Huang et al. 2022, arXiv 2205.09123",
        remedy="Use the ratio to the behaviour policy",
        recipe=with_objective(log_prob_objective),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "A2C's objective: log_prob * A, without a ratio"},
    ),
    Deviation(
        id="clip_range_always_0-2",
        description="The clip range is always 0.2",
        stage="surrogate",
        source=WALK,
        remedy="Use the configured clip_range",
        shows="another clip_range, and a ratio beyond one of the two",
        settings=with_settings(clip_range=0.2),
        algorithms=PPO_ONLY,
        hints={"policy_loss": "clip_range is ignored: it is always 0.2"},
    ),
    Deviation(
        id="clip_range_not_annealed",
        description="The clip range keeps the value of its schedule at the start",
        stage="surrogate",
        source="Huang et al. 2022, The 37 Implementation Details of PPO, auxiliary detail 1",
        remedy="Evaluate the schedule of clip_range in every update",
        shows="a schedule for clip_range, and a ratio beyond the clip range",
        settings=lambda given: {"clip_range": value_at(given["clip_range"], 1.0)},
        algorithms=PPO_ONLY,
    ),
    checked_only(
        "surrogate_clipped_around_zero",
        "policy_loss",
        "clipped to [-clip_range, clip_range], not around 1",
        recipe=with_objective(_surrogate(_clipped_around_zero)),
    ),
    checked_only(
        "advantage_clipped_for_ratio",
        "policy_loss",
        "the advantage is clipped to the clip range, not the ratio",
        recipe=with_objective(_surrogate(_advantage_clipped)),
    ),
    checked_only(
        "surrogate_is_minimum_of_ratios",
        "policy_loss",
        "min of the ratios instead of min of the products: wrong for bad actions",
        recipe=with_objective(_surrogate(_smaller_ratio)),
    ),
    checked_only(
        "ratio_of_log_probs",
        "policy_loss",
        "the ratio is a quotient of log-probabilities",
        recipe=with_objective(_of_ratio(lambda new, old: new / old)),
    ),
    checked_only(
        "penalty_for_clip",
        "policy_loss",
        "a penalty instead of the clip: ratio * A - beta * KL, with beta = clip_range",
        recipe=with_objective(losses.kl_penalty),
    ),
    checked_only(
        "policy_loss_broadcast",
        "policy_loss",
        "shapes [B, 1] and [B] are multiplied to [B, B]",
        recipe=with_objective(_surrogate(_broadcast)),
    ),
    checked_only(
        "surrogate_minimum_of_means",
        "policy_loss",
        "min is taken after the mean over the minibatch, not before: min(mean, mean)",
        recipe=with_objective(_surrogate(_smaller_mean)),
    ),
    checked_only(
        "unclipped_branch_detached",
        "policy_gradient",
        "the unclipped branch is detached: only clip(ratio) * A has a gradient",
        recipe=with_objective(_surrogate(_unclipped_branch_detached)),
    ),
)
