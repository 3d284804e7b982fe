"""Comparison of two whole traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.crosscheck.comparing.dead_values import dead_values
from harness.crosscheck.comparing.divergence import Divergence
from harness.crosscheck.comparing.moment_comparison import divergences_at
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.quantities import ORDER, QUANTITIES, Moment, Place
from harness.crosscheck.tracing.trace import Trace

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Divergences of a subject's trace from a reference's."""

    first: Divergence | None
    """First divergence of any size; None if every bit agrees."""
    first_beyond_rounding: Divergence | None
    n_compared: int
    """Number of the reference's arrays that were compared."""
    largest: Mapping[tuple[int, int], float]
    """(iteration, minibatch) -> size of the largest divergence; minibatch 0 is the rollout before the update. Infinite
    for missing arrays, and for integers that differ, since these have no relative size."""
    dead_values: tuple[Divergence, ...] = ()
    """Divergences of stored values without consequence, which count in none of the other fields."""


def compare(reference: Trace, subject: Trace | SearchableTrace) -> Comparison:
    """Compare all quantities that both traces have, in chronological order.

    All quantities of the reference are recorded by name; those of the subject that are not are searched for.
    """
    searchable = subject if isinstance(subject, SearchableTrace) else SearchableTrace(subject)
    comparable = reference.recorded_ranks & searchable.comparable_ranks
    moments = sorted({*reference.moments, *searchable.moments})
    found = {moment: list(divergences_at(reference, searchable, moment, comparable)) for moment in moments}
    everything = [divergence for moment in moments for divergence in found[moment]]
    # A stored value is dead only if everything computed from it agrees, often much later: all moments must be compared
    # before the first divergence can be chosen.
    dead = dead_values(reference, searchable.trace, everything, comparable)
    at_dead = {divergence.place for divergence in dead}
    alive = {moment: [one for one in found[moment] if one.place not in at_dead] for moment in moments}
    with_effect = [divergence for moment in moments for divergence in alive[moment]]
    first = next(iter(with_effect), None)
    beyond = next((divergence for divergence in with_effect if divergence.beyond_rounding), None)
    # Arrays are missing after an error because of it, so the error is the divergence to report. A value that differed
    # before it is reported nonetheless: it is often the cause of the error.
    if searchable.trace.error is not None and (beyond is None or beyond.kind == "missing"):
        beyond = _end_by_error(searchable)
        first = first if first is not None and first.kind != "missing" else beyond
    n_compared = sum(place.rank in comparable for place in reference.arrays)
    return Comparison(first, beyond, n_compared, _largest(reference, alive), dead)


def _end_by_error(subject: SearchableTrace) -> Divergence:
    """Return the error that ended a run as a divergence, at the last moment of the run."""
    last = subject.moments[-1] if subject.moments else (0, 0)
    return Divergence(Place(*last, len(QUANTITIES) - 1), "error", None, None, np.inf)


def _largest(reference: Trace, found: Mapping[Moment, Sequence[Divergence]]) -> dict[tuple[int, int], float]:
    """Return the size of the largest divergence for every iteration and minibatch.

    The end of the reference's training is recorded under the number of the minibatch that would come next. A divergence
    there counts only if another moment has this iteration and this minibatch.
    """
    endings = {place.moment for place in reference.arrays if place.rank == ORDER["final_randomness"]}
    largest: dict[tuple[int, int], float] = {}
    for moment, divergences in found.items():
        key = reference.iteration(moment[0]), moment[1]
        if moment not in endings:
            largest.setdefault(key, 0.0)
        if key in largest:
            largest[key] = max(largest[key], *(divergence.size for divergence in divergences), 0.0)
    return largest
