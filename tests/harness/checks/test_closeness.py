from __future__ import annotations

import numpy as np
import pytest

from harness.checks.closeness import ULPS, distance

EPSILON = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("number", [0.0, 1.0, -3e30, 1e-40, np.inf, -np.inf, np.nan])
def test_a_number_is_equal_to_itself(number: float) -> None:
    apart = distance(np.array(number), np.array(number), np.array(0.0))
    assert apart.bit_equal
    assert not apart.wrong(exact=True).any()


@pytest.mark.parametrize(
    ("got", "expected"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, -np.inf), (np.inf, 1.0), (0.0, np.inf)]
)
def test_what_is_not_a_number_on_one_side_is_always_wrong(got: float, expected: float) -> None:
    apart = distance(np.array(got), np.array(expected), np.array(1e30))
    assert apart.largest == np.inf
    assert apart.wrong(exact=False)


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e20])
def test_the_border_is_a_number_of_float32_units(size: float) -> None:
    expected = np.array([size])
    for units, wrong in ((ULPS - 0.5, False), (ULPS + 0.5, True)):
        apart = distance(expected * (1 + units * EPSILON), expected, np.zeros(1))
        assert bool(apart.wrong(exact=False)) is wrong
        assert apart.wrong(exact=True)
        assert apart.ulps == pytest.approx(units, rel=1e-3)


def test_a_difference_of_large_summands_is_measured_by_their_size() -> None:
    got, expected = np.array([1e-3]), np.array([0.0])
    assert distance(got, expected, np.array([1.0])).wrong(exact=False)
    assert not distance(got, expected, np.array([1e4])).wrong(exact=False)


def test_the_largest_difference_is_absolute() -> None:
    apart = distance(np.array([1.0, 102.0]), np.array([1.5, 100.0]), np.zeros(2))
    assert apart.largest == 2.0
    assert apart.ulps.argmax() == 0
