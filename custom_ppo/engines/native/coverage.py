"""Conditions under which the compiled kernels apply, and in words the reason why they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from custom_ppo.engines import fusible
from custom_ppo.engines.features import reason_against_flattening
from custom_ppo.engines.native.heads import reason_against_head
from custom_ppo.engines.native.learner import reason_against_layers
from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.recipe import PPO_PENALTY, SB3_PPO, Recipe

__all__ = ["reason_against"]

_WRITTEN_OUT: Mapping[str, tuple[Any, ...]] = {
    "stop_early": (SB3_PPO.stop_early, PPO_PENALTY.stop_early),
    "normalize_advantages": (SB3_PPO.normalize_advantages,),
}
"""Part of a recipe that the agent or the fused engine calls -> those that the kernels have written out."""


def reason_against(policy: Any, optimizer: torch.optim.Optimizer, recipe: Recipe) -> str | None:
    """Return the reason why the kernels cannot make an update, or None if they can."""
    reason = reason_against_loading() or fusible.reason_against(policy, optimizer, recipe)
    if reason:
        return reason
    changed = [part for part, known in _WRITTEN_OUT.items() if getattr(recipe, part) not in known]
    if changed:
        return f"the recipe has its own {', '.join(changed)}"
    return reason_against_flattening(policy) or reason_against_layers(policy) or reason_against_head(policy)
