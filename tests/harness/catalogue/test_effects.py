from __future__ import annotations

import pytest

from harness.catalogue import CATALOGUE, Deviation
from tests.harness.catalogue.deviant_cases import divergence

BEYOND_SIGHT = ("bootstrap_with_raw_observation",)
"""Deviations that need VecNormalize, which no environment of the cases has."""


@pytest.mark.parametrize("deviation", CATALOGUE, ids=lambda deviation: deviation.id)
def test_a_deviation_parts_from_sb3_and_first_at_its_stage(deviation: Deviation) -> None:
    if deviation.id in BEYOND_SIGHT:
        pytest.skip("needs VecNormalize")
    algorithm = deviation.algorithms[0]
    found = divergence(deviation, algorithm)
    assert deviation.stage in found
