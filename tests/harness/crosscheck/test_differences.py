from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rich.console import Console

from harness.crosscheck.differences import QUANTITIES, Differences, differences_table, largest_difference

NOTHING = dict.fromkeys(QUANTITIES, 0.0)
FLOATS = arrays.arrays(np.float32, st.integers(1, 5), elements=st.floats(width=32))


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@given(st.lists(FLOATS, min_size=1, max_size=3))
def test_a_recording_does_not_differ_from_itself(recorded: list[np.ndarray]) -> None:
    assert largest_difference(recorded, [array.copy() for array in recorded]) == 0.0


@given(st.lists(FLOATS, min_size=1, max_size=3), st.data())
def test_a_single_other_bit_is_a_difference(recorded: list[np.ndarray], data: st.DataObject) -> None:
    other = [array.copy() for array in recorded]
    array = data.draw(st.sampled_from(other))
    index = data.draw(st.integers(0, len(array) - 1))
    # One ulp further, or a number where there was none.
    array[index] = 0.0 if np.isnan(array[index]) else np.nextafter(array[index], np.float32(0 if array[index] else 1))

    assert largest_difference(recorded, other) > 0.0


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([f32(1, 2), f32(5)], [f32(1, 2.5), f32(5.25)], 0.5),
        ([f32(1)], [f32(-3)], 4.0),
        ([], [], math.nan),
        ([f32(1)], [], math.inf),
        ([f32(1)], [f32(1, 2)], math.inf),
        ([f32(math.nan)], [f32(1)], math.inf),
        ([f32(math.inf)], [f32(math.inf)], 0.0),
        ([f32(math.inf)], [f32(-math.inf)], math.inf),
        ([f32(math.nan, 1)], [f32(math.nan, 3)], 2.0),
        ([f32(math.inf, 1)], [f32(math.inf, 3)], 2.0),
    ],
)
def test_the_largest_difference_counts(ours: list[np.ndarray], theirs: list[np.ndarray], expected: float) -> None:
    assert largest_difference(ours, theirs) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("largest", "identical"), [({}, True), ({"returns": math.nan}, True), ({"gradients": 1e-45}, False)]
)
def test_what_nobody_shows_is_no_difference(largest: dict[str, float], identical: bool) -> None:
    assert Differences("A-v0", 0, {**NOTHING, **largest}, 5).identical == identical


def test_the_table_shows_zero_size_shape_and_silence() -> None:
    largest = {**NOTHING, "returns": 0.0123, "policy loss": math.inf, "value loss": math.nan}
    console = Console(width=120)
    with console.capture() as capture:
        console.print(differences_table([Differences("A-v0", 3, largest, 24)], "mine", "ppo"))

    lines = capture.get().splitlines()
    assert lines[0].rstrip() == "Largest absolute difference, mine against ppo"
    assert lines[-2].split() == ["A-v0", "3", "24", "0", "0.012", "shape", "not", "shown", "0", "0"]
