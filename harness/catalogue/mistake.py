"""An entry of the catalogue: one named mistake that people make when they write PPO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from custom_ppo.recipe import Recipe

__all__ = ["COMBINED", "ROLES", "UNSEEN", "Mistake", "Role", "checked_only"]

Role = Literal[
    "advantages",
    "advantages_with_timeouts",
    "policy_loss",
    "own_normalisation",
    "policy_gradient",
    "value_loss",
    "normalisation",
    "total_loss",
    "log_prob",
    "log_prob_gradient",
    "entropy",
    "entropy_gradient",
]
"""Quantity that a function under check computes; `formulas` says which arguments a formula of each role takes.

own_normalisation: policy losses that normalise advantages which are normalised already.
*_gradient: mistakes that leave the value right and change what is learnt.
"""
ROLES: tuple[Role, ...] = Role.__args__  # type: ignore[attr-defined]

UNSEEN = "known from single functions, not from training runs: as a hypothesis it would lengthen every search"
COMBINED = "two mistakes at once, which a search finds as two deviations"


@dataclass(frozen=True)
class Mistake:
    """One way to get a formula wrong; a `Deviation` is a mistake that CustomPPO can be trained with.

    A function check names the mistake by its hint when the function under check gives the numbers of the mistake. They
    come from `settings` and `recipe`, which are changes of SB3's PPO, or from a formula written for that role.
    """

    id: str
    """Name that is unique in the catalogue: letters, digits, "_" and "-", for example "adam_eps_1e-8"."""
    description: str
    """Difference from SB3, in one line, said of the implementation that has it."""
    hints: Mapping[Role, str] = field(default_factory=dict, kw_only=True)
    """Text that a function check of this role prints; "" leaves the mistake out where others have the same numbers."""
    formulas: Mapping[Role, Any] = field(default_factory=dict, kw_only=True)
    """Pure functions for the roles whose numbers neither `settings` nor `recipe` changes; for distributions a mapping
    from the distribution to its function."""
    settings: Callable[[dict[str, Any]], Mapping[str, Any]] | None = field(default=None, kw_only=True)
    """Function from all keyword arguments of the algorithm (hyperparameters, policy_kwargs ...), with defaults, to the
    changed ones."""
    recipe: Callable[[Recipe], Recipe] | None = field(default=None, kw_only=True)
    """Function from a recipe to the changed one."""
    no_deviation: str = field(default="", kw_only=True)
    """Reason why CustomPPO is not trained with it; "" for a `Deviation`."""


def checked_only(
    id: str,
    role: Role,
    hint: str,
    *,
    formula: Any = None,
    settings: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
    recipe: Callable[[Recipe], Recipe] | None = None,
    why: str = UNSEEN,
) -> Mistake:
    """Return a mistake that function checks of one role name, and that CustomPPO is not trained with (`why`)."""
    return Mistake(
        id,
        hint,
        hints={role: hint},
        formulas={} if formula is None else {role: formula},
        settings=settings,
        recipe=recipe,
        no_deviation=why,
    )
