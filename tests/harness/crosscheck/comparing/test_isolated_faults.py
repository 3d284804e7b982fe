from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.crosscheck.comparing.divergences import Divergence, compare
from harness.crosscheck.comparing.isolated_faults import completed, faults, lines
from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.tracing.trace import Trace
from tests.harness.crosscheck.traces import f32, operation, trace

RIGHT: dict[tuple[int, int, str], Any] = {
    (4, 0, "advantage"): f32([1, 2]),
    (4, 1, "normalized_advantage"): f32([-1, 1]),
    (4, 1, "surrogate"): f32([-2, 2]),
    (4, 1, "policy_loss"): f32(0.5),
    (4, 1, "value_loss"): f32(3),
    (4, 1, "loss"): f32(3.5),
    (4, 1, "gradient"): f32([1, 2, 3]),
    (4, 1, "parameters"): f32([4, 5, 6]),
    (8, 0, "advantage"): f32([3, 4]),
    (8, 1, "parameters"): f32([7, 8, 9]),
}


def wrong(*quantities: str) -> Trace:
    """Fed with what is right, wrong in these."""
    changed = {place: array * 2 if place[2] in quantities else array for place, array in RIGHT.items()}
    return trace(changed, {(4, 1): [operation([9, 9, 9, 9])]})


def found(*quantities: str) -> list[tuple[str, int]]:
    return [(fault.place.quantity, fault.place.step) for fault in faults(trace(RIGHT), wrong(*quantities))]


def test_a_run_that_is_right_with_right_inputs_has_no_faults() -> None:
    assert found() == []


def test_each_stage_that_goes_wrong_by_itself_is_told_once_at_its_first_place() -> None:
    assert found("advantage", "parameters") == [("advantage", 4), ("parameters", 4)]


@pytest.mark.parametrize(
    ("quantities", "told"),
    [
        (("normalized_advantage", "surrogate", "policy_loss", "loss", "gradient"), ["normalized_advantage"]),
        (("policy_loss", "value_loss", "loss", "gradient"), ["policy_loss", "value_loss"]),
        (("loss", "gradient"), ["loss"]),
        (("gradient",), ["gradient"]),
    ],
)
def test_what_follows_in_the_loss_is_left_out(quantities: tuple[str, ...], told: list[str]) -> None:
    assert [quantity for quantity, _ in found(*quantities)] == told


def test_rounding_and_the_end_of_training_are_no_faults() -> None:
    near = trace({**RIGHT, (4, 0, "advantage"): f32([1, 2.000001])})
    reference = trace({**RIGHT, (8, 2, "final_randomness"): np.zeros((2, 16), np.uint8)})

    assert faults(reference, near) == []


def test_what_is_missing_after_an_error_is_no_fault() -> None:
    stopped = trace({place: array for place, array in RIGHT.items() if place[0] < 8})
    assert [fault.kind for fault in faults(trace(RIGHT), stopped)] == ["missing", "missing"]

    stopped.error = "ValueError"
    assert faults(trace(RIGHT), stopped) == []


def test_a_number_that_was_not_found_is_completed_by_what_stands_in_its_place() -> None:
    theirs = f32([1, 2, 3])
    divergence = Divergence(Place(4, 1, ORDER["surrogate"]), "value", None, theirs, 0.5)
    subject = trace({}, {(4, 1): [operation(5.0), operation([2, 4, 6])]})

    assert np.array_equal(completed(divergence, subject, trace({})).ours, [2, 4, 6])  # type: ignore[arg-type]
    for other in (
        Divergence(Place(4, 0, 3), "value", None, theirs, 1.0),
        Divergence(Place(4, 1, 3), "missing", None, theirs, 1.0),
    ):
        assert completed(other, subject, trace({})) is other


def divergence(subject: Trace, reference: Trace) -> Divergence:
    first = compare(reference, subject).first
    assert first is not None
    return first


def test_lines_are_those_of_the_minibatch_where_the_two_part() -> None:
    reference = trace({(4, 1, "gradient"): f32([1])}, {(4, 1): [operation(1.5, line=3)]})
    subject = trace({(4, 1, "gradient"): f32([2])}, {(4, 1): [operation(2.5, line=8)]})

    ours, theirs = lines(divergence(subject, reference), subject, None, reference, reference)

    assert ours is not None
    assert theirs is not None
    assert (ours.line, theirs.line) == (8, 3)


def test_a_line_that_both_have_says_nothing() -> None:
    reference = trace({(4, 1, "gradient"): f32([1])}, {(4, 1): [operation(1.5, line=3)]})
    subject = trace({(4, 1, "gradient"): f32([2])}, {(4, 1): [operation(2.5, line=3)]})

    assert lines(divergence(subject, reference), subject, None, reference, reference) == (None, None)


def test_what_clips_the_gradient_is_not_blamed_for_the_gradient() -> None:
    clip = {(4, 1): [operation(2.5, line=8, differentiated=True)]}
    for name, blamed in (("gradient", False), ("clipped_gradient", True)):
        reference = trace({(4, 1, name): f32([1])}, {(4, 1): []})
        subject = trace({(4, 1, name): f32([2])}, clip)

        ours, _ = lines(divergence(subject, reference), subject, None, reference, reference)

        assert (ours is not None) == blamed


def test_where_the_numbers_show_nothing_the_run_with_right_inputs_is_asked() -> None:
    reference = trace({(4, 1, "gradient"): f32([1])}, {(4, 1): [], (8, 1): []})
    subject = trace({(4, 1, "gradient"): f32([2])}, {(4, 1): []})
    fed = trace({}, {(4, 1): [], (8, 1): [operation(2.5, line=8)]})

    ours, theirs = lines(divergence(subject, reference), subject, fed, reference, reference)

    assert ours is not None
    assert (ours.line, theirs) == (8, None)


def test_there_are_no_lines_of_acting() -> None:
    reference, subject = trace({(1, 0, "action"): [0]}), trace({(1, 0, "action"): [1]})

    assert lines(divergence(subject, reference), subject, None, reference, reference) == (None, None)
