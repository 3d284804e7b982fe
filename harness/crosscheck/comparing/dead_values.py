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

# Some distributions have no entropy in closed form, so it is never computed. Nothing is lost: its inputs are inputs of
# the log-probability as well.
_MAY_BE_ABSENT = frozenset(("entropy",))


def _computed_from(name: str) -> frozenset[str]:
    """Return the quantities in which an error of a stored value must show, if it matters at all.

    Advantages and returns mix all steps of a rollout, so each of them counts. A minibatch only picks rows of the
    buffer, so in the update the direct uses are enough: everything later is computed from these.
    """
    estimates = {use for use in descendants(name) if BY_NAME[use].phase == "advantages"}
    return frozenset({*estimates, *direct_uses(name)} - _MAY_BE_ABSENT)


COMPUTED_FROM: Mapping[str, frozenset[str]] = {name: _computed_from(name) for name in _STORED}
"""Stored value -> names of the quantities that the following update computes from it. The episode starts of a rollout's
first step, for instance, are never read by SB3's advantage estimation, so a difference there has no effect."""

_AFTER_WEIGHTS = frozenset(("new_value", "new_log_prob"))
"""Computed from stored values alone in the first minibatch; in later ones also from weights that have moved since."""


def dead_values(
    reference: Trace, subject: Trace, divergences: Collection[Divergence], comparable: Collection[int]
) -> tuple[Divergence, ...]:
    """Return the divergences of stored values, beyond rounding, without consequence in the update that follows.

    Every quantity computed from such a value must be recorded in both traces, and be equal up to rounding.
    comparable: ranks that are compared.
    """
    beyond = [divergence for divergence in divergences if divergence.beyond_rounding]
    candidates = [found for found in beyond if found.kind == "value" and found.place.quantity in COMPUTED_FROM]
    if not candidates:
        return ()
    different = {_computed_at(reference, divergence.place) for divergence in beyond}
    recorded = {_computed_at(reference, place) for place in reference.arrays if place in subject.arrays}

    # If a quantity was not recorded or is not compared, it may differ, so the stored value does not count as dead. Only
    # the same iteration counts: in later ones all arrays differ as soon as the weights do.
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
