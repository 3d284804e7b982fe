import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.stats import paired_g, paired_test, seed_correlation

X = [5.1, 7.3, 6.2, 8.8, 9.1, 4.4, 6.9]
Y = [4.0, 7.5, 4.4, 6.1, 8.0, 3.2, 6.6]


def rng():
    return np.random.default_rng(0)


def test_the_correlation_of_seeds_is_pearsons():
    assert seed_correlation(X, Y) == pytest.approx(stats.pearsonr(X, Y).statistic)
    assert seed_correlation([*X, math.nan, 1.0], [*Y, 1.0, math.nan]) == pytest.approx(stats.pearsonr(X, Y).statistic)


def test_the_paired_test_tries_every_pattern_of_signs():
    expected = stats.permutation_test(
        (np.array(X), np.array(Y)), lambda x, y: (x - y).mean(), permutation_type="samples", n_resamples=np.inf
    )
    assert paired_test(X, Y, rng()) == pytest.approx(expected.pvalue)


def test_five_pairs_never_get_below_two_in_thirty_two():
    assert paired_test([1, 2, 3, 4, 5], [-1, -2, -3, -4, -5], rng()) == 2 / 32


def test_many_pairs_are_drawn_and_agree_with_the_t_test():
    generator = rng()
    x, y = generator.normal(0.4, 1.0, 40), generator.normal(0.0, 1.0, 40)
    assert paired_test(x, y, rng()) == pytest.approx(stats.ttest_rel(x, y).pvalue, abs=0.02)


def test_paired_g_is_the_t_statistic_without_root_n_and_bias():
    correction = math.gamma(3.0) / math.gamma(2.5) / math.sqrt(3.0)
    assert paired_g(X, Y) == pytest.approx(correction * stats.ttest_rel(X, Y).statistic / math.sqrt(7))


@pytest.mark.parametrize(
    ("x", "y", "p", "g"),
    [([1, 2, 3], [1, 2, 3], 1.0, 0.0), ([2, 3, 4], [1, 2, 3], 0.25, math.inf), ([1, 2, 3], [2, 3, 4], 0.25, -math.inf)],
)
def test_constant_differences_have_an_answer(x, y, p, g):
    assert (paired_test(x, y, rng()), paired_g(x, y)) == (p, g)


def test_too_few_common_seeds_are_nan():
    assert math.isnan(paired_test([], [], rng()))
    assert math.isnan(paired_g([1, 2], [2, 3]))
    assert math.isnan(seed_correlation([1, 1, 1], [1, 2, 3]))


def test_scores_of_unlike_seeds_are_refused():
    with pytest.raises(ValueError, match="expected the scores of the same seeds"):
        paired_test([1, 2], [1, 2, 3], rng())
