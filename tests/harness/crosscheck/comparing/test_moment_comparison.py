from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.tracing.trace import Trace
from tests.harness.crosscheck.traces import f32, operation, trace

ADVANTAGE = f32([1.0, -2.0, 3.0])
SURROGATE = f32([1.1, -1.8, 2.7])


def first(reference: Trace, subject: Trace) -> tuple[str, int, int] | None:
    found = compare(reference, subject).first
    return None if found is None else (found.place.quantity, found.place.step, found.place.minibatch)


def update(surrogate: Any, gradient: Any, *, own: Any = None) -> Trace:
    """Trace of one minibatch; own: results of operations of a subject that does not name the surrogate."""
    numbers: dict[tuple[int, int, str], Any] = {(4, 1, "gradient"): f32(gradient)}
    if own is None:
        numbers[4, 1, "surrogate"] = f32(surrogate)
        return trace(numbers)
    return trace(numbers, {(4, 1): [operation(one) for one in own]})


def test_an_unnamed_array_is_found_among_the_results_of_operations() -> None:
    reference = update(SURROGATE, [1, 2])

    assert first(reference, update(None, [1, 2], own=[ADVANTAGE, SURROGATE])) is None
    assert first(reference, update(None, [1, 2], own=[-SURROGATE])) is None
    assert first(reference, update(None, [1, 2], own=[SURROGATE.reshape(3, 1)])) is None


def test_an_array_not_found_counts_only_if_the_gradient_differs() -> None:
    reference = update(SURROGATE, [1, 2])

    assert first(reference, update(None, [1, 2], own=[ADVANTAGE])) is None
    found = compare(reference, update(None, [1, 3], own=[ADVANTAGE])).first
    assert found is not None
    assert (found.place.quantity, found.subject, found.size) == ("surrogate", None, 0.5)


def test_an_array_found_up_to_rounding_is_rounding() -> None:
    found = compare(update(SURROGATE, [1, 2]), update(None, [1, 2.00001], own=[SURROGATE * f32(1 + 1e-6)]))

    assert found.first is not None
    assert found.first.place.quantity == "surrogate"
    assert found.first_beyond_rounding is None


def test_a_right_surrogate_without_an_explicit_ratio_is_accepted() -> None:
    numbers = {(4, 1, "ratio"): f32([1, 2, 3]), (4, 1, "surrogate"): SURROGATE, (4, 1, "gradient"): f32([1, 2])}
    subject = update(None, [1, 3], own=[SURROGATE])

    assert first(trace(numbers), subject) == ("gradient", 4, 1)


def test_a_loss_of_zero_does_not_imply_equal_inputs() -> None:
    numbers = {(4, 1, "surrogate"): SURROGATE, (4, 1, "policy_loss"): f32(0), (4, 1, "gradient"): f32([1, 2])}
    subject = update(None, [1, 3], own=[f32(0)])

    assert first(trace(numbers), subject) == ("surrogate", 4, 1)


@pytest.mark.parametrize("loss", [1e-8, 0.0])
def test_a_loss_that_cancels_out_is_measured_by_its_summands(loss: float) -> None:
    numbers = {(4, 1, "surrogate"): SURROGATE, (4, 1, "policy_loss"): f32(loss), (4, 1, "gradient"): f32([1, 2])}
    reference = trace(numbers, reported={(4, 1): [float(f32(loss))]})
    subject = replace(update(None, [1, 2.00001], own=[SURROGATE]), reported={(4, 1): [loss + 3e-8]})

    found = compare(reference, subject)

    assert found.first is not None
    assert (found.first.place.quantity, found.first_beyond_rounding) == ("policy_loss", None)
    assert found.first.size == pytest.approx(1.1e-8, rel=0.1)


def test_a_term_that_the_subject_reports_comes_before_a_search() -> None:
    arrays = {(4, 1, "value_loss"): f32(2), (4, 1, "gradient"): f32([1, 2])}
    reference = trace(arrays, reported={(4, 1): [0.5, 2.0]})
    # The right value is among its results, but the subject reports another.
    subject = replace(update(None, [1, 3], own=[f32(2)]), reported={(4, 1): [0.5, 1.0]})

    found = compare(reference, subject).first

    assert found is not None
    assert (found.place.quantity, found.ratio) == ("value_loss", 0.5)
