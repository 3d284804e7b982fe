"""One subject beside one reference, in one environment with one seed; and why they part."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.comparing.divergence import Divergence
from harness.crosscheck.comparing.isolated_faults import diverging_lines, isolated_faults, with_likely_value
from harness.crosscheck.explaining.search import Explanation, explain_runs
from harness.crosscheck.explaining.trials import END, Run, Score, try_out
from harness.crosscheck.profiles import Case
from harness.crosscheck.quantities import ORDER
from harness.crosscheck.reporting.findings import Finding, finding
from harness.crosscheck.reporting.results import RunResult, Verdict
from harness.crosscheck.tracing.common_settings import common_case
from harness.crosscheck.tracing.construction import accepted_settings
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.traced_run import trace_run
from harness.errors import HarnessError
from harness.training.algorithms import load_algorithm

__all__ = [
    "MODELS",
    "Options",
    "Subject",
    "check_run",
    "check_runs",
    "explain_pairs",
    "name_of",
]

Subject = str | type[Any]

MODELS: Mapping[str, tuple[str, str]] = {
    "ppo": ("custom_ppo", "harness.catalogue.deviant:DeviantPPO"),
    "a2c": ("custom_ppo:CustomA2C", "harness.catalogue.deviant:DeviantA2C"),
}
"""Reference -> what trains to its bits and has names for all its numbers, and the same with deviations."""


@dataclass(frozen=True)
class Options:
    """How runs are compared."""

    copy_weights: bool = False
    resync: bool = True
    threads: int = 1


def check_runs(
    subject: Subject, reference: str, pairs: Sequence[tuple[Case, int]], options: Options
) -> list[RunResult]:
    """Every pair of case and seed, one after the other."""
    results = []
    with _threads(options.threads):
        for case, notes, seed in _common_cases(subject, reference, pairs):
            results.append(_checked(subject, reference, case, seed, options, notes))
            gc.collect()  # models that were watched refer to themselves, and to traces that can be large
    return results


def _common_cases(
    subject: Subject, reference: str, pairs: Sequence[tuple[Case, int]]
) -> Iterator[tuple[Case, tuple[str, ...], int]]:
    """Every pair with the settings that both sides can have, asked for once for each case: it may take a run."""
    known: dict[int, tuple[Case, tuple[str, ...]]] = {}
    for case, seed in pairs:
        if id(case) not in known:
            known[id(case)] = common_case(case, _load(subject), load_algorithm(reference))
        yield *known[id(case)], seed


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """So many threads of torch, and then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_run(subject: Subject, reference: str, case: Case, seed: int, options: Options = Options()) -> RunResult:
    """One run of the subject beside one of the reference."""
    (result,) = check_runs(subject, reference, [(case, seed)], options)
    return result


def _checked(
    subject: Subject, reference: str, case: Case, seed: int, options: Options, notes: tuple[str, ...]
) -> RunResult:
    run = _record(subject, reference, case, seed, options)
    first, beyond = run.comparison.first, run.comparison.first_beyond_rounding
    idle = run.comparison.dead_values
    per_epoch = _minibatches_per_epoch(case, reference)

    def described(divergence: Divergence | None) -> Finding | None:
        return None if divergence is None else finding(divergence, run.baseline, per_epoch, run.subject.error)

    verdict: Verdict = "rounding" if idle else "identical"
    fed: Trace | None = None
    found: list[Divergence] = []
    if first is not None:
        verdict = "rounding" if beyond is None else "different"
        grown = verdict == "different" and not first.beyond_rounding
        if (options.resync and beyond is not None) or grown:
            fed = _fed(subject, run, case, seed)
            found = isolated_faults(run.baseline, fed, run.watched.ignored)
            if grown and not found and beyond is not None and beyond.kind == "value":
                # It is rounding that has grown through the updates.
                verdict = "rounding"
    our_line, their_line = None, None
    if beyond is not None:
        beyond = with_likely_value(beyond, run.subject, run.reference)
        our_line, their_line = diverging_lines(beyond, run.subject, fed, run.reference, run.baseline)
    if not run.subject.optimizer:
        notes += ("no optimiser of torch was found in it: compared is what goes to the environments and comes back",)
    for name in dict.fromkeys(divergence.place.quantity for divergence in idle):
        n_idle = sum(divergence.place.quantity == name for divergence in idle)
        often = "once" if n_idle == 1 else f"{n_idle} times"
        notes += (f"{name} differs {often} without consequence: nothing that is made from it does",)
    optimizers = run.subject.optimizer, run.reference.optimizer
    return RunResult(
        env=case.env,
        seed=seed,
        verdict=verdict,
        first=described(first or (idle[0] if idle else None)),
        first_beyond_rounding=described(beyond),
        our_line=our_line,
        their_line=their_line,
        faults=tuple(filter(None, map(described, found))),
        largest=tuple((*key, size) for key, size in sorted(run.comparison.largest.items())),
        n_compared=run.comparison.n_compared,
        n_minibatches=sum(
            place.rank == ORDER["parameters"] and place in run.subject.arrays for place in run.baseline.arrays
        ),
        optimizers=optimizers if optimizers[0] != optimizers[1] and all(optimizers) else None,
        notes=notes,
        harmless=bool(idle) and first is None,
    )


