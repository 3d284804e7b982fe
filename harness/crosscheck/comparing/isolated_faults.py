"""Stages that go wrong by themselves, seen in a run in which each was given the reference's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.crosscheck.comparing.dead_values import Row
from harness.crosscheck.comparing.divergences import KEPT_BY_ALL, Divergence, Moment, Watched, divergences_at
from harness.crosscheck.comparing.source_lines import Line, counterpart, first_foreign_line
from harness.crosscheck.quantities import ORDER
from harness.crosscheck.tracing.trace import Trace

__all__ = ["completed", "faults", "lines"]

CHAINS: Mapping[str, Sequence[str]] = {
    "inputs": ("batch_observation", "new_value", "new_log_prob", "entropy"),
    "policy": ("old_log_prob", "batch_advantage", "normalized_advantage", "ratio", "surrogate", "policy_loss"),
    "value": ("old_value", "batch_return", "predicted_value", "value_loss"),
    "entropy": ("entropy_loss",),
    "total": ("loss", "gradient"),
}
"""What an implementation keeps to itself cannot be replaced, so that what goes wrong in it goes on to its end."""
CHAIN_OF: Mapping[int, str] = {ORDER[name]: chain for chain, names in CHAINS.items() for name in names}


def faults(baseline: Trace, fed: Trace, ignored: frozenset[Row] = frozenset()) -> list[Divergence]:
    """The first difference of each stage beyond rounding; what follows from another one is left out.

    fed: of the subject, with the baseline's inputs at every stage. ignored: see `Watched`.
    """
    watched = Watched(fed, ignored)
    visible = baseline.sees & watched.sees
    found: dict[int | str, Divergence] = {}
    for moment in sorted({*baseline.moments, *fed.moments}):
        chains = set()
        for divergence in divergences_at(baseline, watched, moment, visible):
            rank = divergence.place.rank
            if not divergence.beyond_rounding or rank == ORDER["final_randomness"]:
                continue
            if divergence.kind == "missing" and fed.error is not None:
                continue  # it follows from the error
            chain = None if rank in watched.named and rank < KEPT_BY_ALL else CHAIN_OF.get(rank)
            if chain is not None:
                chains.add(chain)
                if "inputs" in chains and chain != "inputs":
                    continue
                if chain == "total" and (len(chains) > 1 or {"policy", "value", "entropy"} & found.keys()):
                    continue
            found.setdefault(chain or rank, divergence)
    return sorted(found.values(), key=lambda divergence: divergence.place)


def completed(divergence: Divergence, subject: Trace, reference: Trace) -> Divergence:
    """The divergence with what the subject most likely has in the place of a number that was not found."""
    place = divergence.place
    if divergence.ours is not None or divergence.theirs is None or divergence.kind != "value" or not place.minibatch:
        return divergence
    return replace(divergence, ours=counterpart(subject, reference, (place.step, place.minibatch), divergence.theirs))


def lines(
    divergence: Divergence, subject: Trace, fed: Trace | None, reference: Trace, names: Trace
) -> tuple[Line | None, Line | None]:
    """The lines of the subject and of the reference that first compute what the other never does.

    Looked for where the two part; if the numbers show nothing there (a ratio of one has many equals), in the run that
    got right inputs, at the first minibatch that shows something.
    """
    place = divergence.place
    if not place.minibatch:
        return None, None
    after = place.rank > ORDER["gradient"]
    moment: Moment = (place.step, place.minibatch)
    ours = first_foreign_line(subject, reference, moment, names, after_backward=after)
    theirs = first_foreign_line(reference, subject, moment, names, after_backward=after)
    if ours is None and theirs is None and fed is not None and not after:
        for later in (other for other in sorted(fed.operations) if other >= moment):
            ours = first_foreign_line(fed, reference, later, names, after_backward=False)
            theirs = first_foreign_line(reference, fed, later, names, after_backward=False)
            if ours is not None or theirs is not None:
                break
    if ours is not None and theirs is not None and (ours.file, ours.line) == (theirs.file, theirs.line):
        return None, None  # both have it, with other inputs
    return ours, theirs
