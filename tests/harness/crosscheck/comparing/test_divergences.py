from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.crosscheck.comparing.divergences import Comparison, compare, gap
from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.tracing.trace import Trace
from tests.harness.crosscheck.traces import f32, operation, trace

PLACE = Place(4, 1, ORDER["surrogate"])
ROLLOUT: dict[tuple[int, int, str], Any] = {
    (1, 0, "action"): [0, 1],
    (1, 0, "value"): f32([0.5, 1.5]),
    (2, 0, "action"): [1, 1],
    (2, 0, "value"): f32([0.25, 2.5]),
}
ADVANTAGE = f32([1.0, -2.0, 3.0])
SURROGATE = f32([1.1, -1.8, 2.7])


def first(reference: Trace, subject: Trace) -> tuple[str, int, int] | None:
    found = compare(reference, subject).first
    return None if found is None else (found.place.quantity, found.place.step, found.place.minibatch)


def update(surrogate: Any, gradient: Any, *, own: Any = None) -> Trace:
    """One minibatch; own: what the subject, which names nothing, computes in place of the surrogate."""
    numbers: dict[tuple[int, int, str], Any] = {(4, 1, "gradient"): f32(gradient)}
    if own is None:
        numbers[4, 1, "surrogate"] = f32(surrogate)
        return trace(numbers)
    return trace(numbers, {(4, 1): [operation(one) for one in own]})


def test_equal_traces_are_identical() -> None:
    found = compare(trace(ROLLOUT), trace(ROLLOUT))

    assert (found.first, found.first_beyond_rounding, found.n_compared) == (None, None, 4)
    assert found.largest == {(1, 0): 0.0}


def test_the_first_in_time_is_found_whatever_differs_later() -> None:
    other = trace({**ROLLOUT, (2, 0, "value"): f32([9, 9]), (2, 0, "action"): [0, 0], (1, 0, "value"): f32([0.5, 1.6])})

    assert first(trace(ROLLOUT), other) == ("value", 1, 0)


def test_rounding_is_told_from_what_is_more() -> None:
    near = f32([0.5, np.nextafter(np.float32(1.5), np.float32(2))])
    found = compare(trace(ROLLOUT), trace({**ROLLOUT, (1, 0, "value"): near, (2, 0, "value"): f32([0.25, 2.6])}))

    assert found.first is not None
    assert found.first_beyond_rounding is not None
    assert (found.first.place.step, found.first_beyond_rounding.place.step) == (1, 2)
    assert not found.first.beyond_rounding
    assert found.largest[1, 0] == pytest.approx(0.04, rel=1e-3)


def test_another_choice_has_no_size_and_is_no_rounding() -> None:
    found = compare(trace(ROLLOUT), trace({**ROLLOUT, (2, 0, "action"): [1, 0]}))

    assert found.first == found.first_beyond_rounding
    assert found.largest == {(1, 0): np.inf}


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
def test_a_gap_has_a_kind_and_a_size(theirs: Any, ours: Any, kind: str | None, size: float) -> None:
    found = gap(PLACE, None if theirs is None else f32(theirs), None if ours is None else f32(ours))

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
def test_a_divergence_knows_its_first_element_and_a_constant_ratio(
    theirs: Any, ours: Any, index: tuple[int, ...], ratio: float | None
) -> None:
    found = gap(PLACE, f32(theirs), f32(ours))

    assert found is not None
    assert found.index == index
    assert found.ratio == (ratio if ratio is None else pytest.approx(ratio))


def test_what_a_subject_never_shows_is_not_missed() -> None:
    hidden = {place: array for place, array in ROLLOUT.items() if place[2] != "value"}

    assert first(trace(ROLLOUT), trace(hidden)) is None


def test_what_it_shows_elsewhere_is_missed() -> None:
    assert first(trace(ROLLOUT), trace({k: v for k, v in ROLLOUT.items() if k != (2, 0, "value")})) == ("value", 2, 0)


def test_a_step_that_the_subject_never_makes_is_missed_though_it_makes_none_at_all() -> None:
    reference, subject = trace({(1, 0, "env_action"): [0, 1], (4, 1, "parameters"): f32([1])}), trace({})

    assert first(reference, subject) == ("env_action", 1, 0)
    subject.put(1, 0, "env_action", np.array([0, 1]))
    assert first(reference, subject) is None  # nobody knows its weights
    subject.optimizer = "Adam()"
    assert first(reference, subject) == ("parameters", 4, 1)


