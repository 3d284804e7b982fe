"""A PPO beside SB3's, in every environment of a profile and for every seed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from harness.crosscheck.environments import ENVIRONMENTS
from harness.crosscheck.paired_runs import (
    MODELS,
    Options,
    Subject,
    check_runs,
    explain_pairs,
    name_of,
)
from harness.crosscheck.profiles import Case, Profile, named_profile
from harness.crosscheck.reporting.findings import END_OF_TRAINING
from harness.crosscheck.reporting.results import Crosscheck, RunResult, Verdict
from harness.errors import HarnessError
from harness.training.envs import check_environment
from harness.training.executors.local import call_in_worker, call_in_workers

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
    """Hold a PPO against SB3's running code, and find where and why they part.

    subject: a class that trains like one of SB3's, `Class(policy, env, seed=..., **hyperparameters).learn(steps)`,
        or its name, registered or "package.module:Class".
    reference: "ppo" or "a2c" of SB3; any other algorithm can be a reference, too, but then nothing is explained.
    profile: settings, and environments unless envs names others (Gymnasium ids or names in `ENVIRONMENTS`).
    updates: how many to compare; the default is the profile's.
    explain: search for the deviations that reproduce the subject's numbers, for at most `seconds`.
    copy_weights: start the subject from the reference's first weights and random state.
    resync: look at each stage with right inputs as well, so that one mistake does not hide the next.
    threads: of torch. workers: processes; a subject that is given as a class is watched in this one.

    Raises HarnessError for what does not exist or cannot be made.
    """
    started = time.monotonic()
    if not seeds:
        raise HarnessError("nothing to check: seeds is empty, it needs at least one")
    cases = _cases(profile, envs, updates)
    options = Options(copy_weights, resync, threads)
    pairs = [(case, seed) for seed in seeds for case in cases]
    results = _results(subject, reference, pairs, options, workers)
    verdict: Verdict = max((result.verdict for result in results), key=["identical", "rounding", "different"].index)
    explanation, verified = None, None
    in_question = any(map(_has_a_cause, results))
    if explain and in_question and reference in MODELS:
        arguments = (subject, reference, pairs, options, seconds)
        if isinstance(subject, str) and workers > 1:
            explanation, verified = call_in_worker("harness.crosscheck.paired_runs:explain_pairs", *arguments)
        else:
            explanation, verified = explain_pairs(*arguments)
    again, trouble = None, ""
    stuck = explanation is not None and explanation.verdict in ("not explained", "partly explained")
    parted = [result for result in results if result.first_beyond_rounding is not None]
    if stuck and not copy_weights and parted and all(map(_parts_at_start, parted)):
        try:
            again = crosscheck(
                subject,
                reference,
                profile=profile,
                envs=envs,
                seeds=seeds,
                updates=updates,
                explain=True,
                copy_weights=True,
                resync=resync,
                threads=threads,
                seconds=seconds,
                workers=workers,
            )
        except HarnessError as error:
            trouble = str(error)
    return Crosscheck(
        subject=name_of(subject),
        reference=reference,
        profile=profile if isinstance(profile, str) else profile.name,
        verdict=verdict,
        runs=tuple(results),
        explanation=explanation,
        verified=verified,
        seconds=time.monotonic() - started,
        from_same_weights=again,
        trouble=trouble,
    )


def _has_a_cause(result: RunResult) -> bool:
    """Whether a deviation can explain it: not what is harmless, and no error after numbers that all agree."""
    first = result.first_beyond_rounding
    stopped = first is not None and first.quantity == END_OF_TRAINING and first.kind == "error"
    return result.verdict != "identical" and not result.harmless and not stopped


def _parts_at_start(result: RunResult) -> bool:
    first = result.first_beyond_rounding
    return first is not None and first.quantity == "initial_parameters"


def explain(subject: Subject, reference: str = "ppo", **options: Any) -> Crosscheck:
    """`crosscheck` with a search for the causes."""
    return crosscheck(subject, reference, explain=True, **options)


def _cases(profile: str | Profile, envs: Sequence[str], updates: int | None) -> list[Case]:
    chosen = named_profile(profile) if isinstance(profile, str) else profile
    if envs:
        for env in envs:
            if env not in ENVIRONMENTS:
                check_environment(env)
        chosen = chosen.with_envs(tuple(envs))
    return [case if updates is None else dataclasses.replace(case, n_updates=updates) for case in chosen.cases]


def _results(
    subject: Subject, reference: str, pairs: Sequence[tuple[Case, int]], options: Options, workers: int
) -> list[RunResult]:
    if isinstance(subject, str) and workers > 1:
        shares = [pairs[worker::workers] for worker in range(workers) if pairs[worker::workers]]
        calls = [(subject, reference, share, options) for share in shares]
        by_share = call_in_workers("harness.crosscheck.paired_runs:check_runs", calls)
        return [by_share[index % workers][index // workers] for index in range(len(pairs))]
    return check_runs(subject, reference, pairs, options)
