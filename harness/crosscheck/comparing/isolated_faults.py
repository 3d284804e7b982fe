"""Stages that are wrong on their own, found in a fed run: one in which every stage gets the reference's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.crosscheck.comparing.divergence import Divergence
from harness.crosscheck.comparing.intermediates import CHAIN_OF, GRADIENT
from harness.crosscheck.comparing.moment_comparison import divergences_at
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.comparing.source_lines import SourceLine, first_unshared_line, most_similar_result
from harness.crosscheck.quantities import BY_NAME, ORDER, Moment
from harness.crosscheck.tracing.trace import BufferRow, Trace

__all__ = ["diverging_lines", "isolated_faults", "with_likely_value"]

_TERMS = frozenset(BY_NAME["loss"].made_from)


def isolated_faults(baseline: Trace, fed: Trace, ignored: frozenset[BufferRow] = frozenset()) -> list[Divergence]:
    """Return the first divergence beyond rounding of each stage, unless it follows from that of another stage.

    fed: trace of the subject, with the baseline's inputs at every stage. ignored: see `SearchableTrace`.
    """
    searchable = SearchableTrace(fed, ignored)
    comparable = baseline.recorded_ranks & searchable.comparable_ranks
    found: dict[int | str, Divergence] = {}
    for moment in sorted({*baseline.moments, *fed.moments}):
        divergences = divergences_at(baseline, searchable, moment, comparable)
        for stage, divergence in _own_faults(divergences, searchable, term_was_wrong=bool(found.keys() & _TERMS)):
            found.setdefault(stage, divergence)
    return sorted(found.values(), key=lambda divergence: divergence.place)


def _own_faults(
    divergences: Iterable[Divergence], fed: SearchableTrace, *, term_was_wrong: bool
) -> Iterator[tuple[int | str, Divergence]]:
    """Yield the divergences of one moment that no other one explains, each with its stage: a chain or a rank.

    term_was_wrong: a term of the loss went wrong at an earlier moment.
    """
    chains: set[str] = set()
    for divergence in divergences:
        rank = divergence.place.rank
        if not divergence.beyond_rounding or rank == ORDER["final_randomness"]:
            continue
        if divergence.kind == "missing" and fed.trace.error is not None:
            continue  # it follows from the error
        chain = CHAIN_OF.get(rank) if rank == GRADIENT or fed.hides(rank) else None
        if chain is not None:
            chains.add(chain)
            # Local variables cannot be fed: wrong outputs of the networks spoil every term of the loss, and a wrong
            # term spoils the total. A term that was wrong at an earlier minibatch counts as well: here it may look
            # right by chance (nearly zero, say) while the total shows its error.
            if "networks" in chains and chain != "networks":
                continue
            if chain == "total" and (len(chains) > 1 or term_was_wrong):
                continue
        yield chain or rank, divergence


def with_likely_value(divergence: Divergence, subject: Trace, reference: Trace) -> Divergence:
    """Return the divergence with the subject's most similar result in place of an array that was not found."""
    place = divergence.place
    if (
        divergence.subject is not None
        or divergence.reference is None
        or divergence.kind != "value"
        or not place.minibatch
    ):
        return divergence
    return replace(divergence, subject=most_similar_result(subject, reference, place.moment, divergence.reference))


def diverging_lines(
    divergence: Divergence, subject: Trace, fed: Trace | None, reference: Trace, names: Trace
) -> tuple[SourceLine | None, SourceLine | None]:
    """Return the lines of the subject and of the reference that first compute what the other never does.

    names: trace that names the quantities of this moment. fed: the subject's fed run, used if the divergence's own
    moment shows no line: equal values may hide the cause there (a ratio of one equals many results).
    """
    place = divergence.place
    if not place.minibatch:
        return None, None
    after = place.rank > GRADIENT
    moment: Moment = place.moment
    subject_line = first_unshared_line(subject, reference, moment, names, after_backward=after)
    reference_line = first_unshared_line(reference, subject, moment, names, after_backward=after)
    if subject_line is None and reference_line is None and fed is not None and not after:
        for later in (other for other in sorted(fed.operations) if other >= moment):
            subject_line = first_unshared_line(fed, reference, later, names, after_backward=False)
            reference_line = first_unshared_line(reference, fed, later, names, after_backward=False)
            if subject_line is not None or reference_line is not None:
                break
    if (
        subject_line is not None
        and reference_line is not None
        and (subject_line.file, subject_line.line) == (reference_line.file, reference_line.line)
    ):
        return None, None  # shared code with other inputs: the cause is elsewhere
    return subject_line, reference_line
