"""Mistakes in the value loss, its clipping and its weight."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from custom_ppo import losses
from custom_ppo.memory import Batch
from custom_ppo.recipe import Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.mistake import COMBINED, UNSEEN, Mistake, checked_only
from harness.catalogue.patching import (
    PPO_ONLY,
    WALK,
    huang,
    one_after_another,
    with_parts,
    with_settings,
)

__all__ = ["VALUE_LOSSES", "opposite_value_loss"]


def _halved_value_loss(recipe: Recipe) -> Recipe:
    return recipe.replace(value_loss=lambda returns, values: 0.5 * recipe.value_loss(returns, values))


def _summed_value_loss(returns: Tensor, values: Tensor) -> Tensor:
    return functional.mse_loss(returns, values, reduction="sum")


def _written_out(returns: Tensor, values: Tensor) -> Tensor:
    return ((returns - values) ** 2).mean()


def _worse_of_both(choose: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe: choose(error of the value, error of the clipped value), squared, per transition."""

    def deviating(recipe: Recipe) -> Recipe:
        free: list[Tensor] = []

        def clip_values(values: Tensor, batch: Batch, clip_range_vf: float) -> Tensor:
            free[:] = [values]
            return recipe.clip_values(values, batch, clip_range_vf)

        def value_loss(returns: Tensor, values: Tensor) -> Tensor:
            if not free:  # clip_range_vf is None
                return recipe.value_loss(returns, values)
            return choose((free.pop() - returns) ** 2, (values - returns) ** 2).mean()

        return recipe.replace(clip_values=clip_values, value_loss=value_loss)

    return deviating


def _broadcast_values(recipe: Recipe) -> Recipe:
    def clip_values(values: Tensor, batch: Batch, clip_range_vf: float) -> Tensor:
        return recipe.clip_values(values.unsqueeze(1), batch, clip_range_vf)  # [B, B]

    def value_loss(returns: Tensor, values: Tensor) -> Tensor:
        columns = values if values.ndim > 1 else values.unsqueeze(1)
        return recipe.value_loss(returns.expand(len(columns), -1), columns.expand(-1, len(returns)))

    return recipe.replace(clip_values=clip_values, value_loss=value_loss)


def _broadcast_value_loss(recipe: Recipe) -> Recipe:
    return recipe.replace(
        value_loss=lambda returns, values: recipe.value_loss(
            returns.expand(len(values), -1), values.unsqueeze(1).expand(-1, len(returns))
        )
    )


