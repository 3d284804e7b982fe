from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.comparing.divergence import Divergence
from harness.crosscheck.comparing.isolated_faults import diverging_lines, isolated_faults, with_likely_value
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
    """Trace of a fed run that computes these quantities wrongly."""
    changed = {place: array * 2 if place[2] in quantities else array for place, array in RIGHT.items()}
    return trace(changed, {(4, 1): [operation([9, 9, 9, 9])]})


def found(*quantities: str) -> list[tuple[str, int]]:
    return [(fault.place.quantity, fault.place.step) for fault in isolated_faults(trace(RIGHT), wrong(*quantities))]


def test_a_fed_run_without_a_difference_has_no_faults() -> None:
    assert found() == []


def test_each_wrong_stage_is_reported_once_at_its_first_place() -> None:
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
def test_consequences_within_the_loss_are_left_out(quantities: tuple[str, ...], told: list[str]) -> None:
    assert [quantity for quantity, _ in found(*quantities)] == told


def test_rounding_and_the_end_of_training_are_no_faults() -> None:
    near = trace({**RIGHT, (4, 0, "advantage"): f32([1, 2.000001])})
    reference = trace({**RIGHT, (8, 2, "final_randomness"): np.zeros((2, 16), np.uint8)})

    assert isolated_faults(reference, near) == []


def test_what_is_missing_after_an_error_is_no_fault() -> None:
    stopped = trace({place: array for place, array in RIGHT.items() if place[0] < 8})
    assert [fault.kind for fault in isolated_faults(trace(RIGHT), stopped)] == ["missing", "missing"]

    assert isolated_faults(trace(RIGHT), replace(stopped, error="ValueError")) == []


def test_an_array_not_found_is_completed_by_the_most_similar_result() -> None:
    theirs = f32([1, 2, 3])
    divergence = Divergence(Place(4, 1, ORDER["surrogate"]), "value", None, theirs, 0.5)
    subject = trace({}, {(4, 1): [operation(5.0), operation([2, 4, 6])]})

    assert np.array_equal(with_likely_value(divergence, subject, trace({})).subject, [2, 4, 6])  # type: ignore[arg-type]
    for other in (
        Divergence(Place(4, 0, 3), "value", None, theirs, 1.0),
        Divergence(Place(4, 1, 3), "missing", None, theirs, 1.0),
    ):
        assert with_likely_value(other, subject, trace({})) is other


def divergence(subject: Trace, reference: Trace) -> Divergence:
    first = compare(reference, subject).first
    assert first is not None
    return first


def test_lines_are_those_of_the_minibatch_of_the_divergence() -> None:
    reference = trace({(4, 1, "gradient"): f32([1])}, {(4, 1): [operation(1.5, line=3)]})
    subject = trace({(4, 1, "gradient"): f32([2])}, {(4, 1): [operation(2.5, line=8)]})

    ours, theirs = diverging_lines(divergence(subject, reference), subject, None, reference, reference)

    assert ours is not None
    assert theirs is not None
    assert (ours.line, theirs.line) == (8, 3)


def test_a_line_that_both_share_is_not_reported() -> None:
    reference = trace({(4, 1, "gradient"): f32([1])}, {(4, 1): [operation(1.5, line=3)]})
    subject = trace({(4, 1, "gradient"): f32([2])}, {(4, 1): [operation(2.5, line=3)]})

    assert diverging_lines(divergence(subject, reference), subject, None, reference, reference) == (None, None)


def test_clipping_is_not_blamed_for_a_wrong_gradient() -> None:
    clip = {(4, 1): [operation(2.5, line=8, after_backward=True)]}
    for name, blamed in (("gradient", False), ("clipped_gradient", True)):
        reference = trace({(4, 1, name): f32([1])}, {(4, 1): []})
        subject = trace({(4, 1, name): f32([2])}, clip)

        ours, _ = diverging_lines(divergence(subject, reference), subject, None, reference, reference)

        assert (ours is not None) == blamed


def test_a_fed_run_gives_the_line_if_the_divergences_moment_shows_none() -> None:
    reference = trace({(4, 1, "gradient"): f32([1])}, {(4, 1): [], (8, 1): []})
    subject = trace({(4, 1, "gradient"): f32([2])}, {(4, 1): []})
    fed = trace({}, {(4, 1): [], (8, 1): [operation(2.5, line=8)]})

    ours, theirs = diverging_lines(divergence(subject, reference), subject, fed, reference, reference)

    assert ours is not None
    assert (ours.line, theirs) == (8, None)


def test_acting_has_no_lines() -> None:
    reference, subject = trace({(1, 0, "action"): [0]}), trace({(1, 0, "action"): [1]})

    assert diverging_lines(divergence(subject, reference), subject, None, reference, reference) == (None, None)
