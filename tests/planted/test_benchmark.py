from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.planted import benchmark as planted
from tests.planted.benchmark import Outcome, Planted, by_name, checked, combinations, singles
from tests.planted.subjects import mutation
from tests.planted.subjects.mutants import MUTANTS


def found(wanted: tuple[str | None, ...], named: tuple[tuple[str, ...], ...], **changes: Any) -> Outcome:
    bugs = Planted("a+b", "module", ("value_loss", "advantage"), wanted, ("TightBounds",))
    answer = Outcome(bugs, "advantage", ("advantage", "value_loss"), named, "explained exactly", "different", 1.0)
    return dataclasses.replace(answer, **changes)


def test_a_bug_is_located_at_its_quantity_or_that_of_another_bug_beside_it() -> None:
    assert found((), ()).place == "at"
    assert found((), (), found_at="loss").place == "later"
    assert found((), (), found_at="action", iteration=2).place == "later"
    assert found((), (), found_at="action").place == "before"


def test_later_is_right_only_where_numbers_are_hidden() -> None:
    hidden = dataclasses.replace(found((), ()).planted, module=planted.standalone_bugs.MODULE)

    assert not found((), (), found_at="loss").located
    assert found((), (), found_at="loss", planted=hidden).located


def test_a_bug_is_isolated_when_it_shows_with_right_inputs() -> None:
    assert found((), ()).isolated
    assert not found((), (), faults=("advantage",)).isolated


def test_an_equivalent_may_not_come_out_as_worse_than_it_is() -> None:
    right = Planted("x", "module", (), (), ("TightBounds",), verdict="rounding")

    assert found((), (), planted=right, verdict="identical").located
    assert found((), (), planted=right, verdict="rounding").located
    assert not found((), (), planted=right, verdict="different").located


@pytest.mark.parametrize(
    ("wanted", "named", "right"),
    [
        (("a", "b"), (("b",), ("a", "other")), True),
        (("a", "b"), (("a", "b"), ("other",)), False),
        (("a", "b"), (("a",),), False),
        (("a",), (("a",), ("b",)), False),
        (("a", None), (("a",),), None),
    ],
)
def test_it_is_rightly_named_by_these_deviations_and_no_others(
    wanted: tuple[str | None, ...], named: tuple[tuple[str, ...], ...], right: bool | None
) -> None:
    assert found(wanted, named).rightly_named is right


def test_nothing_is_named_where_no_explanation_was_asked_for() -> None:
    assert found(("a",), (), explanation="").rightly_named is None


@pytest.mark.parametrize("subjects", ["sb3", "standalone"])
@pytest.mark.parametrize("size", [2, 3])
def test_combinations_are_different_compatible_and_the_same_every_time(subjects: str, size: int) -> None:
    drawn = combinations(subjects, size, 12)

    assert [one.name for one in drawn] == [one.name for one in combinations(subjects, size, 12)]
    assert len({frozenset(one.name.split("+")) for one in drawn}) == 12
    assert all(len(one.stages) == size and None not in one.deviations for one in drawn)
    if subjects == "sb3":
        assert all(mutation.compatible([MUTANTS[name] for name in one.name.split("+")]) for one in drawn)


def test_every_subject_is_among_the_singles() -> None:
    assert [one.name for one in singles("sb3")] == list(MUTANTS)
    assert all(one.worlds == tuple(planted.CASES) for one in singles("equivalents"))


def test_the_cross_check_locates_two_bugs_at_once() -> None:
    outcome = checked(by_name("sb3", "gae_lambda_missing_in_recursion+gradients_not_clipped"), seconds=0, locate=True)

    assert outcome.found_at == "advantage"
    assert outcome.isolated
    assert outcome.rightly_named is None


def test_the_table_is_printed_with_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert planted.main(["--locate", "--subjects", "standalone", "--only", "timeout_is_termination"]) == 0

    out = capsys.readouterr().out
    assert "timeout_is_termination" in out
    assert "1 subjects, 0 not checked" in out
    assert "first difference at the expected quantity: 0, later: 1, before: 0" in out
