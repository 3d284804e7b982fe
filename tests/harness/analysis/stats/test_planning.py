import math

import numpy as np
import pytest
from scipy import special
from scipy import stats as reference

from harness.analysis.stats import (
    SeedRange,
    detectable_difference,
    permutation_test,
    seeds_for_difference,
    seeds_needed,
)


def normal(mean, n, seed):
    return mean + np.random.default_rng(seed).standard_normal(n)


def test_many_seeds_narrow_the_range_around_the_planned_number():
    scores = [special.ndtri((np.arange(n) + 0.5) / n) for n in (10, 100, 1000)]  # normal, without the luck of a draw
    ranges = [seeds_needed(x + 1.0, x) for x in scores]
    widths = [math.log(high / low) for low, high in ranges]
    assert widths[0] > widths[1] > widths[2]
    # The difference of means takes 17 seeds, an interval of the probability of improvement a few more.
    assert 14 < ranges[-1].low < ranges[-1].high < 26


def test_equal_algorithms_get_no_finite_upper_limit():
    finite = [
        math.isfinite(seeds_needed(normal(0.0, 5, [1, seed]), normal(0.0, 5, [2, seed])).high) for seed in range(100)
    ]
    assert sum(finite) <= 20


def test_scores_that_do_not_vary_are_not_taken_for_certain():
    capped = seeds_needed([500.0] * 5, [400.0] * 5, bounds=(20.0, 500.0))
    assert capped.low == 4
    assert capped.high > 50


def test_equal_constants_need_many_seeds_or_no_number_shows_anything():
    assert seeds_needed([1.0, 1.0], [1.0, 1.0]) == SeedRange(math.inf, math.inf)
    assert seeds_needed([500.0] * 5, [500.0] * 5, bounds=(20.0, 500.0)).high == math.inf


def test_the_sides_are_exchangeable():
    x, y = normal(1.0, 400, 3), normal(0.0, 400, 4)
    assert seeds_needed(x, y).low == pytest.approx(seeds_needed(y, x).low, rel=0.1)


def test_a_single_seed_says_nothing_about_numbers_of_seeds():
    assert math.isnan(seeds_needed([1.0], [2.0, 3.0]).low)
    assert SeedRange(math.nan, math.nan).text == "unknown"


@pytest.mark.parametrize(
    ("seeds", "text"),
    [((12, 80), "12 to 80"), ((6, 6), "6"), ((15, math.inf), "at least 15"), ((math.inf, math.inf), "more than 1000")],
)
def test_ranges_in_words(seeds, text):
    assert SeedRange(*map(float, seeds)).text == text


@pytest.mark.parametrize("n", [5, 10, 30])
def test_the_detectable_difference_is_found_with_the_power_it_promises(n):
    difference = detectable_difference(2.0, n, n)
    rng = np.random.default_rng(n)
    x, y = rng.normal(difference, 2, (6000, n)), rng.normal(0, 2, (6000, n))
    assert np.mean(reference.ttest_ind(x, y, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.02)


def test_the_detectable_difference_inverts_the_planned_number_of_seeds():
    for difference in (0.5, 1.0, 2.0):
        n = int(seeds_for_difference(difference, 1.0))
        assert detectable_difference(1.0, n, n) <= difference < detectable_difference(1.0, n - 1, n - 1)


def test_nothing_can_be_shown_where_the_permutation_test_has_too_few_splits():
    assert detectable_difference(1.0, 3, 3) == math.inf
    assert detectable_difference(1.0, 6, 6, n_tests=96) == math.inf
    clearest = permutation_test(np.arange(6) + 100.0, np.arange(6) + 0.0, np.random.default_rng(0))
    assert clearest.p_value * 96 > 0.05
