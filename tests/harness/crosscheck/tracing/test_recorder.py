from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.crosscheck.tracing.operation_log import OperationLog
from harness.crosscheck.tracing.recorder import Recorder, StopTracing, as_array
from harness.crosscheck.tracing.trace_builder import TraceBuilder
from tests.harness.crosscheck.traces import f32, trace


def test_an_upcoming_array_belongs_to_the_next_step_and_the_last_counts() -> None:
    recorder = Recorder(TraceBuilder("x"))
    recorder.record_upcoming("observation", [1, 1])
    recorder.record_upcoming("observation", [2, 2])
    assert recorder.builder.live().get(1, 0, "observation") is None

    recorder.begin_step()

    assert np.array_equal(recorder.builder.live().get(1, 0, "observation"), [2, 2])  # type: ignore[arg-type]
    recorder.begin_step()
    assert recorder.builder.live().get(2, 0, "observation") is None


def test_minibatches_are_counted_from_one_after_every_step() -> None:
    recorder = Recorder(TraceBuilder("x"))
    recorder.begin_step()
    for size in (1.0, 2.0):
        recorder.record_minibatch("loss", size)
        recorder.end_minibatch()
    recorder.begin_step()
    recorder.record_minibatch("loss", 3.0)

    losses = {
        (place.step, place.minibatch): float(a) for place, a in recorder.builder.live().arrays.items() if a.size == 1
    }
    assert losses == {(1, 1): 1.0, (1, 2): 2.0, (2, 1): 3.0}


def test_progress_is_reported_before_a_step_and_after_a_minibatch() -> None:
    recorder, told = Recorder(TraceBuilder("x")), []
    recorder.on_progress = lambda: told.append((recorder.step, recorder.n_minibatches))

    recorder.begin_step()
    recorder.end_minibatch()
    recorder.begin_step()

    assert told == [(0, 0), (1, 1), (1, 1)]


@pytest.mark.parametrize(("n_losses", "expected"), [(0, None), (1, 2.0), (2, None), (3, None)])
def test_only_a_single_loss_of_a_minibatch_is_the_loss(n_losses: int, expected: float | None) -> None:
    log = OperationLog()
    recorder = Recorder(TraceBuilder("mine"), operations=log)
    recorder.begin_step()
    weight = torch.tensor(2.0, requires_grad=True)

    for _ in range(n_losses):  # each optimiser makes its step before the next loss is differentiated
        with log:
            (weight * 1).backward()
        recorder.collect_operations()
    recorder.collect_operations()

    found = recorder.builder.live().get(1, 1, "loss")
    assert (None if found is None else float(found)) == expected
    assert recorder.builder.live().losses[1, 1] == [2.0] * n_losses


def test_a_fed_run_gets_the_others_arrays_and_records_its_own() -> None:
    other = trace({(0, 0, "value"): f32([5, 6]), (1, 0, "action"): [[7], [8]], (0, 1, "loss"): f32([1, 2, 3])})
    recorder = Recorder(TraceBuilder("x"), fed_from=other)

    assert np.array_equal(recorder.record_step("value", torch.tensor([[1.0], [2.0]])), [[5], [6]])
    assert np.array_equal(recorder.record_upcoming("action", np.array([0, 0])), [7, 8])
    assert recorder.record_minibatch("loss", 4.0) == 4.0  # another size
    assert recorder.record_step("log_prob", 1.5) == 1.5  # nothing there
    assert np.array_equal(recorder.builder.live().get(0, 0, "value"), [[1], [2]])  # type: ignore[arg-type]


def test_a_fed_array_has_the_type_of_the_runs_own() -> None:
    recorder = Recorder(TraceBuilder("x"), fed_from=trace({(0, 0, "value"): np.array([1.5, 2.5])}))

    assert recorder.record_step("value", f32([0, 0])).dtype == np.float32


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.tensor([1.0, 2.0], requires_grad=True), [1, 2]),
        ([3, 4], [3, 4]),
        (2.5, 2.5),
        ({"b": torch.tensor([[3.0]]), "a": np.array([1, 2])}, [1, 2, 3]),
    ],
)
def test_tensors_lists_numbers_and_dicts_become_arrays(given: object, expected: object) -> None:
    assert np.array_equal(as_array(given), expected)  # type: ignore[arg-type]


def test_stop_tracing_passes_code_that_catches_exceptions() -> None:
    assert not issubclass(StopTracing, Exception)
