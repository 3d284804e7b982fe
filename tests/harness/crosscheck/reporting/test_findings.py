from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.crosscheck.comparing.divergence import Divergence, array_difference
from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.reporting.findings import Finding, finding
from harness.crosscheck.tracing.trace import Trace
from tests.harness.crosscheck.traces import f32, trace


def found(
    quantity: str,
    theirs: Any,
    ours: Any,
    place: tuple[int, int] = (4, 1),
    reference: Trace | None = None,
    per_epoch: int | None = 3,
) -> Finding:
    arrays = [None if one is None else np.asarray(one) for one in (theirs, ours)]
    divergence = array_difference(Place(*place, ORDER[quantity]), *arrays)
    assert divergence is not None
    return finding(divergence, reference or trace({}), per_epoch, None)


@pytest.mark.parametrize(
    ("place", "per_epoch", "where"),
    [
        ((0, 0), 3, "before the first step"),
        ((1, 0), 3, "iteration 1, step 1 of the rollout"),
        ((4, 0), 3, "iteration 1, step 4 of the rollout"),
        ((5, 0), 3, "iteration 2, step 1 of the rollout"),
        ((4, 1), 3, "iteration 1, epoch 1, minibatch 1"),
        ((4, 3), 3, "iteration 1, epoch 1, minibatch 3"),
        ((8, 4), 3, "iteration 2, epoch 2, minibatch 1"),
        ((4, 1), None, "iteration 1, minibatch 1"),
    ],
)
def test_a_place_is_given_as_iteration_epoch_and_minibatch(
    place: tuple[int, int], per_epoch: int | None, where: str
) -> None:
    assert found("loss", f32(1), f32(2), place, per_epoch=per_epoch).where == where


def test_an_element_of_the_weights_is_called_by_its_name() -> None:
    reference = trace({}, parameters=(("net.weight", (2, 3)), ("net.bias", (2,)), ("scale", ())))
    theirs = np.arange(9, dtype=np.float32)

    def element(index: int) -> str:
        ours = theirs.copy()
        ours[index] += 1
        return found("parameters", theirs, ours, reference=reference).element

    assert [element(4), element(7), element(8)] == ["net.weight[1, 1]", "net.bias[1]", "scale[]"]


@pytest.mark.parametrize(
    ("quantity", "place", "shape", "index", "element"),
    [
        ("advantage", (4, 0), (4, 2), (2, 1), "step 3 of 4, environment 1"),
        ("action", (1, 0), (2, 3), (1, 2), "environment 1, component 2"),
        ("value", (1, 0), (2,), (1,), "environment 1"),
        ("surrogate", (4, 1), (5,), (3,), "element [3]"),
        ("loss", (4, 1), (), (), ""),
    ],
)
def test_an_element_is_called_by_step_environment_or_index(
    quantity: str, place: tuple[int, int], shape: tuple[int, ...], index: tuple[int, ...], element: str
) -> None:
    theirs = np.ones(shape, np.float32)
    ours = theirs.copy()
    ours[index] = 2

    assert found(quantity, theirs, ours, place).element == element


def test_the_state_of_random_generators_has_no_elements() -> None:
    states = np.zeros((2, 16), np.uint8), np.eye(2, 16, dtype=np.uint8)

    assert found("acting_randomness", *states, place=(1, 0)).element == ""


def test_numbers_are_shown_from_the_first_that_differs_on() -> None:
    one = found("surrogate", f32([1, 2, 3, 4, 5, 6]), f32([1, 7, 3, 4, 5, 6]))

    assert (one.subject, one.reference) == ("7, 3, 4, 5, ...", "2, 3, 4, 5, ...")
    assert (one.n_different, one.n_elements) == (1, 6)


def test_numbers_that_no_operation_computes_are_called_not_found() -> None:
    place = Place(4, 1, ORDER["surrogate"])

    one = finding(Divergence(place, "value", None, f32([1, 2]), 0.5), trace({}), 3, None)

    assert one.subject == "not found among the results of the subject's operations"


@pytest.mark.parametrize(
    ("kind", "subject", "reference", "where"),
    [
        ("extra", "training ends", "training goes on", "iteration 1, epoch 2, minibatch 1"),
        ("missing", "training goes on", "training ends", "iteration 1, epoch 2, minibatch 1"),
        ("error", "training ends", "training goes on", "iteration 1, epoch 2, minibatch 2"),
    ],
)
def test_training_that_ends_too_early_or_too_late_is_called_so(
    kind: Any, subject: str, reference: str, where: str
) -> None:
    divergence = Divergence(Place(4, 5, ORDER["final_randomness"]), kind, None, None, np.inf)

    one = finding(divergence, trace({}), 3, "ValueError: no")

    assert (one.quantity, one.subject, one.reference, one.where) == ("end of training", subject, reference, where)
    assert one.relation == ("the subject raised ValueError: no" if kind == "error" else "")


def test_a_size_that_is_infinite_is_none() -> None:
    assert found("action", [1, 2], [1, 3]).size is None
    assert found("value", f32([2, 4]), f32([2, 8])).size == pytest.approx(1.0)
