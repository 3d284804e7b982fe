"""Mistake: an entry of the catalogue, made by people who write PPO."""

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
"""Result that a checked function computes; the module `formulas` shows the arguments of each role.

own_normalisation: policy losses that normalise advantages which are normalised already.
*_gradient: mistakes that give the right value and a wrong gradient.
"""
ROLES: tuple[Role, ...] = Role.__args__  # type: ignore[attr-defined]

UNSEEN = "known from single functions, not from training runs: as a hypothesis it would lengthen every search"
COMBINED = "two mistakes at once, which a search finds as two deviations"


@dataclass(frozen=True)
class Mistake:
    """One way to get a formula wrong; a `Deviation` is a mistake that CustomPPO can be trained with.

    A function check prints the mistake's hint if the checked function gives the results of the mistake. These come from
    `settings` and `recipe`, which are changes of SB3's PPO, or from a formula written for that role.
    """

    id: str
    """Name that is unique in the catalogue: letters, digits, "_" and "-", for example "adam_eps_1e-8"."""
    description: str
    """Difference from SB3, in one line: a statement about the implementation that has it."""
    hints: Mapping[Role, str] = field(default_factory=dict, kw_only=True)
    """Text that a function check of this role prints; "" leaves the mistake out because another gives equal results."""
    formulas: Mapping[Role, Any] = field(default_factory=dict, kw_only=True)
    """Pure functions for the roles whose results neither `settings` nor `recipe` changes; for distributions a mapping
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
    """Return a mistake that function checks of one role can name; why: reason why it is not a deviation."""
    return Mistake(
        id,
        hint,
        hints={role: hint},
        formulas={} if formula is None else {role: formula},
        settings=settings,
        recipe=recipe,
        no_deviation=why,
    )
