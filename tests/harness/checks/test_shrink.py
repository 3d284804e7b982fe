from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.checks import shrink as module
from harness.checks.case import REAL, Argument
from harness.checks.shrink import shrink

ROWS = {"numbers": Argument(axes=("T",), simpler=(0.0, 1.0), rounded=True), "flags": Argument(("T",), (False,))}


def start(n: int = 13) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"numbers": rng.normal(size=n).astype(np.float32), "flags": rng.random(n) < 0.5}


def test_rows_are_cut_from_all_arguments_that_share_the_axis() -> None:
    smallest = shrink(start(), ROWS, lambda inputs: len(inputs["numbers"]) >= 3)

    assert smallest["numbers"].tolist() == [0, 0, 0]
    assert smallest["flags"].tolist() == [False, False, False]


@pytest.mark.parametrize("row", [0, 6, 12])
def test_the_one_row_that_matters_is_kept(row: int) -> None:
    inputs = start()
    inputs["flags"][:] = np.arange(13) == row
    wanted = inputs["numbers"][row]

    smallest = shrink(inputs, ROWS, lambda it: bool(((it["numbers"] == wanted) & it["flags"]).any()))

    assert smallest["numbers"].tolist() == [wanted]
    assert smallest["flags"].tolist() == [True]


def test_numbers_become_zero_or_one_or_round_where_that_still_fails() -> None:
    arguments = {"x": REAL, "y": REAL, "z": REAL}
    inputs = {"x": 0.377, "y": 0.377, "z": np.array(2.718)}

    smallest = shrink(inputs, arguments, lambda it: it["x"] > 0.2 and it["y"] < 0.9 and it["z"] >= 1.5)

    assert smallest == {"x": 1.0, "y": 0.0, "z": 3.0}
    assert shrink({"x": 0.377}, {"x": REAL}, lambda it: 0.3 < it["x"] < 0.5) == {"x": 0.4}


def test_what_may_not_be_changed_is_left_alone() -> None:
    inputs = {"names": [3, 2], "limit": None, "actions": np.array([[2, 1]])}
    arguments = {"names": Argument(), "limit": Argument(simpler=(0.5,)), "actions": Argument(("B", ""), (0,))}

    smallest = shrink(inputs, arguments, lambda it: True)

    assert smallest["names"] == [3, 2]
    assert smallest["limit"] is None
    assert smallest["actions"].tolist() == [[0, 0]]


def test_two_axes_are_cut_on_their_own() -> None:
    arguments = {"table": Argument(axes=("T", "N"), simpler=(0.0,)), "last": Argument(axes=("N",), simpler=(0.0,))}
    inputs = {"table": np.ones((7, 5)), "last": np.arange(5.0)}

    smallest = shrink(inputs, arguments, lambda it: it["table"].shape[0] >= 2 and 3.0 in it["last"])

    assert smallest["table"].shape == (2, 1)
    assert smallest["last"].tolist() == [3.0]


def test_the_arrays_that_were_given_are_not_changed() -> None:
    inputs = start()
    before = {name: value.copy() for name, value in inputs.items()}
    shrink(inputs, ROWS, lambda it: True)
    for name, value in before.items():
        np.testing.assert_array_equal(inputs[name], value)


def test_it_ends_after_a_number_of_trials_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRIALS", 5)
    asked = []

    def still_fails(inputs: Any) -> bool:
        asked.append(inputs)
        return len(inputs["numbers"]) >= 2

    smallest = shrink(start(), ROWS, still_fails)

    assert len(asked) <= 5
    assert 2 <= len(smallest["numbers"]) < 13


def test_a_slow_function_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", -1.0)
    inputs = start()
    assert shrink(inputs, ROWS, lambda it: pytest.fail("there was no time left")) == inputs
