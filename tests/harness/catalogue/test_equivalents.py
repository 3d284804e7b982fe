from __future__ import annotations

import pytest

from harness.catalogue import CATALOGUE, Deviation
from harness.catalogue.deviant import DeviantA2C, DeviantPPO
from harness.catalogue.equivalents import EQUIVALENT
from tests.planted.subjects.training import CASES, trained, weights


@pytest.mark.parametrize("env", ["TightBounds", "ManySwitches"])
@pytest.mark.parametrize("equivalent", EQUIVALENT, ids=lambda equivalent: equivalent.id)
def test_an_equivalent_trains_to_the_same_bits(equivalent: Deviation, env: str) -> None:
    settings = CASES[env].settings
    plain, changed = (trained(DeviantPPO, env, deviations=given, **settings) for given in ((), equivalent))
    assert weights(changed) == weights(plain)


@pytest.mark.parametrize(
    "equivalent", [found for found in EQUIVALENT if "a2c" in found.algorithms], ids=lambda equivalent: equivalent.id
)
def test_an_equivalent_of_a2c_trains_to_the_same_bits(equivalent: Deviation) -> None:
    settings = {"n_steps": 8, "ent_coef": 0.01}
    plain, changed = (
        trained(DeviantA2C, "TightBounds", deviations=given, n_updates=8, **settings) for given in ((), equivalent)
    )
    assert weights(changed) == weights(plain)


def test_no_equivalent_is_in_the_catalogue() -> None:
    assert {found.id for found in EQUIVALENT}.isdisjoint(found.id for found in CATALOGUE)
