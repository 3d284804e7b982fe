"""Comparison of two traces at one moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.comparing.divergence import ROUNDING, Divergence, array_difference
from harness.crosscheck.comparing.intermediates import GRADIENT, IMPLIED_INPUTS, SUMMANDS
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.quantities import ORDER, Moment, Place
from harness.crosscheck.tracing.trace import Trace

__all__ = ["divergences_at"]

Array = NDArray[Any]

_DECISIVE = (GRADIENT, ORDER["clipped_gradient"], ORDER["parameters"])
"""Ranks of the results of an update: if these are equal, it does not matter how they were computed."""


def divergences_at(
    reference: Trace, subject: SearchableTrace, moment: Moment, comparable: Collection[int]
) -> Iterator[Divergence]:
    """Yield the divergences at one moment, in the order of quantities.

    Hidden intermediates are reported only if the gradient differs. comparable: ranks to compare.
    """
    # An intermediate that is not found may be wrong, or the subject may do without it: it may compute the surrogate in
    # another way, fuse two operations, or sum in another order. Only the result of the update tells which, so such
    # divergences wait here until a decisive quantity is reached.
    pending: list[Divergence] = []
    for rank in sorted(comparable):
        place = Place(*moment, rank)
        wanted, found = reference.arrays.get(place), subject.trace.arrays.get(place)
        if wanted is None and found is None:
            continue
        if subject.ignored and reference.buffer_row(place) in subject.ignored:
            continue
        if rank in IMPLIED_INPUTS and subject.hides(rank):
            if wanted is None:
                continue
            if found is None:
                # Without a logged operation nothing was computed under observation (a fused engine, an update without
                # torch), and an entropy with a coefficient of zero need not be computed at all.
                if place.quantity in reference.idle or not subject.trace.operations.get(moment):
                    continue
                found = _unnamed_array(reference, subject, moment, wanted)
            divergence = _intermediate_divergence(place, wanted, found, reference)
            # A correct result clears the inputs that it implies: with a correct surrogate no ratio is needed. A value
            # that wrong inputs would give just as well clears nothing.
            if _implies_equal_inputs(wanted) and (divergence is None or not divergence.beyond_rounding):
                pending = [other for other in pending if other.place.rank not in IMPLIED_INPUTS[rank]]
            if divergence is not None:
                pending.append(divergence)
            continue
        divergence = array_difference(place, wanted, found)
        if rank in _DECISIVE:
            if divergence is not None:
                # The error of an array that was not found is unknown; that of the gradient stands for it.
                for other in pending:
                    yield replace(other, size=divergence.size) if other.subject is None else other
            pending = []
        if divergence is not None:
            yield divergence


def _unnamed_array(reference: Trace, subject: SearchableTrace, moment: Moment, wanted: Array) -> Array | None:
    """Return the subject's array for an intermediate that it does not name; None if it is not found.

    A term that the subject logs comes first: among its operations the expected value may occur by chance.
    """
    reported = _reported_term(reference, subject.trace, moment, wanted)
    return subject.search(moment, wanted) if reported is None else reported


def _reported_term(reference: Trace, subject: Trace, moment: Moment, wanted: Array) -> Array | None:
    """Return the scalar that the subject reports in the position in which the reference reports this term.

    Both must report equally many scalars, since only their positions tell the terms apart; otherwise None.
    """
    reported, expected = subject.reported.get(moment, ()), reference.reported.get(moment, ())
    if wanted.size != 1 or len(reported) != len(expected) or float(wanted) not in expected:
        return None
    return np.array(reported[expected.index(float(wanted))], dtype=wanted.dtype).reshape(wanted.shape)


def _intermediate_divergence(place: Place, wanted: Array, found: Array | None, reference: Trace) -> Divergence | None:
    """Return the divergence of an intermediate; its size is relative to its summands if these may cancel out."""
    if found is None:
        return Divergence(place, "value", None, wanted, np.inf)
    divergence = array_difference(place, wanted, found)
    if divergence is None or divergence.kind != "value" or place.rank not in SUMMANDS:
        return divergence
    # The policy term is a mean of normalised advantages, near 1e-9 in the first minibatch: rounding in its summands is
    # then as large as the sum itself, and relative to the sum it would be far beyond rounding.
    summed = [reference.get(place.step, place.minibatch, name) for name in SUMMANDS[place.rank]]
    scale = max(float(np.abs(array).max(initial=0)) for array in (wanted, *summed) if array is not None)
    size = float(np.abs(found.reshape(-1).astype(np.float64) - wanted.reshape(-1)).max()) / (scale or np.inf)
    return replace(divergence, size=size) if np.isfinite(size) else divergence


def _implies_equal_inputs(array: Array) -> bool:
    """Return True if equality of this array implies equal inputs.

    A loss near zero, and ratios that are all equal, result from many different inputs.
    """
    if array.size == 1:
        return bool(np.abs(array).max() > ROUNDING)
    return bool(np.ptp(array) > ROUNDING * np.abs(array).max(initial=0))
