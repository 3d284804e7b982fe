"""Cross-check of a PPO against SB3's: every case of a profile, every seed, and an explanation of what differs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.crosscheck.environments import ENVIRONMENTS
from harness.crosscheck.explaining.explanation import Explanation
from harness.crosscheck.paired_runs import check_runs
from harness.crosscheck.profiles import Case, Profile, named_profile
from harness.crosscheck.recording import Pairing, Subject
from harness.crosscheck.reporting.findings import END_OF_TRAINING
from harness.crosscheck.reporting.results import VERDICTS, Crosscheck, RunResult
from harness.crosscheck.reproduction import DEVIANTS, explain_pairs
from harness.errors import HarnessError
from harness.training.envs import check_environment
from harness.training.executors.calls import call_in_worker, call_in_workers

__all__ = ["Crosscheck", "crosscheck", "explain"]


def crosscheck(
    subject: Subject,
    reference: str = "ppo",
    *,
    profile: str | Profile = "stress",
    envs: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    updates: int | None = None,
    explain: bool = False,
    copy_weights: bool = False,
    resync: bool = True,
    threads: int = 1,
    seconds: float = 120.0,
    workers: int = 1,
) -> Crosscheck:
    """Compare a PPO with SB3's running code, array by array, and return where and why they diverge.

    subject: a class that trains like SB3's, `Class(policy, env, seed=..., **hyperparameters).learn(steps)`, or its
        name, registered or "package.module:Class".
    reference: "ppo" or "a2c" of SB3. Any other algorithm can be a reference, but then nothing is explained.
    profile: settings, and environments unless `envs` gives others (Gymnasium ids, or keys of `ENVIRONMENTS`).
    updates: number of updates to compare; the default is the profile's.
    explain: search for deviations that reproduce the subject's values, for at most `seconds`.
    copy_weights: start the subject from the reference's initial weights and random state.
    resync: train a diverging subject once more with the reference's inputs at every stage, to find further faults.
    threads: number of PyTorch threads. workers: number of processes; a subject given as a class runs in this process.

    Raises HarnessError if a name is unknown, or if subject or reference cannot be built.
    """
    if not seeds:
        raise HarnessError("seeds is empty: at least one is needed")
    chosen = _profile(profile, envs, updates)
    pairs = tuple((case, seed) for seed in seeds for case in chosen.cases)
    pairing = Pairing(subject, reference, copy_weights=copy_weights, isolate_faults=resync, threads=threads)
    return _answer(_Question(pairing, chosen.name, pairs, explain=explain, seconds=seconds, workers=workers))


def explain(subject: Subject, reference: str = "ppo", **options: Any) -> Crosscheck:
    """Compare a PPO with SB3's, and search for the deviations that explain the difference; see `crosscheck`."""
    return crosscheck(subject, reference, explain=True, **options)


def _profile(profile: str | Profile, envs: Sequence[str], updates: int | None) -> Profile:
    """Return the profile with the requested environments and number of updates."""
    chosen = named_profile(profile) if isinstance(profile, str) else profile
    if envs:
        for env in envs:
            if env not in ENVIRONMENTS:
                check_environment(env)
        chosen = chosen.with_envs(tuple(envs))
    if updates is None:
        return chosen
    return dataclasses.replace(
        chosen, cases=tuple(dataclasses.replace(case, n_updates=updates) for case in chosen.cases)
    )


@dataclass(frozen=True)
class _Question:
    """Runs to compare, and the time and the processes that may be used."""

    pairing: Pairing
    profile: str
    pairs: tuple[tuple[Case, int], ...]
    explain: bool
    seconds: float
    workers: int

    @property
    def in_workers(self) -> bool:
        """True if worker processes do the work: a subject's name can be imported there, a class cannot be sent."""
        return self.workers > 1 and isinstance(self.pairing.subject, str)


def _answer(question: _Question) -> Crosscheck:
    started = time.monotonic()
    runs = _compare(question)
    explanation, reproduced = None, None
    if question.explain and question.pairing.reference in DEVIANTS and any(map(_is_explicable, runs)):
        explanation, reproduced = _explain(question)
    retry, retry_error = None, ""
    if explanation is not None and _initial_weights_hide_the_rest(question, explanation, runs):
        pairing = dataclasses.replace(question.pairing, copy_weights=True)
        try:
            retry = _answer(dataclasses.replace(question, pairing=pairing))
        except HarnessError as error:  # networks of another shape cannot take the reference's weights
            retry_error = str(error)
    return Crosscheck(
        subject=question.pairing.subject_name,
        reference=question.pairing.reference,
        profile=question.profile,
        verdict=max((run.verdict for run in runs), key=VERDICTS.index),
        runs=tuple(runs),
        explanation=explanation,
        reproduced=reproduced,
        seconds=time.monotonic() - started,
        from_same_weights=retry,
        from_same_weights_error=retry_error,
    )


def _compare(question: _Question) -> list[RunResult]:
    """Return the result of every pair, in order."""
    pairing, pairs, workers = question.pairing, question.pairs, question.workers
    if not question.in_workers:
        return check_runs(pairing, pairs)
    shares = [pairs[worker::workers] for worker in range(workers) if pairs[worker::workers]]
    calls = [(pairing, share) for share in shares]
    results = call_in_workers("harness.crosscheck.paired_runs:check_runs", calls)
    return [results[index % workers][index // workers] for index in range(len(pairs))]


def _explain(question: _Question) -> tuple[Explanation, tuple[int, int]]:
    """Return the explanation, and (number of runs it reproduces, number of runs)."""
    arguments = question.pairing, question.pairs, question.seconds
    if not question.in_workers:
        return explain_pairs(*arguments)
    found: tuple[Explanation, tuple[int, int]] = call_in_worker(
        "harness.crosscheck.reproduction:explain_pairs", *arguments
    )
    return found


def _is_explicable(run: RunResult) -> bool:
    """Return True if a deviation can explain what differs in a run.

    Stored values that nothing reads have no cause to search for, and no deviation raises the subject's exception where
    all values before it agree.
    """
    first = run.first_beyond_rounding
    failed = first is not None and first.quantity == END_OF_TRAINING and first.kind == "error"
    return run.verdict != "identical" and not run.harmless and not failed


def _initial_weights_hide_the_rest(question: _Question, explanation: Explanation, runs: Sequence[RunResult]) -> bool:
    """Return True if unexplained initial weights make every later value differ, so that nothing else can be compared.

    Many correct implementations draw their weights in another order: started from the reference's weights, they can
    still be compared.
    """
    if question.pairing.copy_weights or explanation.verdict not in ("not explained", "partly explained"):
        return False
    first = [run.first_beyond_rounding for run in runs if run.first_beyond_rounding is not None]
    return bool(first) and all(finding.quantity == "initial_parameters" for finding in first)
