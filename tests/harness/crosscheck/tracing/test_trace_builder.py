from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.tracing.trace_builder import TraceBuilder
from tests.harness.crosscheck.traces import f32, operation


def test_an_array_is_recorded_as_it_was() -> None:
    builder, array = TraceBuilder("x"), f32([1, 2])
    builder.put(3, 1, "loss", array)
    array[0] = 9

    trace = builder.finish()
    assert np.array_equal(trace.get(3, 1, "loss"), [1, 2])  # type: ignore[arg-type]
    assert trace.get(3, 2, "loss") is None
    assert (list(trace.moments), trace.recorded_ranks) == ([(3, 1)], {ORDER["loss"]})
    assert list(trace.arrays) == [Place(3, 1, ORDER["loss"])]


def test_a_removed_array_is_gone_and_may_be_removed_again() -> None:
    builder = TraceBuilder("mine")
    builder.put(4, 1, "loss", f32(1))

    builder.remove(4, 1, "loss")
    builder.remove(4, 1, "loss")

    assert builder.finish().get(4, 1, "loss") is None


def test_equal_arrays_of_two_traces_are_kept_once() -> None:
    builder = TraceBuilder("x")
    builder.put(1, 0, "value", f32([1, 2]))
    builder.put(2, 0, "value", f32([1, 2]))
    first = builder.finish()
    builder = TraceBuilder("y", shared=first)
    builder.put(1, 0, "value", f32([1, 2]))
    builder.put(2, 0, "value", f32([1, 3]))
    builder.put(3, 0, "value", f32([1, 3]))
    second = builder.finish()

    assert second.get(1, 0, "value") is first.get(1, 0, "value")
    assert [second.get(step, 0, "value").tolist() for step in (1, 2, 3)] == [[1, 2], [1, 3], [1, 3]]  # type: ignore[union-attr]


def test_a_live_trace_grows_and_a_finished_one_does_not() -> None:
    builder = TraceBuilder("x")
    builder.put(1, 0, "value", f32([1, 2]))
    builder.add_operations((1, 1), [operation(1.0)], [0.5])
    live, finished = builder.live(), builder.finish()

    builder.put(2, 0, "value", f32([3, 4]))
    builder.add_operations((1, 1), [operation(2.0)], [])

    assert (list(live.moments), list(finished.moments)) == ([(1, 0), (2, 0)], [(1, 0)])
    assert (len(live.operations[1, 1]), len(finished.operations[1, 1])) == (2, 1)
    assert live.reported[1, 1] == [0.5]


def test_a_trace_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TraceBuilder("x").finish().error = "no"  # type: ignore[misc]
