from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.crosscheck.comparing.divergence import array_difference, equal_up_to_rounding
from harness.crosscheck.quantities import ORDER, Place
from tests.harness.crosscheck.traces import f32

PLACE = Place(4, 1, ORDER["surrogate"])


@pytest.mark.parametrize(
    ("theirs", "ours", "kind", "size"),
    [
        ([1.0, 2.0], [1.0, 2.0], None, 0),
        ([1.0, 2.0], [[1.0], [2.0]], None, 0),
        ([1.0, np.nan], [1.0, np.nan], None, 0),
        ([1.0, 2.0], [1.0, 3.0], "value", 0.5),
        ([1.0, 2.0], [1.0, np.nan], "value", np.inf),
        ([1.0, 2.0], [1.0, np.inf], "value", np.inf),
        ([0.0, 0.0], [0.0, 1e-9], "value", np.inf),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "shape", np.inf),
        ([1.0, 2.0], None, "missing", np.inf),
        (None, [1.0], "extra", np.inf),
    ],
)
def test_a_difference_has_a_kind_and_a_size(theirs: Any, ours: Any, kind: str | None, size: float) -> None:
    found = array_difference(PLACE, None if theirs is None else f32(theirs), None if ours is None else f32(ours))

    assert (found and found.kind) == kind
    assert found is None or found.size == pytest.approx(size)


@pytest.mark.parametrize(
    ("theirs", "ours", "index", "ratio"),
    [
        ([[1, 2], [3, 4]], [[1, 2], [6, 8]], (1, 0), 2.0),
        ([[1, 2], [3, 4]], [[1, 2], [6, 9]], (1, 0), None),
        ([0, 2, 4], [0, -2, -4], (1,), -1.0),
        ([0, 2, 4], [1, 1, 2], (0,), None),
        (2.0, 1.0, (), 0.5),
        ([2.0, 4.0], [0.0, 0.0], (0,), 0.0),
    ],
)
def test_a_divergence_has_a_first_element_and_a_constant_ratio(
    theirs: Any, ours: Any, index: tuple[int, ...], ratio: float | None
) -> None:
    found = array_difference(PLACE, f32(theirs), f32(ours))

    assert found is not None
    assert found.index == index
    assert found.ratio == (ratio if ratio is None else pytest.approx(ratio))


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]),
        ([-1.0, -2.0], [1.0, 2.0], [1.0, 2.0]),
        ([[1.0], [2.00001]], [1.0, 2.0], [1.0, 2.00001]),
        ([1.0, 2.001], [1.0, 2.0], None),
        ([1.0, 2.0, 3.0], [1.0, 2.0], None),
    ],
)
def test_arrays_are_equal_up_to_rounding_sign_and_shape(found: Any, wanted: Any, expected: Any) -> None:
    result = equal_up_to_rounding(f32(found), f32(wanted))

    assert (result is None) == (expected is None)
    assert result is None or np.array_equal(result, f32(expected))
