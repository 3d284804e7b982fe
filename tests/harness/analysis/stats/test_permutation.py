import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.stats import holm, permutation_test, smallest_p

SEEDS = st.lists(st.integers(-300, 300), min_size=1, max_size=5)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def p_of(x, y):
    return permutation_test(x, y, np.random.default_rng(0)).p_value


def squared_t(x, y):
    """Return Welch's squared statistic in exact fractions, the squared difference with one seed on a side."""
    squared = (sum(x) / len(x) - sum(y) / len(y)) ** 2
    if min(len(x), len(y)) == 1:
        return squared
    error = sum(sum((v - sum(side) / len(side)) ** 2 for v in side) / (len(side) * (len(side) - 1)) for side in (x, y))
    return squared / error if error else math.inf if squared else 0


def p_by_definition(x, y):
    """Return the p-value over every split, in exact fractions."""
    pooled = [Fraction(value) for value in (*x, *y)]
    everyone = range(len(pooled))
    statistics = [
        squared_t([pooled[i] for i in chosen], [pooled[i] for i in everyone if i not in chosen])
        for chosen in itertools.combinations(everyone, len(x))
    ]
    return sum(statistic >= statistics[0] for statistic in statistics) / len(statistics)


@given(SEEDS, SEEDS)
def test_the_exact_p_counts_the_splits_as_rational_arithmetic_does(x, y):
    assert p_of(x, y) == p_by_definition(x, y)


@given(SEEDS, SEEDS)
def test_ties_that_floating_point_breaks_still_count(x, y):
    # Tenths are not binary fractions: sums that are equal on paper differ in the last bit.
    tenths = [value / 10 for value in x], [value / 10 for value in y]
    assert p_of(*tenths) == p_by_definition(x, y)


@given(
    st.integers(2, 5).flatmap(
        lambda n: st.lists(st.lists(st.integers(-300, 300), min_size=n, max_size=n), min_size=2, max_size=2)
    )
)
def test_with_as_many_seeds_on_each_side_it_is_the_test_of_the_plain_difference(samples):
    pooled = np.concatenate(samples)
    n = len(samples[0])
    sums = [pooled[list(chosen)].sum() for chosen in itertools.combinations(range(2 * n), n)]
    distances = [abs(2 * int(chosen) - int(pooled.sum())) for chosen in sums]
    assert p_of(*samples) == np.mean([distance >= distances[0] for distance in distances])


@pytest.mark.parametrize(("n", "m"), [(8, 8), (9, 4), (4, 9)])
def test_the_exact_p_is_scipys_permutation_test_of_welchs_t(n, m):
    rng = np.random.default_rng(3)
    x, y = rng.normal(0.8, 1, n), rng.normal(0, 2, m)
    theirs = stats.permutation_test(
        (x, y),
        lambda x, y, axis: np.abs(stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic),
        vectorized=True,
        n_resamples=20_000,
        alternative="greater",
    )
    result = permutation_test(x, y, rng)
    assert result.p_value == pytest.approx(theirs.pvalue, abs=1e-12)
    assert result.difference == pytest.approx(x.mean() - y.mean())


def test_ten_against_ten_seeds_are_enumerated():
    rng = np.random.default_rng(3)
    result = permutation_test(rng.normal(size=10), rng.normal(size=10), rng)
    assert (result.n_splits, result.exact) == (184_756, True)
    assert result.method == "exact permutation test, all 184,756 splits"


@given(SEEDS, SEEDS, st.integers(-(10**6), 10**6), st.integers(1, 1000))
def test_p_does_not_depend_on_the_unit_or_origin_of_the_return(x, y, shift, factor):
    moved = [[factor * value / 8 + shift for value in side] for side in (x, y)]
    assert p_of(*moved) == p_of(x, y)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
@pytest.mark.parametrize("x", [[3.1, 4.7, 5.0, 6.2], [3.1]])
def test_very_small_and_very_large_returns_are_compared_as_finely(x, unit):
    y = [1.3, 2.9, 3.0]
    assert p_of([unit * value for value in x], [unit * value for value in y]) == p_of(x, y) < 1.0


@given(SEEDS, SEEDS)
def test_p_is_the_same_for_either_order(x, y):
    assert p_of(x, y) == p_of(y, x)


@given(SEEDS)
def test_identical_samples_have_p_one(x):
    assert p_of(x, x) == 1.0


@pytest.mark.parametrize(("n", "m"), [(3, 3), (4, 4), (5, 5), (3, 5), (5, 3), (1, 2)])
def test_complete_separation_reaches_the_smallest_p_there_is(n, m):
    # Distances that grow, so that no other split ties with the observed one but its mirror image.
    high = [1000.0 + 2.0**k for k in range(n)]
    low = [-(2.0**k) for k in range(m)]
    assert p_of(high, low) == pytest.approx(smallest_p(n, m))