def _value_loss(loss: Callable[[Tensor], Tensor]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe to the value loss loss(returns - values)."""
    return with_parts(value_loss=lambda returns, values: loss(returns - values))


def _error_in_spreads(returns: Tensor, values: Tensor) -> Tensor:
    return (((returns - values) / (returns.std() + 1e-8)) ** 2).mean()


def _around_returns(values: Tensor, batch: Batch, clip_range_vf: float) -> Tensor:
    return losses.clipped_values(values, batch.returns, clip_range_vf)


def _to_range(values: Tensor, batch: Batch, clip_range_vf: float) -> Tensor:
    return torch.clamp(values, -clip_range_vf, clip_range_vf)


def opposite_value_loss(recipe: Recipe) -> Recipe:
    """Return the recipe with minus its value loss."""
    return recipe.replace(value_loss=lambda returns, values: -recipe.value_loss(returns, values))


def _clipped_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_range_vf: float | None) -> Tensor:
    squares = (returns - values) ** 2
    return (squares if clip_range_vf is None else torch.clamp(squares, max=clip_range_vf)).mean()


VALUE_LOSSES: tuple[Mistake, ...] = (
    Deviation(
        id="value_loss_summed",
        description="The value loss is the sum over the minibatch instead of the mean",
        stage="value_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        recipe=with_parts(value_loss=_summed_value_loss),
        hints={"value_loss": "a sum over the minibatch instead of its mean"},
    ),
    Deviation(
        id="value_loss_huber",
        description="The value loss is smooth_l1_loss (Huber) instead of the squared error",
        stage="value_loss",
        source="Andrychowicz et al. 2021, arXiv 2006.05990",
        remedy="Take the mean squared error: functional.mse_loss",
        recipe=with_parts(value_loss=functional.smooth_l1_loss),
        hints={"value_loss": "Huber's loss instead of squares"},
    ),
    Deviation(
        id="value_loss_written_out",
        description="The value loss is ((returns - values) ** 2).mean() instead of mse_loss; differs by rounding only",
        stage="gradient",
        source=WALK,
        remedy="Use functional.mse_loss, or accept the rounding of its gradient",
        recipe=with_parts(value_loss=_written_out),
    ),
    Deviation(
        id="value_clip_pessimistic",
        description="The value loss is the larger of the clipped and the unclipped squared error",
        stage="value_loss",
        source=huang("core detail 9"),
        remedy="Take the error of the clipped value alone",
        shows="clip_range_vf, and a value that moved by more",
        recipe=_worse_of_both(torch.max),
        algorithms=PPO_ONLY,
        hints={
            "value_loss": (
                "the larger of clipped and unclipped error counts, as in OpenAI's baselines; SB3 takes the clipped"
            )
        },
    ),
    Deviation(
        id="value_clip_optimistic",
        description="The value loss is the smaller of the clipped and the unclipped squared error",
        stage="value_loss",
        source="RLlib's PPO, earlier versions",
        remedy="Take the error of the clipped value alone",
        shows="clip_range_vf, and a value that moved by more",
        recipe=_worse_of_both(torch.min),
        algorithms=PPO_ONLY,
        hints={"value_loss": "the smaller of clipped and unclipped error counts; SB3 takes the clipped"},
    ),
    Deviation(
        id="value_loss_halved",
        description="The value loss has a factor 1/2",
        stage="value_loss",
        source="openai/baselines#372",
        remedy="Take the mean squared error without 1/2, or double vf_coef",
        recipe=_halved_value_loss,
        hints={
            "value_loss": "a factor 1/2: SB3 has none, its vf_coef of 0.5 stands outside",
            "total_loss": "vf_coef is applied, and a factor 1/2 as well",
        },
    ),
    Deviation(
        id="value_clip_ignored",
        description="Values are not clipped: clip_range_vf is ignored",
        stage="predicted_value",
        source=WALK,
        remedy="Clip the change of the value to clip_range_vf",
        shows="clip_range_vf, and a value that moved by more",
        settings=with_settings(clip_range_vf=None),
        algorithms=PPO_ONLY,
        hints={"value_loss": "clip_range_vf is ignored"},
    ),
    Deviation(
        id="value_clipped_by_clip_range",
        description="Values are clipped by clip_range if clip_range_vf is None",
        stage="predicted_value",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Leave values unclipped if clip_range_vf is None",
        shows="clip_range_vf=None, and a value that moved by more than clip_range",
        settings=lambda given: {"clip_range_vf": given["clip_range_vf"] or given["clip_range"]},
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="clip_range_vf_is_clip_range",
        description="Values are clipped by clip_range instead of clip_range_vf",
        stage="predicted_value",
        source=huang("core detail 9"),
        remedy="Clip the change of the value to clip_range_vf",
        shows="clip_range_vf other than clip_range, and a value that moved by more than one of them",
        settings=lambda given: {} if given["clip_range_vf"] is None else {"clip_range_vf": given["clip_range"]},
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="values_broadcast",
        description="Values [B, 1] and returns [B] broadcast to [B, B]: every value is compared with every return",
        stage="predicted_value",
        source="pytorch/pytorch#16045",
        remedy="Flatten the values to [B]",
        shows="more than one transition in a minibatch",
        recipe=_broadcast_values,
        hints={"value_loss": "shapes [B, 1] and [B] are subtracted to [B, B]"},
    ),
    Deviation(
        id="vf_coef_1",
        description="The value loss has weight 1: vf_coef is ignored",
        stage="loss",
        source="google/brax#596",
        remedy="Multiply the value loss by vf_coef",
        shows="another vf_coef",
        settings=with_settings(vf_coef=1.0),
        hints={"total_loss": "vf_coef is missing: the value loss counts fully"},
    ),
    Deviation(
        id="vf_coef_always_0-5",
        description="The value loss always has weight 0.5: vf_coef is ignored",
        stage="loss",
        source=WALK,
        remedy="Use the configured vf_coef",
        shows="another vf_coef",
        settings=with_settings(vf_coef=0.5),
        hints={"total_loss": "vf_coef is ignored: the value loss always counts by half"},
    ),
    checked_only(
        "value_loss_half_of_sum",
        "value_loss",
        "half of a sum over the minibatch",
        recipe=one_after_another(with_parts(value_loss=_summed_value_loss), _halved_value_loss),
        why=COMBINED,
    ),
    checked_only(
        "value_clip_ignored_and_halved",
        "value_loss",
        "clip_range_vf is ignored, and there is a factor 1/2",
        settings=with_settings(clip_range_vf=None),
        recipe=_halved_value_loss,
        why=COMBINED,
    ),
    checked_only(
        "value_clip_pessimistic_and_halved",
        "value_loss",
        "the larger of clipped and unclipped error counts, halved, as in CleanRL; SB3 takes the clipped",
        recipe=one_after_another(_worse_of_both(torch.max), _halved_value_loss),
        why=COMBINED,
    ),
    checked_only(
        "clipped_values_broadcast",
        "value_loss",
        "shapes [B, 1] and [B] are subtracted to [B, B], after the values were clipped around old ones [B, 1]",
        recipe=_broadcast_value_loss,
        why="without clipping it is values_broadcast, and the rollout holds old values [B]",
    ),
    checked_only(
        "values_broadcast_and_halved",
        "value_loss",
        "shapes [B, 1] and [B] are subtracted to [B, B], and there is a factor 1/2",
        recipe=one_after_another(_halved_value_loss, _broadcast_value_loss),
        why=COMBINED,
    ),
    checked_only(
        "value_clipped_around_returns",
        "value_loss",
        "values are clipped around the returns instead of around the old values",
        recipe=with_parts(clip_values=_around_returns),
    ),
    checked_only(
        "value_clipped_to_range",
        "value_loss",
        "values are clipped to [-clip_range_vf, clip_range_vf] instead of around the old values",
        recipe=with_parts(clip_values=_to_range),
    ),
    checked_only(
        "value_loss_clipped_for_values",
        "value_loss",
        "the loss is clipped to clip_range_vf, not the values",
        formula=_clipped_loss,
    ),
    Mistake(
        "value_loss_of_old_values",
        "the old values are compared with the returns instead of the new ones",
        hints={"value_loss": "the old values are compared with the returns instead of the new ones", "total_loss": ""},
        formulas={
            "value_loss": lambda values, old_values, returns, clip_range_vf: ((returns - old_values) ** 2).mean()
        },
        no_deviation="its gradient is that of value_loss_left_out",
    ),
    checked_only(
        "value_loss_absolute",
        "value_loss",
        "absolute errors instead of squares",
        recipe=with_parts(value_loss=functional.l1_loss),
    ),
    checked_only(
        "value_loss_root",
        "value_loss",
        "the root of the mean square",
        recipe=_value_loss(lambda errors: (errors**2).mean().sqrt()),
    ),
    checked_only(
        "value_loss_square_of_mean",
        "value_loss",
        "the square of the mean error: the mean is taken before the square",
        recipe=_value_loss(lambda errors: errors.mean() ** 2),
    ),
    checked_only(
        "value_error_over_spread_of_returns",
        "value_loss",
        "errors are divided by the spread of the returns",
        recipe=with_parts(value_loss=_error_in_spreads),
    ),
    Mistake(
        "value_loss_sign",
        "The value loss is maximised instead of minimised",
        hints={
            "value_loss": "the sign: minus the mean squared error",
            "total_loss": "the value loss has the wrong sign",
        },
        recipe=opposite_value_loss,
        no_deviation=UNSEEN,
    ),
    checked_only(
        "value_loss_left_out",
        "total_loss",
        "the value loss is missing",
        settings=with_settings(vf_coef=0.0),
    ),
)
