"""Deviation: a mistake of the catalogue that CustomPPO can be trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.catalogue.mistake import Mistake

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["Deviation"]


@dataclass(frozen=True)
class Deviation(Mistake):
    """A small change of CustomPPO: its `settings`, its `recipe` and its `patch`, applied in this order.

    Deviations can be combined: each is applied to the result of the ones before.
    """

    stage: str
    """Name of the first quantity (see `crosscheck.quantities`) that differs because of it."""
    source: str
    """Place where it was found: a public issue, a paper, or "walk through SB3's source"."""
    remedy: str
    """Change that makes the implementation equal to SB3, in one line."""
    shows: str = ""
    """Condition under which it has an effect, for example "Box actions and a sample outside the bounds"."""
    patch: Callable[[CustomPPO], None] | None = None
    """Function that changes a newly made model, for a mistake that no part of a recipe can express: it may wrap methods
    of the model, its `agent`, its `rollout_buffer` or its `policy` by setting an attribute of that name on the object.
    """
    algorithms: tuple[str, ...] = field(default=("ppo", "a2c"))
    """Reference algorithms from which it deviates."""
