import numpy as np
import pytest

from tests.studies.planning_errors import DESIGNS, PAIRS, containing, needed, ranges, wrong_sequential


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("name", PAIRS)
def test_the_range_contains_the_number_that_the_verdict_needs(name, n):
    rng = np.random.default_rng(n)
    found = ranges(PAIRS[name], n, 300, rng)
    assert containing(found, needed(PAIRS[name], 4000, rng)) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", DESIGNS)
def test_declared_looks_err_at_the_level(name):
    looks, spending = DESIGNS[name]
    assert wrong_sequential(looks, spending, 1, 1500, np.random.default_rng(0)) < 0.065  # 5% + 2.7 standard errors


@pytest.mark.slow
def test_undeclared_looks_err_twice_as_often():
    looks = next(iter(DESIGNS.values()))[0]
    assert wrong_sequential(looks, "obrien_fleming", 1, 600, np.random.default_rng(0), declared=False) > 0.08
