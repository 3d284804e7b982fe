"""Evaluate many stored runs in parallel, each in a process of its own, and summarise them over seeds.

Nothing here loads torch. A run that cannot be evaluated, or whose process dies, is a result with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from harness.analysis.stats import Interval, mean_interval
from harness.errors import HarnessError
from harness.evaluation.settings import EvaluationSettings, RunEvaluation
from harness.experiment.inventory import StoredRun
from harness.training.executors.calls import finished_calls

__all__ = ["Score", "default_time_limit", "evaluate_runs", "map_in_workers", "scores", "spread"]

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
    time_limit: float | None = None,
) -> list[RunEvaluation]:
    """Return one evaluation for each run, in the order of `runs`.

    on_result: called in this thread with every evaluation, as soon as it is there.
    time_limit: seconds that one run may take, after which its process is ended; None for `default_time_limit`.
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
    limit = default_time_limit(settings) if time_limit is None else time_limit
    with closing(map_in_workers(_TARGET, calls, n_workers, limit)) as found:
        for position, result in found:
            if isinstance(result, HarnessError):
                note(waiting[position], error=str(result))
            else:
                note(waiting[position], *result)
    return [results[index] for index in range(len(runs))]


def map_in_workers(
    target: str, calls: Sequence[tuple[Any, ...]], n_workers: int, time_limit: float | None = None
) -> Generator[tuple[int, Any | HarnessError], None, None]:
    """Yield (index of the call, its result or HarnessError), n_workers calls at a time, each in a process of its own.

    target: function as "module:name". time_limit: seconds after which a call is ended; None sets no limit.
    An error, the death of a process, or one that hangs costs no other call. Calls are yielded as they end; closing the
    generator ends those that still run.
    """
    guarded = [(target, *call) for call in calls]
    outcomes = finished_calls(_GUARDED, guarded, n_workers=n_workers, timeout=time_limit)
    with closing(outcomes):
        for index, outcome in outcomes:
            if isinstance(outcome, HarnessError):
                yield index, outcome
            else:
                is_result, value = outcome
                yield index, value if is_result else HarnessError(value)


def default_time_limit(settings: EvaluationSettings) -> float:
    """Return the seconds that the evaluation of one run may take: an hour, and ten seconds for each episode."""
    return 3600.0 + 10.0 * (settings.episodes or 100) * len(settings.seeds or (0,))


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