def test_no_data_of_equal_size_beats_the_smallest_p():
    rng = np.random.default_rng(0)
    assert min(p_of(rng.normal(5, 1, 3), rng.normal(0, 1, 3)) for _ in range(50)) == smallest_p(3, 3) == 0.1


def test_missing_runs_are_dropped_and_counted():
    result = permutation_test([1.0, math.nan, 2.0], [3.0, math.nan, 4.0], np.random.default_rng(0))
    assert (result.n_x, result.n_y, result.n_missing, result.n_splits) == (2, 2, 2, 6)
    assert result.p_value == pytest.approx(2 / 6)


def test_an_empty_side_has_no_p():
    result = permutation_test([], [1.0], np.random.default_rng(0))
    assert math.isnan(result.p_value)
    assert math.isnan(result.difference)


def test_many_seeds_are_resampled_and_the_result_says_so():
    rng = np.random.default_rng(8)
    x, y = rng.normal(0.5, 1, 30), rng.normal(0, 1, 25)
    result = permutation_test(x, y, rng, n_resamples=20_000)
    assert (result.exact, result.n_splits) == (False, 20_000)
    assert result.method == "Monte Carlo permutation test, 20,000 random splits"
    # At these sizes the permutation p is close to that of the t distribution.
    assert result.p_value == pytest.approx(stats.ttest_ind(x, y, equal_var=False).pvalue, abs=0.02)


def test_a_monte_carlo_p_is_never_zero():
    far = permutation_test(np.arange(30) + 1000.0, np.arange(30.0), np.random.default_rng(0), n_resamples=999)
    assert far.p_value == 1 / 1000


def test_the_generator_is_untouched_by_an_exact_test():
    rng = np.random.default_rng(0)
    permutation_test([1.0, 2.0], [3.0, 4.0], rng)
    assert rng.random() == np.random.default_rng(0).random()


def test_equal_algorithms_are_called_different_no_more_often_than_promised():
    rng = np.random.default_rng(12)
    rejected = sum(p_of(*np.exp(rng.normal(size=(2, 6)))) < 0.05 for _ in range(1000))
    # Exactly valid: at most Binomial(1000, 0.05), whose 99.9% quantile is 73; and not so strict as to be useless.
    assert 25 <= rejected <= 73


def test_failed_runs_on_the_noisier_side_do_not_pass_for_a_difference():
    rng = np.random.default_rng(5)
    rejected = np.mean([p_of(rng.normal(0, 1, 10), rng.normal(0, 3, 5)) < 0.05 for _ in range(300)])
    # The test of the plain difference rejects in 17% of such experiments.
    assert rejected < 0.12


def test_holm_adjusts_a_textbook_example():
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, made monotone.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
def test_holm_is_the_closed_test_with_bonferroni_in_every_subset(p_values):
    k = len(p_values)
    subsets = [s for r in range(1, k + 1) for s in itertools.combinations(range(k), r)]
    bonferroni = {s: min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets}
    closed = [max(bonferroni[s] for s in subsets if i in s) for i in range(k)]
    np.testing.assert_allclose(holm(p_values), closed)


@given(P_VALUES)
def test_holm_keeps_the_order_and_never_lowers_a_p(p_values):
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values)).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


def test_a_test_that_was_not_made_stays_nan_and_does_not_count():
    np.testing.assert_allclose(holm([0.02, math.nan, 0.03]), [0.04, math.nan, 0.04])
    assert np.isnan(holm([math.nan])).all()
    assert holm([]).size == 0


def test_holm_refuses_what_is_not_a_probability():
    with pytest.raises(ValueError, match=r"^p-values lie between 0 and 1$"):
        holm([0.5, 1.5])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kind", ["normal", "tied", "capped", "constant"])
def test_counting_balanced_splits_agrees_with_trying_every_one(n, kind):
    rng = np.random.default_rng([n, len(kind)])
    for _ in range(10):
        scores = {
            "normal": rng.normal(size=2 * n),
            "tied": rng.integers(0, 4, 2 * n).astype(float),
            "capped": np.where(rng.random(2 * n) < 0.2, 60.0, 500.0),
            "constant": np.zeros(2 * n),
        }[kind]
        splits = list(itertools.combinations(range(2 * n), n))
        distances = np.array([abs(2 * scores[list(split)].sum() - scores.sum()) for split in splits])
        expected = (distances >= distances[0] - 1e-9 * np.ptp(scores)).mean()
        assert permutation_test(scores[:n], scores[n:], rng).p_value == expected
