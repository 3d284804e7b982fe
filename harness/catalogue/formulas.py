"""Mistakes as pure functions: parts of SB3's PPO with the mistake in them, applied to arguments.

The same change of a recipe serves training runs, which it must reproduce to the bit, and function checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from custom_ppo.memory import Batch
from custom_ppo.recipe import SB3_PPO, Recipe
from harness.catalogue.mistake import Mistake, Role

__all__ = ["advantage_formula", "distribution_formula", "normalisation", "policy_loss", "total_loss", "value_loss"]

SETTINGS = {
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "clip_range_vf": None,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "normalize_advantage": True,
}
"""Settings of SB3's PPO that enter a formula; arguments of the formula replace them."""


def _changed(mistake: Mistake, **arguments: Any) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe and the settings of an implementation with this mistake."""
    settings = {**SETTINGS, **arguments}
    if mistake.settings is not None:
        settings.update(mistake.settings(settings))
    return SB3_PPO if mistake.recipe is None else mistake.recipe(SB3_PPO), settings


def advantage_formula(mistake: Mistake) -> Callable[..., Any]:
    """Return a function with the signature of `custom_ppo.gae.gae` that has this mistake."""
    if "advantages" in mistake.formulas:
        formula: Callable[..., Any] = mistake.formulas["advantages"]
        return formula

    def estimate(*arrays: Any, gamma: float, gae_lambda: float) -> Any:
        recipe, settings = _changed(mistake, gamma=gamma, gae_lambda=gae_lambda)
        return recipe.advantages(*arrays, gamma=settings["gamma"], gae_lambda=settings["gae_lambda"])

    return estimate


def policy_loss(
    mistake: Mistake, log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float
) -> tuple[Tensor, Tensor]:
    """Return the policy's loss of each transition, [B], and of the minibatch.

    The first has another shape if that is the mistake.
    """
    recipe, settings = _changed(mistake, clip_range=clip_range)
    objective = recipe.policy_loss.objective(log_prob, old_log_prob, advantages, settings["clip_range"])
    return -objective, recipe.policy_loss.reduction(objective)


def value_loss(
    mistake: Mistake, values: Tensor, old_values: Tensor, returns: Tensor, clip_range_vf: float | None
) -> Tensor:
    """Return the critic's loss of a minibatch, as one number."""
    if "value_loss" in mistake.formulas:
        loss: Tensor = mistake.formulas["value_loss"](values, old_values, returns, clip_range_vf)
        return loss
    recipe, settings = _changed(mistake, clip_range_vf=clip_range_vf)
    limit = settings["clip_range_vf"]
    if limit is not None:
        nothing = torch.zeros_like(values)
        batch = Batch(nothing, nothing, old_values, nothing, nothing, returns)
        values = recipe.clip_values(values, batch, limit)
    return recipe.value_loss(returns, values)


def normalisation(mistake: Mistake) -> Callable[[Tensor], Tensor]:
    """Return the function from advantages [B] to normalised ones that has this mistake."""
    if "normalisation" in mistake.formulas:
        formula: Callable[[Tensor], Tensor] = mistake.formulas["normalisation"]
        return formula
    recipe, settings = _changed(mistake)
    return recipe.normalize_advantages if settings["normalize_advantage"] else lambda advantages: advantages


def total_loss(
    mistake: Mistake,
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    entropy: Tensor,
    *,
    clip_range: float,
    clip_range_vf: float | None,
    ent_coef: float,
    vf_coef: float,
    normalize_advantage: bool,
) -> Tensor:
    """Return the whole loss of a minibatch, composed as in `custom_ppo.engines`' autograd engine."""
    recipe, settings = _changed(mistake, clip_range=clip_range, ent_coef=ent_coef, vf_coef=vf_coef)
    if normalize_advantage:
        advantages = normalisation(mistake)(advantages)
    _, policy = policy_loss(mistake, log_prob, old_log_prob, advantages, clip_range)
    value = value_loss(mistake, values, old_values, returns, clip_range_vf)
    entropy_loss = recipe.entropy_loss(entropy, log_prob)
    loss: Tensor = policy + settings["ent_coef"] * entropy_loss + settings["vf_coef"] * value
    return loss


def distribution_formula(mistake: Mistake, role: Role, distribution: str) -> Callable[..., Tensor] | None:
    """Return the function of a distribution's parameters (and actions) with this mistake; None if it has none."""
    formula: Callable[..., Tensor] | None = mistake.formulas.get(role, {}).get(distribution)
    return formula