def test_one_more_number_is_a_divergence() -> None:
    found = compare(trace(ROLLOUT), trace({**ROLLOUT, (3, 0, "action"): [0, 0]}))

    assert found.first is not None
    assert (found.first.kind, found.first.place.step) == ("extra", 3)


def test_the_end_of_training_comes_at_the_same_place() -> None:
    reference = trace({**ROLLOUT, (2, 1, "final_randomness"): np.zeros((2, 16), np.uint8)})

    assert first(reference, trace(ROLLOUT)) == ("final_randomness", 2, 1)


def test_an_error_counts_before_what_is_missing_because_of_it() -> None:
    subject = trace({place: array for place, array in ROLLOUT.items() if place[0] == 1})
    subject.error = "ValueError: no"

    found = compare(trace(ROLLOUT), subject)

    assert found.first == found.first_beyond_rounding
    assert found.first is not None
    assert (found.first.kind, found.first.place.step) == ("error", 1)


def test_an_error_does_not_hide_what_differs_before_it() -> None:
    subject = trace({**ROLLOUT, (1, 0, "value"): f32([0, 0])})
    subject.error = "ValueError: no"

    assert first(trace(ROLLOUT), subject) == ("value", 1, 0)


def test_a_number_without_a_name_is_found_among_the_results_of_operations() -> None:
    reference = update(SURROGATE, [1, 2])

    assert first(reference, update(None, [1, 2], own=[ADVANTAGE, SURROGATE])) is None
    assert first(reference, update(None, [1, 2], own=[-SURROGATE])) is None
    assert first(reference, update(None, [1, 2], own=[SURROGATE.reshape(3, 1)])) is None


def test_what_is_not_found_counts_only_where_the_gradient_differs() -> None:
    reference = update(SURROGATE, [1, 2])

    assert first(reference, update(None, [1, 2], own=[ADVANTAGE])) is None
    found = compare(reference, update(None, [1, 3], own=[ADVANTAGE])).first
    assert found is not None
    assert (found.place.quantity, found.ours, found.size) == ("surrogate", None, 0.5)


def test_what_is_nearly_found_is_rounding() -> None:
    found = compare(update(SURROGATE, [1, 2]), update(None, [1, 2.00001], own=[SURROGATE * f32(1 + 1e-6)]))

    assert found.first is not None
    assert found.first.place.quantity == "surrogate"
    assert found.first_beyond_rounding is None


def test_who_has_the_right_surrogate_needs_no_ratio() -> None:
    numbers = {(4, 1, "ratio"): f32([1, 2, 3]), (4, 1, "surrogate"): SURROGATE, (4, 1, "gradient"): f32([1, 2])}
    subject = update(None, [1, 3], own=[SURROGATE])

    assert first(trace(numbers), subject) == ("gradient", 4, 1)


def test_a_loss_of_zero_says_nothing_of_what_it_is_made_of() -> None:
    numbers = {(4, 1, "surrogate"): SURROGATE, (4, 1, "policy_loss"): f32(0), (4, 1, "gradient"): f32([1, 2])}
    subject = update(None, [1, 3], own=[f32(0)])

    assert first(trace(numbers), subject) == ("surrogate", 4, 1)


@pytest.mark.parametrize("loss", [1e-8, 0.0])
def test_a_loss_that_cancels_out_is_measured_by_what_was_summed(loss: float) -> None:
    numbers = {(4, 1, "surrogate"): SURROGATE, (4, 1, "policy_loss"): f32(loss), (4, 1, "gradient"): f32([1, 2])}
    reference, subject = trace(numbers), update(None, [1, 2.00001], own=[SURROGATE])
    reference.reported[4, 1], subject.reported[4, 1] = [float(f32(loss))], [loss + 3e-8]

    found = compare(reference, subject)

    assert found.first is not None
    assert (found.first.place.quantity, found.first_beyond_rounding) == ("policy_loss", None)
    assert found.first.size == pytest.approx(1.1e-8, rel=0.1)


def test_a_term_that_the_subject_reports_is_taken_at_its_word() -> None:
    reference = trace({(4, 1, "value_loss"): f32(2), (4, 1, "gradient"): f32([1, 2])})
    subject = update(None, [1, 3], own=[f32(2)])  # the right number is there, but the subject reports another
    reference.reported[4, 1], subject.reported[4, 1] = [0.5, 2.0], [0.5, 1.0]

    found = compare(reference, subject).first

    assert found is not None
    assert (found.place.quantity, found.ratio) == ("value_loss", 0.5)


def test_an_empty_trace_is_like_another_one() -> None:
    assert compare(trace({}), trace({})) == Comparison(None, None, 0, {})
