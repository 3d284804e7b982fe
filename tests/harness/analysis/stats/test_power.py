import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.stats import seeds_for_difference, seeds_for_equivalence, seeds_text


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)])
def test_the_seeds_for_a_difference_are_those_of_cohens_tables(effect, seeds):
    # Cohen 1988, table 2.4.1: two-sided 5%, power 80%.
    assert seeds_for_difference(30 * effect, 30.0) == seeds
    assert seeds_for_difference(-30 * effect, 30.0) == seeds


def test_the_seeds_for_a_difference_have_the_power_they_promise():
    rng = np.random.default_rng(0)
    n = int(seeds_for_difference(1.2, 1.0))
    p_values = stats.ttest_ind(rng.normal(1.2, 1, (4000, n)), rng.normal(0, 1, (4000, n)), axis=1).pvalue
    assert 0.79 < np.mean(p_values < 0.05) < 0.86


@pytest.mark.parametrize("difference", [0.0, 0.3, -0.3])
def test_the_seeds_for_equivalence_have_the_power_they_promise_and_fewer_do_not(difference):
    rng = np.random.default_rng(0)

    def power(n):
        x, y = rng.normal(difference, 1, (6000, n)), rng.normal(0, 1, (6000, n))
        p_values = [
            stats.ttest_ind(x + shift, y, axis=1, alternative=side).pvalue
            for shift, side in ((1, "greater"), (-1, "less"))
        ]
        return np.mean(np.maximum(*p_values) < 0.05)

    n = int(seeds_for_equivalence(difference, 1.0, 1.0))
    assert power(n) > 0.785
    assert power(n - 3) < 0.8


def test_seeds_are_never_fewer_than_the_permutation_test_can_use():
    # 2 / C(8, 4) = 0.029 is the first that falls below 5%, 2 / C(12, 6) = 0.0022 the first below 0.5%.
    assert seeds_for_difference(1000.0, 1.0) == 4
    assert seeds_for_difference(1000.0, 0.0) == 4
    assert seeds_for_difference(1000.0, 1.0, alpha=0.005) == 6


def test_no_effect_makes_scipys_noncentral_t_cost_a_seed():
    fewer = [seeds_for_difference(effect, 1.0, alpha=0.005) for effect in np.linspace(5, 300, 600)]
    assert set(fewer) == {6.0}
    equivalent = [seeds_for_equivalence(0.0, 1.0, margin) for margin in np.linspace(5, 300, 600)]
    assert set(equivalent) == {2.0}


def test_more_than_a_thousand_seeds_are_not_counted():
    assert seeds_for_difference(0.01, 1.0) == math.inf
    assert seeds_for_difference(0.0, 1.0) == math.inf
    assert seeds_for_equivalence(0.0, 1.0, 0.01) == math.inf


def test_a_difference_outside_the_margin_is_never_shown_to_be_small():
    assert seeds_for_equivalence(2.0, 1.0, 2.0) == math.inf


def test_constants_inside_the_margin_need_only_two_seeds():
    assert seeds_for_equivalence(1.0, 0.0, 2.0) == 2


def test_nan_gives_an_unknown_number_of_seeds():
    assert math.isnan(seeds_for_difference(math.nan, 1.0))
    assert math.isnan(seeds_for_equivalence(0.0, math.nan, 1.0))


@pytest.mark.parametrize(("seeds", "text"), [(37.0, "37"), (math.inf, "> 1000"), (math.nan, "unknown")])
def test_seeds_are_put_in_words(seeds, text):
    assert seeds_text(seeds) == text
