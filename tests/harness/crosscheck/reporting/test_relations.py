from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.crosscheck.comparing.divergence import Divergence, array_difference
from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.reporting.relations import relation_in_words
from tests.harness.crosscheck.traces import f32, trace


def relation(quantity: str, reference: Any, subject: Any) -> str:
    arrays = [None if one is None else np.asarray(one) for one in (reference, subject)]
    divergence = array_difference(Place(4, 1, ORDER[quantity]), *arrays)
    assert divergence is not None
    return relation_in_words(divergence, trace({}), None)


@pytest.mark.parametrize(
    ("quantity", "reference", "subject", "words"),
    [
        ("loss", f32(1), f32(-1), "the sign is reversed"),
        ("loss", f32(2), f32(1), "0.5 times the reference's"),
        ("value", f32([2, 4]), f32([1, 2]), "0.5 times the reference's, wherever it differs"),
        ("value", f32([2, 4]), f32([0, 0]), "zero instead"),
        ("value", f32([2, 4, 7]), f32([3, 5, 7]), "+1, wherever it differs"),
        ("value", f32([2, 4, 7]), f32([7, 2, 4]), "the same values in another order"),
        ("value", f32([2, 4]), f32([2, np.nan]), "not finite"),
        (
            "value",
            f32([2, 4]),
            f32([2, 4.00001]),
            "within rounding: the same operations in another order can explain it",
        ),
        ("value", f32([2, 4, 8]), f32([3, 3, 8]), "relative difference up to 0.12"),
        ("value", f32([2, 4]), f32([2, 4, 6]), "3 elements instead of 2"),
        ("value", f32([2, 4]), None, "the reference has a value here, the subject has none"),
        ("value", None, f32([2, 4]), "the subject has a value here, the reference has none"),
        (
            "acting_randomness",
            np.zeros((2, 16), np.uint8),
            np.eye(2, 16, dtype=np.uint8),
            "another number of random draws from torch and NumPy",
        ),
    ],
)
def test_the_two_sides_are_related_in_words(quantity: str, reference: Any, subject: Any, words: str) -> None:
    assert relation(quantity, reference, subject) == words


def test_an_exception_of_the_subject_is_quoted() -> None:
    error = Divergence(Place(4, 5, ORDER["final_randomness"]), "error", None, None, np.inf)

    assert relation_in_words(error, trace({}), "ValueError: no") == "the subject raised ValueError: no"
