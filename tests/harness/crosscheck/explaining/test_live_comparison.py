from __future__ import annotations

import numpy as np
import pytest

from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.explaining.live_comparison import LiveComparison
from harness.crosscheck.explaining.scores import score_of
from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.tracing.recorder import StopTracing
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.trace_builder import TraceBuilder
from tests.harness.crosscheck.traces import Arrays, f32, trace

SUBJECT = trace({(step, 0, "env_reward"): f32([step, 1]) for step in (1, 2, 3)})


def live_score(trial: Trace, subject: Trace) -> tuple[Place, Place]:
    """Score of a trial whose every step is compared while it trains."""
    live = LiveComparison(SearchableTrace(subject), trial.recorded_ranks)
    growing = TraceBuilder("trial", n_steps=trial.n_steps, n_envs=trial.n_envs)
    try:
        for place, array in trial.arrays.items():
            growing.put(place.step, place.minibatch, place.quantity, array)
            live.stop_if_diverged(growing.live(), place.step, place.minibatch)
    except StopTracing:
        return live.score
    live.finish(growing.finish())
    return live.score


def with_step(step: int, *rewards: float) -> Trace:
    """Trace that differs from the subject's at one step."""
    arrays: Arrays = {(one, 0, "env_reward"): f32([one, 1]) for one in (1, 2, 3)}
    return trace({**arrays, (step, 0, "env_reward"): f32(rewards)})


@pytest.mark.parametrize(
    "trial",
    [
        with_step(3, 3, 1),
        with_step(2, 5, 1),
        with_step(2, 2, np.nextafter(np.float32(1), np.float32(2))),
        trace({(1, 0, "env_reward"): f32([1, 1])}),
        with_step(4, 4, 1),
    ],
    ids=["equal", "beyond rounding", "rounding", "ends early", "ends late"],
)
def test_a_live_comparison_scores_like_that_of_complete_traces(trial: Trace) -> None:
    assert live_score(trial, SUBJECT) == score_of(compare(trial, SUBJECT))


def test_training_is_stopped_at_the_first_divergence_beyond_rounding() -> None:
    trial = with_step(2, 5, 1)
    live = LiveComparison(SearchableTrace(SUBJECT), trial.recorded_ranks)

    live.stop_if_diverged(trial, 1, 0)
    with pytest.raises(StopTracing):
        live.stop_if_diverged(trial, 2, 0)
    assert live.score.beyond_rounding == Place(2, 0, ORDER["env_reward"])


def test_an_exception_of_the_subject_is_a_divergence_behind_its_last_number() -> None:
    failed = trace({(step, 0, "env_reward"): f32([step, 1]) for step in (1, 2)}, error="ValueError: no")

    found = live_score(with_step(3, 3, 1), failed)

    assert found == score_of(compare(with_step(3, 3, 1), failed))
    assert found[0] == Place(2, 0, ORDER["final_randomness"])