def _record(subject: Subject, reference: str, case: Case, seed: int, options: Options) -> Run:
    """The traces of all three: the reference, CustomPPO which names its numbers, and the subject."""
    theirs = trace_run(load_algorithm(reference), case, seed, TracingMode.reference(), name=reference)
    if theirs.error is not None:
        raise HarnessError(f"the reference {reference} cannot train in {case.env}: {theirs.error}")
    if not any(place.rank == ORDER["parameters"] for place in theirs.arrays):
        raise HarnessError(
            f"the reference {reference} learns nothing in {case.env} within {case.n_updates} updates: ask for more"
        )
    baseline = theirs
    if reference in MODELS:
        baseline = _baseline(reference, case, seed, TracingMode.reference(theirs))
        check = compare(baseline, theirs)
        if check.first is not None:
            raise HarnessError(
                f"CustomPPO does not reproduce {reference} in {case.env} with seed {seed} (first in "
                f"{check.first.place.quantity}), so the numbers have no names: please report this"
            )
    # The subject is more likely to report like the reference.
    baseline = replace(baseline, reported=theirs.reported)
    return _beside(subject, theirs, baseline, case, seed, options)


def _record_for_search(subject: Subject, reference: str, case: Case, seed: int, options: Options) -> Run:
    """The traces of two: CustomPPO was seen to equal the reference here, and stands for it."""
    baseline = _baseline(reference, case, seed, TracingMode.named_reference())
    return _beside(subject, baseline, baseline, case, seed, options)


def _baseline(reference: str, case: Case, seed: int, watching: TracingMode) -> Trace:
    return trace_run(load_algorithm(MODELS[reference][0]), case, seed, watching, engine="autograd")


def _beside(subject: Subject, theirs: Trace, baseline: Trace, case: Case, seed: int, options: Options) -> Run:
    baseline = replace(baseline, idle=_idle(case))
    ours = trace_run(
        _load(subject),
        case,
        seed,
        TracingMode.subject(baseline, copy_weights=options.copy_weights),
        name=name_of(subject),
    )
    return Run(case, seed, theirs, baseline, ours, compare(baseline, ours), options.copy_weights)


def _idle(case: Case) -> frozenset[str]:
    """What the settings of a case give no part in learning."""
    idle = set() if case.settings.get("ent_coef") else {"entropy", "entropy_loss"}
    return frozenset(idle if case.settings.get("clip_range_vf") else idle | {"old_value"})


def _fed(subject: Subject, run: Run, case: Case, seed: int) -> Trace:
    """The subject with the reference's inputs at every stage."""
    watching = TracingMode.fed(run.baseline, copy_weights=run.copy_weights)
    return trace_run(_load(subject), case, seed, watching, name=name_of(subject))


def explain_pairs(
    subject: Subject, reference: str, pairs: Sequence[tuple[Case, int]], options: Options, seconds: float
) -> tuple[Explanation, tuple[int, int]]:
    """The explanation of the first seed of every case, and how many of all runs it reproduces, out of how many."""
    with _threads(options.threads):
        return _explained_pairs(subject, reference, pairs, options, seconds)


def _explained_pairs(
    subject: Subject, reference: str, pairs: Sequence[tuple[Case, int]], options: Options, seconds: float
) -> tuple[Explanation, tuple[int, int]]:
    from harness.catalogue import CATALOGUE

    common = [(case, seed) for case, _, seed in _common_cases(subject, reference, pairs)]
    first_seed = min(seed for _, seed in common)
    runs = [_record_for_search(subject, reference, case, seed, options) for case, seed in common if seed == first_seed]
    deviant = load_algorithm(MODELS[reference][1])
    catalogue = [candidate for candidate in CATALOGUE if reference in candidate.algorithms]
    explanation = explain_runs(deviant, runs, catalogue, seconds=seconds)
    by_id = {candidate.id: candidate for candidate in catalogue}
    chosen = tuple(by_id[names[0]] for names in explanation.deviations)
    n_good = sum(_explained(score, explanation) for score in explanation.scores)
    if chosen:
        others = (
            _record_for_search(subject, reference, case, seed, options) for case, seed in common if seed != first_seed
        )
        n_good += sum(_explained(try_out(deviant, chosen, run).score, explanation) for run in others)
    return explanation, (n_good, len(common))


def _explained(score: Score, explanation: Explanation) -> bool:
    return score == (END, END) or (explanation.verdict != "explained exactly" and score[0] == END)


def _minibatches_per_epoch(case: Case, reference: str) -> int | None:
    if "batch_size" not in accepted_settings(load_algorithm(reference), {"batch_size": 0}):
        return None
    size = case.settings.get("batch_size", 64)
    n_steps = int(case.settings.get("n_steps", 2048))
    return math.ceil(n_steps * case.n_envs / size) if size else 1


def _load(subject: Subject) -> type[Any]:
    """The subject's class, of which nothing is asked but to train."""
    return load_algorithm(subject, methods=("learn",)) if isinstance(subject, str) else subject


def name_of(subject: Subject) -> str:
    """The name under which a subject can be asked for."""
    return subject if isinstance(subject, str) else f"{subject.__module__}:{subject.__qualname__}"
