"""What a deviation is: one named way in which a PPO can part from Stable-Baselines3's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from custom_ppo.recipe import Recipe

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["Deviation"]


@dataclass(frozen=True)
class Deviation:
    """A small change of CustomPPO: its `settings`, its `recipe` and its `surgery`, applied in this order.

    Deviations can be combined: each is applied to what the ones before have made.
    """

    id: str
    """Such as "adam_eps_1e-8": letters, digits, "_" and "-"."""
    description: str
    """What is different, in one line, said of the implementation that has it."""
    stage: str
    """Name of the first quantity (see `crosscheck.quantities`) that differs because of it."""
    source: str
    """Where it was found: a public issue, a paper, or "walk through SB3's source"."""
    remedy: str
    """What to do to be like SB3, in one line."""
    shows: str = ""
    """What it needs to make a difference, such as "Box actions and a sample outside the bounds"; "" is nothing."""
    settings: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None
    """From the keyword arguments of the algorithm (hyperparameters, policy_kwargs ...), its defaults included, to those
    that are different."""
    recipe: Callable[[Recipe], Recipe] | None = None
    """From a recipe to the deviating one."""
    surgery: Callable[[CustomPPO], None] | None = None
    """Changes a model that was just made, for what no part of a recipe expresses: it may wrap methods of the model,
    its `agent`, its `rollout_buffer`, or its `policy` by setting an attribute of the same name on the object."""
    algorithms: tuple[str, ...] = field(default=("ppo", "a2c"))
    """For which references it is a deviation."""
