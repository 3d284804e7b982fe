import numpy as np
import pytest

from tests.studies.verdict_errors import (
    AT_THE_MARGIN,
    EQUAL_MEANS,
    outcomes,
    wrong_equivalence,
    wrong_equivalence_in_family,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", AT_THE_MARGIN)
@pytest.mark.parametrize("n_seeds", [5, 10, 30])
def test_equivalence_is_seldom_claimed_wrongly(name: str, n_seeds: int) -> None:
    ours, _ = wrong_equivalence(AT_THE_MARGIN[name], n_seeds, 1000, np.random.default_rng(n_seeds))
    assert ours <= 0.07  # Binomial(1000, 0.05) exceeds 70 in 0.2% of cases


@pytest.mark.parametrize("n_seeds", [5, 10, 30])
def test_a_family_of_nine_seldom_holds_a_wrong_equivalence(n_seeds: int) -> None:
    pair = AT_THE_MARGIN["normal, sd 0.02"]
    assert wrong_equivalence_in_family(pair, n_seeds, 300, np.random.default_rng(n_seeds)) <= 0.05


@pytest.mark.parametrize("name", ["normal, equal", "lognormal, equal"])
def test_equal_algorithms_are_seldom_told_apart(name: str) -> None:
    found = outcomes(EQUAL_MEANS[name], 10, 300, np.random.default_rng(0))
    assert found.get("better", 0) + found.get("worse", 0) <= 0.09  # Binomial(300, 0.05) exceeds 27 in 0.1% of cases
