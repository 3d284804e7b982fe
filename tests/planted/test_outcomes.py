from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.planted.outcomes import Outcome
from tests.planted.selection import Planted
from tests.planted.subjects import standalone_bugs


def outcome(expected: tuple[str | None, ...] = (), named: tuple[tuple[str, ...], ...] = (), **changes: Any) -> Outcome:
    """Return the outcome for two bugs, of which `expected` are the ids and `named` is the explanation."""
    bugs = Planted("a+b", "module", ("value_loss", "advantage"), expected, ("TightBounds",))
    answer = Outcome(bugs, "advantage", ("advantage", "value_loss"), named, "explained exactly", "different", 1.0)
    return dataclasses.replace(answer, **changes)


def test_the_place_is_at_later_than_or_before_the_expected_quantities() -> None:
    assert outcome().place == "at"
    assert outcome(found_at="loss").place == "later"
    assert outcome(found_at="action", iteration=2).place == "later"
    assert outcome(found_at="action").place == "before"


def test_a_later_place_is_right_only_if_quantities_are_hidden() -> None:
    hidden = dataclasses.replace(outcome().planted, module=standalone_bugs.MODULE)

    assert not outcome(found_at="loss").located
    assert outcome(found_at="loss", planted=hidden).located


def test_bugs_are_isolated_if_each_is_a_fault_with_right_inputs() -> None:
    assert outcome().isolated
    assert not outcome(faults=("advantage",)).isolated


def test_a_correct_implementation_may_be_closer_than_expected_but_not_less_close() -> None:
    correct = Planted("x", "module", (), (), ("TightBounds",), expected_verdict="rounding")

    assert outcome(planted=correct, verdict="identical").located
    assert outcome(planted=correct, verdict="rounding").located
    assert not outcome(planted=correct, verdict="different").located


@pytest.mark.parametrize(
    ("expected", "named", "right"),
    [
        (("a", "b"), (("b",), ("a", "other")), True),
        (("a", "b"), (("a", "b"), ("other",)), False),
        (("a", "b"), (("a",),), False),
        (("a",), (("a",), ("b",)), False),
        (("a", None), (("a",),), None),
    ],
)
def test_bugs_are_rightly_named_by_their_ids_and_no_others(
    expected: tuple[str | None, ...], named: tuple[tuple[str, ...], ...], right: bool | None
) -> None:
    assert outcome(expected, named).rightly_named is right


def test_names_are_not_judged_without_an_explanation() -> None:
    assert outcome(("a",), explanation_verdict="").rightly_named is None


def test_a_name_is_false_if_no_bug_of_its_group_was_planted() -> None:
    assert not outcome(("a",), (("a", "other"),)).falsely_named
    assert outcome(("a",), (("a",), ("other",))).falsely_named
    assert not outcome(("a",)).falsely_named


def test_an_explanation_lists_indistinguishable_ids() -> None:
    assert outcome(("a",), (("a", "other"), ("b",))).explanation == "a or other and b"
