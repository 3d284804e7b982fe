from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from harness.crosscheck.tracing.operation_log import OperationLog
from harness.crosscheck.tracing.recorder import (
    EnoughSeen,
    Recorder,
    as_array,
    random_states,
    randomness_digest,
    restore_random_states,
)
from harness.crosscheck.tracing.trace import Trace
from tests.harness.crosscheck.traces import f32, trace


def test_what_is_acted_on_belongs_to_the_step_that_comes_and_the_last_of_it_counts() -> None:
    recorder = Recorder(Trace("x"))
    recorder.acts("observation", [1, 1])
    recorder.acts("observation", [2, 2])
    assert recorder.trace.get(1, 0, "observation") is None

    recorder.begin_step()

    assert np.array_equal(recorder.trace.get(1, 0, "observation"), [2, 2])  # type: ignore[arg-type]
    recorder.begin_step()
    assert recorder.trace.get(2, 0, "observation") is None


def test_minibatches_are_counted_from_one_after_every_step() -> None:
    recorder = Recorder(Trace("x"))
    recorder.begin_step()
    for size in (1.0, 2.0):
        recorder.learns("loss", size)
        recorder.end_minibatch()
    recorder.begin_step()
    recorder.learns("loss", 3.0)

    losses = {(place.step, place.minibatch): float(a) for place, a in recorder.trace.numbers.items() if a.size == 1}
    assert losses == {(1, 1): 1.0, (1, 2): 2.0, (2, 1): 3.0}


def test_progress_is_told_before_a_step_and_after_a_minibatch() -> None:
    recorder, told = Recorder(Trace("x")), []
    recorder.on_progress = lambda: told.append((recorder.step, recorder.n_minibatches))

    recorder.begin_step()
    recorder.end_minibatch()
    recorder.begin_step()

    assert told == [(0, 0), (1, 1), (1, 1)]


@pytest.mark.parametrize(("n_losses", "expected"), [(0, None), (1, 2.0), (2, None), (3, None)])
def test_only_a_single_loss_of_a_minibatch_is_the_loss(n_losses: int, expected: float | None) -> None:
    log = OperationLog()
    recorder = Recorder(Trace("mine"), operations=log)
    recorder.begin_step()
    weight = torch.tensor(2.0, requires_grad=True)

    for _ in range(n_losses):  # each optimiser makes its step before the next loss is differentiated
        with log:
            (weight * 1).backward()
        recorder.take_operations()
    recorder.take_operations()

    found = recorder.trace.get(1, 1, "loss")
    assert (None if found is None else float(found)) == expected
    assert recorder.trace.losses[1, 1] == [2.0] * n_losses


def test_a_fed_run_gets_the_others_numbers_and_remembers_its_own() -> None:
    other = trace({(0, 0, "value"): f32([5, 6]), (1, 0, "action"): [[7], [8]], (0, 1, "loss"): f32([1, 2, 3])})
    recorder = Recorder(Trace("x"), feed=other)

    assert np.array_equal(recorder.saw("value", torch.tensor([[1.0], [2.0]])), [[5], [6]])
    assert np.array_equal(recorder.acts("action", np.array([0, 0])), [7, 8])
    assert recorder.learns("loss", 4.0) == 4.0  # another size
    assert recorder.saw("log_prob", 1.5) == 1.5  # nothing there
    assert np.array_equal(recorder.trace.get(0, 0, "value"), [[1], [2]])  # type: ignore[arg-type]


def test_what_is_fed_has_the_runs_own_type() -> None:
    recorder = Recorder(Trace("x"), feed=trace({(0, 0, "value"): np.array([1.5, 2.5])}))

    assert recorder.saw("value", f32([0, 0])).dtype == np.float32


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.tensor([1.0, 2.0], requires_grad=True), [1, 2]),
        ([3, 4], [3, 4]),
        (2.5, 2.5),
        ({"b": torch.tensor([[3.0]]), "a": np.array([1, 2])}, [1, 2, 3]),
    ],
)
def test_anything_is_an_array(given: object, expected: object) -> None:
    assert np.array_equal(as_array(given), expected)  # type: ignore[arg-type]


def test_the_random_states_are_those_of_all_three_generators() -> None:
    states = random_states()

    def drawn() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002

    first = drawn()
    assert drawn() != first
    restore_random_states(states)
    assert drawn() == first


def test_a_draw_shows_in_the_digest_of_its_generator_only() -> None:
    states, before = random_states(), randomness_digest()
    torch.rand(1)
    after_torch = randomness_digest()
    np.random.rand()  # noqa: NPY002
    after_numpy = randomness_digest()
    restore_random_states(states)

    assert before.shape == (2, 16)
    assert [(a != b).any() for a, b in zip(before, after_torch, strict=True)] == [True, False]
    assert [(a != b).any() for a, b in zip(after_torch, after_numpy, strict=True)] == [False, True]
    assert np.array_equal(randomness_digest(), before)


def test_enough_seen_is_not_caught_by_code_that_catches_exceptions() -> None:
    assert not issubclass(EnoughSeen, Exception)
