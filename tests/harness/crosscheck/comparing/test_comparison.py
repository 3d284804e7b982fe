from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.crosscheck.comparing.comparison import Comparison, compare
from harness.crosscheck.tracing.trace import Trace
from tests.harness.crosscheck.traces import f32, trace

ROLLOUT: dict[tuple[int, int, str], Any] = {
    (1, 0, "action"): [0, 1],
    (1, 0, "value"): f32([0.5, 1.5]),
    (2, 0, "action"): [1, 1],
    (2, 0, "value"): f32([0.25, 2.5]),
}


def first(reference: Trace, subject: Trace) -> tuple[str, int, int] | None:
    found = compare(reference, subject).first
    return None if found is None else (found.place.quantity, found.place.step, found.place.minibatch)


def test_equal_traces_are_identical() -> None:
    found = compare(trace(ROLLOUT), trace(ROLLOUT))

    assert (found.first, found.first_beyond_rounding, found.n_compared) == (None, None, 4)
    assert found.largest == {(1, 0): 0.0}


def test_the_first_divergence_in_time_is_found() -> None:
    other = trace({**ROLLOUT, (2, 0, "value"): f32([9, 9]), (2, 0, "action"): [0, 0], (1, 0, "value"): f32([0.5, 1.6])})

    assert first(trace(ROLLOUT), other) == ("value", 1, 0)


def test_rounding_is_told_from_larger_differences() -> None:
    near = f32([0.5, np.nextafter(np.float32(1.5), np.float32(2))])
    found = compare(trace(ROLLOUT), trace({**ROLLOUT, (1, 0, "value"): near, (2, 0, "value"): f32([0.25, 2.6])}))

    assert found.first is not None
    assert found.first_beyond_rounding is not None
    assert (found.first.place.step, found.first_beyond_rounding.place.step) == (1, 2)
    assert not found.first.beyond_rounding
    assert found.largest[1, 0] == pytest.approx(0.04, rel=1e-3)


def test_another_choice_has_infinite_size() -> None:
    found = compare(trace(ROLLOUT), trace({**ROLLOUT, (2, 0, "action"): [1, 0]}))

    assert found.first == found.first_beyond_rounding
    assert found.largest == {(1, 0): np.inf}


def test_a_quantity_never_recorded_of_a_subject_is_not_missing() -> None:
    hidden = {place: array for place, array in ROLLOUT.items() if place[2] != "value"}

    assert first(trace(ROLLOUT), trace(hidden)) is None


def test_a_quantity_recorded_elsewhere_is_missing_here() -> None:
    assert first(trace(ROLLOUT), trace({k: v for k, v in ROLLOUT.items() if k != (2, 0, "value")})) == ("value", 2, 0)


def test_a_subject_that_makes_no_step_at_all_lacks_the_first() -> None:
    reference, subject = trace({(1, 0, "env_action"): [0, 1], (4, 1, "parameters"): f32([1])}), trace({})

    assert first(reference, subject) == ("env_action", 1, 0)
    stepping = trace({(1, 0, "env_action"): [0, 1]})
    assert first(reference, stepping) is None  # its weights were not found
    assert first(reference, replace(stepping, optimizer="Adam()")) == ("parameters", 4, 1)


def test_an_additional_array_is_a_divergence() -> None:
    found = compare(trace(ROLLOUT), trace({**ROLLOUT, (3, 0, "action"): [0, 0]}))

    assert found.first is not None
    assert (found.first.kind, found.first.place.step) == ("extra", 3)


def test_training_that_does_not_end_at_the_same_place_is_a_divergence() -> None:
    reference = trace({**ROLLOUT, (2, 1, "final_randomness"): np.zeros((2, 16), np.uint8)})

    assert first(reference, trace(ROLLOUT)) == ("final_randomness", 2, 1)


def test_an_error_counts_before_what_is_missing_after_it() -> None:
    subject = trace({place: array for place, array in ROLLOUT.items() if place[0] == 1}, error="ValueError: no")

    found = compare(trace(ROLLOUT), subject)

    assert found.first == found.first_beyond_rounding
    assert found.first is not None
    assert (found.first.kind, found.first.place.step) == ("error", 1)


def test_an_error_does_not_hide_a_divergence_before_it() -> None:
    subject = trace({**ROLLOUT, (1, 0, "value"): f32([0, 0])}, error="ValueError: no")

    assert first(trace(ROLLOUT), subject) == ("value", 1, 0)


def test_empty_traces_are_identical() -> None:
    assert compare(trace({}), trace({})) == Comparison(None, None, 0, {})
