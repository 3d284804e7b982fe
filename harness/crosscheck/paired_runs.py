"""Compare a subject with a reference, run by run."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from harness.crosscheck.comparing.comparison import Comparison
from harness.crosscheck.comparing.divergence import Divergence
from harness.crosscheck.comparing.isolated_faults import diverging_lines, isolated_faults, with_likely_value
from harness.crosscheck.explaining.trials import RecordedRun
from harness.crosscheck.profiles import Case
from harness.crosscheck.quantities import ORDER
from harness.crosscheck.recording import Pairing, Subject, common_cases, record_fed, record_run, torch_threads
from harness.crosscheck.reporting.findings import Finding, finding
from harness.crosscheck.reporting.results import RunResult, Verdict
from harness.crosscheck.tracing.construction import accepted_settings
from harness.training.algorithms import load_algorithm

__all__ = ["check_run", "check_runs"]


def check_runs(pairing: Pairing, pairs: Sequence[tuple[Case, int]]) -> list[RunResult]:
    """Compare the subject with the reference in every pair of case and seed; results come in this order."""
    results = []
    with torch_threads(pairing.threads):
        for case, notes, seed in common_cases(pairing, pairs):
            results.append(_result(pairing, record_run(pairing, case, seed), notes))
            # Hooks create reference cycles between a traced model and its traces, which can be large: only the garbage
            # collector frees them.
            gc.collect()
    return results


def check_run(subject: Subject, reference: str, case: Case, seed: int) -> RunResult:
    """Compare the subject with the reference in one case with one seed."""
    (result,) = check_runs(Pairing(subject, reference), [(case, seed)])
    return result


def _result(pairing: Pairing, run: RecordedRun, notes: tuple[str, ...]) -> RunResult:
    comparison = run.comparison
    first, beyond, unused = comparison.first, comparison.first_beyond_rounding, comparison.dead_values
    fed = record_fed(pairing, run) if _needs_fed_run(pairing, comparison) else None
    isolated = [] if fed is None else isolated_faults(run.baseline, fed, run.searchable_subject.ignored)
    subject_line, reference_line = None, None
    if beyond is not None:
        # An intermediate that was not found has no array: the most similar result of the subject is shown in its place.
        beyond = with_likely_value(beyond, run.subject, run.reference)
        subject_line, reference_line = diverging_lines(beyond, run.subject, fed, run.reference, run.baseline)
    per_epoch = _minibatches_per_epoch(run.case, pairing.reference)

    def described(divergence: Divergence) -> Finding:
        return finding(divergence, run.baseline, per_epoch, run.subject.error)

    # Unused stored values do not count as a divergence; they are shown if there is nothing else to show.
    shown = first or (unused[0] if unused else None)
    return RunResult(
        env=run.case.env,
        seed=run.seed,
        verdict=_verdict(comparison, isolated),
        first=None if shown is None else described(shown),
        first_beyond_rounding=None if beyond is None else described(beyond),
        subject_line=subject_line,
        reference_line=reference_line,
        faults=tuple(map(described, isolated)),
        largest=tuple((*key, size) for key, size in sorted(comparison.largest.items())),
        n_compared=comparison.n_compared,
        n_minibatches=_common_steps(run),
        optimizers=_unequal_optimizers(run),
        notes=(*notes, *_notes(run)),
        harmless=bool(unused) and first is None,
    )


def _needs_fed_run(pairing: Pairing, comparison: Comparison) -> bool:
    """Return True if faults are to be isolated, or if the verdict depends on them."""
    first, beyond = comparison.first, comparison.first_beyond_rounding
    if first is None or beyond is None:
        return False
    return pairing.isolate_faults or not first.beyond_rounding


def _verdict(comparison: Comparison, isolated: Sequence[Divergence]) -> Verdict:
    """Return the verdict of one run. isolated: faults of the fed run."""
    first, beyond = comparison.first, comparison.first_beyond_rounding
    if first is None:
        return "rounding" if comparison.dead_values else "identical"
    if beyond is None:
        return "rounding"
    # Rounding grows from update to update, at times beyond the threshold. In a fed run it cannot grow, so a fed run
    # without faults proves that the divergence is rounding.
    grown = not first.beyond_rounding and beyond.kind == "value" and not isolated
    return "rounding" if grown else "different"


def _notes(run: RecordedRun) -> Iterator[str]:
    """Yield what limits the comparison, and the stored values that differ without effect."""
    if not run.subject.optimizer:
        yield "no torch optimiser was found in the subject: only its exchange with the environments is compared"
    unused = Counter(divergence.place.quantity for divergence in run.comparison.dead_values)
    for quantity, count in unused.items():
        times = "once" if count == 1 else f"{count} times"
        yield f"{quantity} differs {times} without consequence: everything that is computed from it agrees"


def _common_steps(run: RecordedRun) -> int:
    """Return the number of optimiser steps that both sides make."""
    rank = ORDER["parameters"]
    return sum(place.rank == rank and place in run.subject.arrays for place in run.baseline.arrays)


def _unequal_optimizers(run: RecordedRun) -> tuple[str, str] | None:
    """Return the settings of subject's and reference's optimiser, if both are known and unequal."""
    subject, reference = run.subject.optimizer, run.reference.optimizer
    return (subject, reference) if subject and reference and subject != reference else None


def _minibatches_per_epoch(case: Case, reference: str) -> int | None:
    """Return the number of minibatches of an epoch of the reference; None if it has no minibatches."""
    if "batch_size" not in accepted_settings(load_algorithm(reference), {"batch_size": 0}):
        return None
    size = case.settings.get("batch_size", 64)
    n_steps = int(case.settings.get("n_steps", 2048))
    return math.ceil(n_steps * case.n_envs / size) if size else 1
