from __future__ import annotations

import numpy as np
import pytest

from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.tracing.trace import Trace, digest
from tests.harness.crosscheck.traces import f32


def test_a_number_is_remembered_as_it_was() -> None:
    trace, array = Trace("x"), f32([1, 2])
    trace.put(3, 1, "loss", array)
    array[0] = 9

    assert np.array_equal(trace.get(3, 1, "loss"), [1, 2])  # type: ignore[arg-type]
    assert trace.get(3, 2, "loss") is None
    assert (list(trace.moments), trace.sees) == ([(3, 1)], {ORDER["loss"]})
    assert list(trace.numbers) == [Place(3, 1, ORDER["loss"])]


def test_what_is_forgotten_is_gone_and_may_be_forgotten_again() -> None:
    trace = Trace("mine")
    trace.put(4, 1, "loss", f32(1))

    trace.forget(4, 1, "loss")
    trace.forget(4, 1, "loss")

    assert trace.get(4, 1, "loss") is None


def test_equal_numbers_of_two_traces_are_kept_once() -> None:
    first, second = Trace("x"), Trace("y")
    first.put(1, 0, "value", f32([1, 2]))
    first.put(2, 0, "value", f32([1, 2]))
    second.like = first
    second.put(1, 0, "value", f32([1, 2]))
    second.put(2, 0, "value", f32([1, 3]))
    second.put(3, 0, "value", f32([1, 3]))

    assert second.get(1, 0, "value") is first.get(1, 0, "value")
    assert [second.get(step, 0, "value").tolist() for step in (1, 2, 3)] == [[1, 2], [1, 3], [1, 3]]  # type: ignore[union-attr]


@pytest.mark.parametrize(("n_steps", "step", "iteration"), [(4, 0, 1), (4, 1, 1), (4, 4, 1), (4, 5, 2), (0, 7, 1)])
def test_a_step_belongs_to_an_iteration(n_steps: int, step: int, iteration: int) -> None:
    assert Trace("x", n_steps=n_steps).iteration(step) == iteration


def test_equal_numbers_have_equal_digests_whatever_their_shape_or_sign() -> None:
    array = f32([[0, -1.5], [2, -0.0]])

    for other in (array.reshape(-1), -array, array.T.copy().T, f32([0.0, -1.5, 2, 0.0])):
        assert digest(other) == digest(array)
    for other in (array + f32(1e-6), array[:1], f32([0, 1.5, 2, 0]), array.astype(np.float64)):
        assert digest(other) != digest(array)


def test_zeros_and_integers_have_digests_too() -> None:
    assert digest(f32([0, 0])) == digest(f32([-0.0, 0]))
    assert digest(np.array([-1, 2])) != digest(np.array([1, -2]))
