import numpy as np
import pytest

from tests.studies.sweep_errors import (
    BEST_FIRST,
    NO_INTERACTION,
    NO_MAIN_EFFECT,
    best_kept,
    interaction_found,
    main_effect_found,
)

pytestmark = pytest.mark.slow

EXACT = [name for name in NO_MAIN_EFFECT if not name.startswith("equal means")]
EQUAL_SPREADS = [name for name in NO_INTERACTION if "spread" not in name]


@pytest.mark.parametrize("name", EXACT)
def test_a_factor_that_changes_nothing_is_seldom_called_a_cause(name: str) -> None:
    rate = main_effect_found(NO_MAIN_EFFECT[name], 10, 300, np.random.default_rng(0))
    assert rate <= 0.09  # Binomial(300, 0.05) exceeds 27 in 0.1% of cases


@pytest.mark.parametrize("name", EQUAL_SPREADS)
def test_factors_that_add_up_seldom_interact(name: str) -> None:
    assert interaction_found(NO_INTERACTION[name], 10, 300, np.random.default_rng(0))[0] <= 0.09


@pytest.mark.parametrize("name", BEST_FIRST)
@pytest.mark.parametrize("k", [9, 30])
def test_the_best_combination_is_nearly_always_a_candidate(name: str, k: int) -> None:
    assert best_kept(BEST_FIRST[name], 10, k, 300, np.random.default_rng(0))[0] >= 0.9
