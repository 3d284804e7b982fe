"""Stored values that differ although nothing computed from them does."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.crosscheck.comparing.divergence import Divergence
from harness.crosscheck.quantities import BY_NAME, ORDER, QUANTITIES, Place, descendants, direct_uses
from harness.crosscheck.tracing.trace import Trace

__all__ = ["dead_values"]

_STORED = tuple(
    quantity.name for quantity in QUANTITIES if quantity.name.startswith("stored_") or quantity.name == "episode_start"
)

# Some distributions have no entropy in closed form, and then it is never computed; it reads nothing that the
# log-probability does not read as well.
_MAY_BE_ABSENT = frozenset(("entropy",))


def _computed_from(name: str) -> frozenset[str]:
    """Return the quantities in which an error of a stored value must show, if it matters at all.

    Estimates mix all steps of a rollout, so every one of them counts. A minibatch only picks rows of the buffer, so in
    the update the direct uses are enough: all that follows is computed from these.
    """
    estimates = {use for use in descendants(name) if BY_NAME[use].phase == "advantages"}
    return frozenset({*estimates, *direct_uses(name)} - _MAY_BE_ABSENT)


COMPUTED_FROM: Mapping[str, frozenset[str]] = {name: _computed_from(name) for name in _STORED}
"""Stored value -> names of all that the following update computes from it. SB3's advantages never read the episode
starts of a rollout's first step, for instance, so any value there is as good as another."""

_AFTER_WEIGHTS = frozenset(("new_value", "new_log_prob"))
"""Computed from stored values alone in the first minibatch; in later ones also from weights that have moved since."""


def dead_values(
    reference: Trace, subject: Trace, divergences: Collection[Divergence], comparable: Collection[int]
) -> tuple[Divergence, ...]:
    """Return the divergences of stored values, beyond rounding, without consequence in the update that follows.

    All that is computed from such a value must be recorded in both traces, and be equal up to rounding.
    comparable: ranks that are compared.
    """
    beyond = [divergence for divergence in divergences if divergence.beyond_rounding]
    candidates = [found for found in beyond if found.kind == "value" and found.place.quantity in COMPUTED_FROM]
    if not candidates:
        return ()
    different = {_computed_at(reference, divergence.place) for divergence in beyond}
    recorded = {_computed_at(reference, place) for place in reference.arrays if place in subject.arrays}

    # Equality of what was not recorded, or is not compared, is unknown, so such a value counts as alive. Only the same
    # iteration counts: in later ones all arrays differ as soon as the weights do.
    def is_dead(divergence: Divergence) -> bool:
        iteration = reference.iteration(divergence.place.step)
        computed = {(iteration, ORDER[name]) for name in COMPUTED_FROM[divergence.place.quantity]}
        return computed <= recorded and not computed & different and all(rank in comparable for _, rank in computed)

    return tuple(filter(is_dead, candidates))


def _computed_at(reference: Trace, place: Place) -> tuple[int, int] | None:
    """Return iteration and rank of an array computed from stored values alone; None for any other."""
    if place.quantity in _AFTER_WEIGHTS and place.minibatch > 1:
        return None
    return reference.iteration(place.step), place.rank
