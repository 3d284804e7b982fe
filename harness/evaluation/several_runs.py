"""Evaluate many stored runs in parallel, each in a process of its own, and summarise them over seeds.

Nothing here loads torch. A run that cannot be evaluated, or whose process dies, is a result with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.stats import Interval, mean_interval
from harness.errors import HarnessError
from harness.evaluation.settings import EvaluationSettings, RunEvaluation
from harness.experiment.inventory import StoredRun
from harness.training.executors.calls import call_in_worker, call_in_workers

__all__ = ["Score", "evaluate_runs", "map_in_workers", "scores", "spread"]

_TARGET = "harness.evaluation.episodes:evaluate_run"
_GUARDED = "harness.evaluation.guarded:outcome_of"


@dataclass(frozen=True)
class Score:
    """Scores of one algorithm in one environment."""

    algo: str
    env: str
    """Environment of the training."""

    interval: Interval
    """Mean over seeds of the mean return of a run, with its confidence interval; runs without a result are missing."""

    @property
    def n_runs(self) -> int:
        """Number of runs, those without a result included."""
        return self.interval.n + self.interval.n_missing


def evaluate_runs(
    runs: Sequence[StoredRun],
    settings: EvaluationSettings,
    n_workers: int,
    on_result: Callable[[RunEvaluation], None] = lambda _: None,
) -> list[RunEvaluation]:
    """Return one evaluation for each run, in the order of `runs`.

    on_result: called in this thread with every evaluation, as soon as it is there.
    Runs that failed or are missing have no agent; a stale run, which was made with other settings than the others,
    would distort the mean.
    """
    results: dict[int, RunEvaluation] = {}

    def note(index: int, rewards: Sequence[float] = (), lengths: Sequence[int] = (), error: str = "") -> None:
        run = runs[index]
        results[index] = RunEvaluation(
            str(run.path), run.algo, run.env, run.seed, tuple(rewards), tuple(lengths), error
        )
        on_result(results[index])

    waiting = []
    for index, run in enumerate(runs):
        if run.state in ("failed", "missing", "damaged", "stale"):
            note(index, error=f"{run.state}: {run.problem}")
        else:
            waiting.append(index)
    calls = [(runs[index].path, settings) for index in waiting]
    for position, result in map_in_workers(_TARGET, calls, n_workers):
        if isinstance(result, HarnessError):
            note(waiting[position], error=str(result))
        else:
            note(waiting[position], *result)
    return [results[index] for index in range(len(runs))]


def map_in_workers(
    target: str, calls: Sequence[tuple[Any, ...]], n_workers: int
) -> Iterator[tuple[int, Any | HarnessError]]:
    """Yield (index of the call, its result or HarnessError), n_workers calls at a time, each in a process of its own.

    target: function as "module:name". An error, or the death of a process, costs no other call. Ctrl-C ends all.
    """
    for start in range(0, len(calls), n_workers):
        batch = [(target, *call) for call in calls[start : start + n_workers]]
        try:
            outcomes = call_in_workers(_GUARDED, batch)
        except HarnessError:  # a process died, and with it the batch: one by one, so that only this call is lost
            outcomes = [_outcome_alone(call) for call in batch]
        for index, (is_result, value) in enumerate(outcomes, start):
            yield index, value if is_result else HarnessError(value)


def _outcome_alone(call: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        outcome: tuple[bool, Any] = call_in_worker(_GUARDED, *call)
    except HarnessError as error:
        return False, str(error)
    return outcome


def scores(evaluations: Iterable[RunEvaluation], confidence: float = 0.95) -> list[Score]:
    """Return the score of each algorithm in each environment, in the order of their first run."""
    groups: dict[tuple[str, str], list[float]] = {}
    for evaluation in evaluations:
        groups.setdefault((evaluation.env, evaluation.algo), []).append(evaluation.score)
    return [Score(algo, env, mean_interval(values, confidence)) for (env, algo), values in groups.items()]


def spread(evaluation: RunEvaluation) -> float:
    """Return the standard deviation over the episodes of a run (ddof 0, as SB3 prints it); NaN without any."""
    n = len(evaluation.rewards)
    if not n:
        return math.nan
    return math.sqrt(sum((reward - evaluation.score) ** 2 for reward in evaluation.rewards) / n)
