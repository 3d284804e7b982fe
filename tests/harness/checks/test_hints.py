from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.checks.case import Case, FunctionCheck, Inputs, KnownMistake, Outputs
from harness.checks.hints import NO_HINT, probable_cause

NUMBERS = {"small": np.array([1.0, 2.0]), "zero": np.array([0.0, 0.0]), "large": np.array([3.0, -5.0])}


def check(**mistakes: Callable[[Inputs], Outputs]) -> FunctionCheck:
    """Return a check of x -> x with these known mistakes."""
    return FunctionCheck(
        name="check_it",
        calls="fn(x) -> x",
        arguments={},
        cases=[Case(name, {"x": x}) for name, x in NUMBERS.items()],
        expected=lambda inputs, names: {"y": inputs["x"]},
        read=lambda result, inputs, given: {"y": result},
        magnitude=lambda inputs, expected: {"y": np.abs(expected["y"])},
        mistakes=[KnownMistake(f"id of {text}", text, numbers) for text, numbers in mistakes.items()],
    )


def cause(subject: Callable[[Any], Any], wrong: list[str], **mistakes: Callable[[Any], Any]) -> str:
    def known(formula: Callable[[Any], Any]) -> Callable[[Inputs], Mapping[str, Any]]:
        return lambda inputs: {"y": formula(inputs["x"])}

    judged = {name: ({"y": subject(x)}, {"y": x}, {"y": np.abs(x)}) for name, x in NUMBERS.items()}
    return probable_cause(check(**{text: known(formula) for text, formula in mistakes.items()}), judged, wrong).text


def test_a_mistake_must_give_the_numbers_of_all_cases_the_right_ones_too() -> None:
    found = cause(np.abs, ["large"], negative=lambda x: -x, clipped=lambda x: x.clip(0), positive=np.abs)
    assert found == "positive\n  (it gives the same results in all 3 cases)"


def test_two_mistakes_that_cannot_be_told_apart_are_both_named() -> None:
    found = cause(np.abs, ["large"], root=lambda x: (x**2) ** 0.5, positive=np.abs, third=np.abs)
    assert found.startswith("root / or: positive\n")


def test_a_mistake_that_gives_half_of_the_wrong_cases_is_a_part() -> None:
    def subject(x: Any) -> Any:
        return x + 1 if x[0] < 2 else x * x

    found = cause(subject, ["small", "zero", "large"], one_more=lambda x: x + 1, other=lambda x: x - 1)
    assert found == "in part: one_more\n  (it gives the same results in 2 of the 3 wrong cases)"
    assert cause(lambda x: x**3 + 1, ["small", "zero", "large"], other=lambda x: x - 1) == ""


def test_a_factor_needs_two_numbers_and_no_wrong_zero() -> None:
    assert cause(lambda x: -0.5 * x, ["small", "large"]) == "y everywhere -0.5 times what was expected"
    assert cause(lambda x: x + 0.5, ["small", "zero", "large"]) == ""


def test_a_mistake_that_cannot_take_the_shapes_is_passed_over() -> None:
    def fails(x: Any) -> Any:
        raise ValueError("no such shape")

    found = cause(np.abs, ["large"], broken=fails, bent=lambda x: x[None], positive=np.abs)
    assert found.startswith("positive\n")


def test_a_nan_of_the_same_mistake_is_recognised() -> None:
    with np.errstate(invalid="ignore"):
        found = cause(lambda x: x * x / x, ["zero"], quotient=lambda x: x / x * x)
    assert found.startswith("quotient\n")


def test_without_any_answer_there_is_no_cause() -> None:
    assert probable_cause(check(), {"small": ({}, {}, {})}, ["small"]) == NO_HINT


def test_a_hint_has_the_ids_of_the_mistakes_that_it_names() -> None:
    judged = {name: ({"y": -x}, {"y": x}, {"y": np.abs(x)}) for name, x in NUMBERS.items()}
    known = check(negative=lambda inputs: {"y": -inputs["x"]}, also=lambda inputs: {"y": 0 - inputs["x"]})
    assert probable_cause(known, judged, ["small", "large"]).mistakes == ("id of negative", "id of also")


def test_numbers_that_differ_by_rounding_alone_have_no_cause() -> None:
    assert cause(lambda x: x * (1 + 1e-8), ["small", "large"], right=lambda x: x) == ""
