from __future__ import annotations

import numpy as np
import pytest

from harness.crosscheck.tracing.trace import Trace, digest
from tests.harness.crosscheck.traces import f32


@pytest.mark.parametrize(("n_steps", "step", "iteration"), [(4, 0, 1), (4, 1, 1), (4, 4, 1), (4, 5, 2), (0, 7, 1)])
def test_a_step_belongs_to_an_iteration(n_steps: int, step: int, iteration: int) -> None:
    assert Trace("x", n_steps=n_steps).iteration(step) == iteration


def test_arrays_of_equal_numbers_have_equal_digests_in_any_shape_and_sign() -> None:
    array = f32([[0, -1.5], [2, -0.0]])

    for other in (array.reshape(-1), -array, array.T.copy().T, f32([0.0, -1.5, 2, 0.0])):
        assert digest(other) == digest(array)
    for other in (array + f32(1e-6), array[:1], f32([0, 1.5, 2, 0]), array.astype(np.float64)):
        assert digest(other) != digest(array)


def test_zeros_and_integers_have_digests_too() -> None:
    assert digest(f32([0, 0])) == digest(f32([-0.0, 0]))
    assert digest(np.array([-1, 2])) != digest(np.array([1, -2]))
