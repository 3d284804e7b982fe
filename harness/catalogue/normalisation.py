"""Mistakes in the normalisation of a minibatch's advantages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from custom_ppo.recipe import Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.mistake import Mistake, checked_only
from harness.catalogue.patching import (
    A2C_ONLY,
    PPO_ONLY,
    WALK,
    with_parts,
    with_settings,
    wrap,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["NORMALISATION"]


def _guarded(normalise: Callable[[Tensor], Tensor]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe that normalises the advantages of minibatches of two or more like this."""
    return with_parts(
        normalize_advantages=lambda advantages: normalise(advantages) if len(advantages) > 1 else advantages
    )


def _normalised_without_guard(advantages: Tensor) -> Tensor:
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def _unguarded(model: CustomPPO) -> None:
    model.agent.recipe = model.agent.recipe.replace(normalize_advantages=_normalised_without_guard)
    # SB3 continues to train with NaN, where CustomPPO raises TrainingDivergedError.
    wrap(model.agent, "check_loss", lambda original, report: None)


def _by_numpy(advantages: Tensor) -> Tensor:
    array = advantages.cpu().numpy()
    return torch.as_tensor((array - array.mean()) / (array.std() + 1e-8), device=advantages.device)


NORMALISATION: tuple[Mistake, ...] = (
    Deviation(
        id="advantages_not_normalised",
        description="Advantages are not normalised",
        stage="normalized_advantage",
        source="alexis-jacq/Pytorch-DPPO#5",
        remedy="Normalise the advantages of each minibatch",
        shows="normalize_advantage",
        settings=with_settings(normalize_advantage=False),
        algorithms=PPO_ONLY,
        hints={"normalisation": "advantages are not normalised"},
    ),
    Deviation(
        id="advantages_normalised",
        description="A2C normalises its advantages",
        stage="normalized_advantage",
        source="Huang et al. 2022, arXiv 2205.09123",
        remedy="Leave normalize_advantage=False for A2C",
        settings=with_settings(normalize_advantage=True),
        algorithms=A2C_ONLY,
    ),
    Deviation(
        id="advantages_centred_only",
        description="Advantages are centred, but not divided by their standard deviation",
        stage="normalized_advantage",
        source=WALK,
        remedy="Divide the centred advantages by their standard deviation + 1e-8",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: advantages - advantages.mean()),
        hints={"normalisation": "advantages are centred, but not divided by their deviation"},
    ),
    Deviation(
        id="advantages_scaled_only",
        description="Advantages are divided by their standard deviation, but not centred",
        stage="normalized_advantage",
        source="YunzhuLi/InfoGAIL#5",
        remedy="Subtract the mean of the advantages first",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: advantages / (advantages.std() + 1e-8)),
        hints={"normalisation": "advantages are divided by their deviation, but not centred"},
    ),
    Deviation(
        id="advantage_std_biased",
        description="Advantages are normalised by the biased standard deviation: std(unbiased=False)",
        stage="normalized_advantage",
        source="NVIDIA/TorchFort#38",
        remedy="Normalise by the unbiased standard deviation: torch.std",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)),
        hints={"normalisation": "advantages are normalised with n instead of n - 1"},
    ),
    Deviation(
        id="advantages_normalised_by_numpy",
        description="The advantages of a minibatch are normalised by NumPy, whose standard deviation is biased",
        stage="normalized_advantage",
        source="openai/baselines, ppo2",
        remedy="Normalise by torch's mean and unbiased std",
        shows="normalize_advantage",
        recipe=_guarded(_by_numpy),
    ),
    Deviation(
        id="advantage_eps_1e-5",
        description="Advantages are divided by their standard deviation + 1e-5 instead of + 1e-8",
        stage="normalized_advantage",
        source=WALK,
        remedy="Add 1e-8 to the standard deviation",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / (advantages.std() + 1e-5)),
        hints={"normalisation": "advantages are normalised with an epsilon of 1e-5 instead of 1e-8"},
    ),
    Deviation(
        id="advantage_eps_inside_sqrt",
        description="Advantages are divided by sqrt(variance + 1e-8)",
        stage="normalized_advantage",
        source=WALK,
        remedy="Divide by the standard deviation + 1e-8",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / torch.sqrt(advantages.var() + 1e-8)),
    ),
    Deviation(
        id="single_advantage_normalised",
        description="A minibatch of one transition is normalised as well, which makes its advantage NaN",
        stage="normalized_advantage",
        source="DLR-RM/stable-baselines3#325",
        remedy="Do not normalise a minibatch of one transition",
        shows="normalize_advantage and a last minibatch of one transition",
        patch=_unguarded,
        hints={
            "normalisation": "a minibatch of one transition is normalised as well, which is NaN: its deviation is 0 / 0"
        },
        formulas={"normalisation": _normalised_without_guard},
    ),
    checked_only(
        "advantages_divided_by_variance",
        "normalisation",
        "advantages are divided by their variance",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / (advantages.var() + 1e-8)),
    ),
    checked_only(
        "advantage_eps_missing",
        "normalisation",
        "advantages are normalised without the 1e-8, which is NaN when all are equal",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / advantages.std()),
    ),
)
