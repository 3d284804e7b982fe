"""Remembered numbers that differ, though nothing that is made from them does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.tracing.trace import Trace

if TYPE_CHECKING:
    from harness.crosscheck.comparing.divergences import Divergence

__all__ = ["Row", "row_of", "without_consequence"]

Row = tuple[int, int]
"""Rank of a quantity, and step of the rollout."""

_ESTIMATES = ("advantage", "return")
_JUDGED = ("new_value", "new_log_prob")
"""Made from what is remembered in the first minibatch; in later ones also from the weights that have moved since."""
MADE_FROM: Mapping[str, Sequence[str]] = {
    "stored_observation": ("batch_observation",),
    "stored_action": ("batch_action",),
    "stored_reward": _ESTIMATES,
    "episode_start": (*_ESTIMATES, *_JUDGED),  # the last two where a network has a memory
    "stored_value": (*_ESTIMATES, "old_value"),
    "stored_log_prob": ("old_log_prob",),
}
"""Remembered number -> all that is made from it in the update that follows. SB3's advantages never read the episode
starts of the first step of a rollout, so whatever stands there is neither right nor wrong."""


def without_consequence(
    reference: Trace, subject: Trace, divergences: Collection[Divergence], visible: Collection[int]
) -> tuple[Divergence, ...]:
    """Those of the divergences that are beyond rounding, and did no more than that in the rollout they belong to.

    Everything that is made from such a number must have been seen there in both traces, and agree but for rounding.
    visible: ranks of what is compared.
    """
    beyond = [divergence for divergence in divergences if divergence.beyond_rounding]
    candidates = [found for found in beyond if found.kind == "value" and found.place.quantity in MADE_FROM]
    if not candidates:
        return ()
    moved = {_made(reference, divergence.place) for divergence in beyond}
    seen = {_made(reference, place) for place in reference.numbers if place in subject.numbers}

    def harmless(divergence: Divergence) -> bool:
        iteration = reference.iteration(divergence.place.step)
        made = {(iteration, ORDER[name]) for name in MADE_FROM[divergence.place.quantity]}
        return made <= seen and not made & moved and all(rank in visible for _, rank in made)

    return tuple(filter(harmless, candidates))


def _made(reference: Trace, place: Place) -> tuple[int, int] | None:
    """Rollout and rank of a number that is made from what is remembered, and from nothing else."""
    if place.quantity in _JUDGED and place.minibatch > 1:
        return None
    return reference.iteration(place.step), place.rank


def row_of(place: Place, reference: Trace) -> Row:
    """Which row of the memory a remembered number stands in, in every rollout."""
    return place.rank, (place.step - 1) % max(reference.n_steps, 1) + 1
