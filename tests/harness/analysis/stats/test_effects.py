import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from harness.analysis.stats import brunner_munzel, cliffs_delta, hedges_g, mann_whitney, probability_of_improvement

SEEDS = st.lists(st.integers(-20, 20), min_size=2, max_size=8)
X = [5.1, 7.3, 6.2, 8.8, 9.1]
Y = [4.0, 5.5, 4.4, 6.1, 5.0, 3.2]


def test_hedges_g_is_cohens_d_times_its_small_sample_correction():
    # Summarised by hand: means 7.3 and 4.7, sums of squares 11.54 and 5.52, so s^2 = 17.06 / 9.
    d = 2.6 / math.sqrt(17.06 / 9)
    assert hedges_g(X, Y).estimate == pytest.approx(0.91387 * d, rel=1e-4)


def test_the_correction_makes_the_expected_g_the_true_effect():
    # E[d] = delta / J for normal scores, by integrating the noncentral t density: g = J d is unbiased.
    n, delta = 4, 1.3
    scale, nu = math.sqrt(2 / n), 2 * n - 2
    expected_d = integrate.quad(lambda t: scale * t * stats.nct.pdf(t, nu, delta / scale), -20, 80, limit=200)[0]
    correction = hedges_g(X[:n], Y[:n]).estimate / (
        (np.mean(X[:n]) - np.mean(Y[:n])) / math.sqrt((np.var(X[:n], ddof=1) + np.var(Y[:n], ddof=1)) / 2)
    )
    assert correction * expected_d == pytest.approx(delta, rel=1e-6)


def test_the_limits_of_g_put_the_observed_t_at_either_tail():
    interval = hedges_g(X, Y, 0.9)
    correction = interval.estimate / (2.6 / math.sqrt(17.06 / 9))
    scale, t = math.sqrt(1 / 5 + 1 / 6), stats.ttest_ind(X, Y).statistic
    assert stats.nct.sf(t, 9, interval.low / correction / scale) == pytest.approx(0.05, abs=1e-5)
    assert stats.nct.cdf(t, 9, interval.high / correction / scale) == pytest.approx(0.05, abs=1e-5)


def test_g_changes_its_sign_with_the_order():
    forth, back = hedges_g(X, Y), hedges_g(Y, X)
    assert (back.estimate, back.low, back.high) == pytest.approx((-forth.estimate, -forth.high, -forth.low), rel=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [([500.0] * 3, [500.0] * 4, 0.0), ([500.0] * 3, [200.0] * 3, math.inf), ([200.0] * 3, [500.0] * 3, -math.inf)],
)
def test_g_of_constants_is_zero_or_infinite(x, y, expected):
    interval = hedges_g(x, y)
    assert interval.estimate == expected
    assert np.isnan([interval.low, interval.high]).all()


@pytest.mark.parametrize(("x", "y"), [([], [1.0, 2.0, 3.0]), ([1.0], [2.0]), ([1.0], [math.nan, 2.0])])
def test_g_is_nan_with_too_few_seeds(x, y):
    assert math.isnan(hedges_g(x, y).estimate)


@given(SEEDS, SEEDS)
def test_the_probability_of_improvement_is_mann_whitneys_u_over_all_pairs(x, y):
    expected = stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
    assert probability_of_improvement(x, y).estimate == pytest.approx(expected, abs=1e-12)


def test_a_tie_counts_half():
    # Pairs 1-2 lost, 1-0 won, 2-2 tied, 2-0 won.
    assert probability_of_improvement([1, 2], [2, 0]).estimate == 2.5 / 4


@given(SEEDS, SEEDS)
def test_one_side_improves_as_often_as_the_other_does_not(x, y):
    forth, back = probability_of_improvement(x, y), probability_of_improvement(y, x)
    assert forth.estimate + back.estimate == pytest.approx(1.0)
    assert forth.low + back.high == pytest.approx(1.0)
    assert forth.high + back.low == pytest.approx(1.0)


@given(SEEDS, SEEDS)
def test_the_limits_solve_newcombes_equation_and_hold_the_estimate(x, y):
    interval = probability_of_improvement(x, y)
    n, m, z = len(x), len(y), stats.norm.ppf(0.975)
    assert 0.0 <= interval.low <= interval.estimate <= interval.high <= 1.0
    for theta in (interval.low, interval.high):
        # Hanley and McNeil: Q1 = theta / (2 - theta), Q2 = 2 theta^2 / (1 + theta), with both m - 1 and n - 1 averaged.
        q1, q2, extra = theta / (2 - theta), 2 * theta**2 / (1 + theta), (n + m) / 2 - 1
        variance = (theta * (1 - theta) + extra * (q1 - theta**2) + extra * (q2 - theta**2)) / (n * m)
        assert (interval.estimate - theta) ** 2 == pytest.approx(z**2 * variance, abs=1e-9)


def test_complete_separation_has_limits_that_are_not_a_point():
    interval = probability_of_improvement(np.arange(10) + 100, np.arange(10))
    assert (interval.estimate, interval.high) == (1.0, 1.0)
    assert 0.75 < interval.low < 0.85


def test_missing_runs_are_dropped_and_counted():
    interval = probability_of_improvement([1.0, math.nan, 3.0], [0.0, 2.0, math.nan])
    assert (interval.estimate, interval.n, interval.n_missing) == (0.75, 4, 2)


def test_an_interval_needs_two_seeds_on_each_side():
    interval = probability_of_improvement([1.0], [0.0, 2.0])
    assert interval.estimate == 0.5
    assert np.isnan([interval.low, interval.high]).all()
    assert math.isnan(probability_of_improvement([], [1.0]).estimate)


@pytest.mark.parametrize("shift", [0.0, 1.5, 2.5])
def test_newcombes_interval_covers_where_the_bootstrap_does_not(shift):
    rng = np.random.default_rng(4)
    truth = stats.norm.cdf(shift / math.sqrt(2))
    intervals = [probability_of_improvement(rng.normal(shift, 1, 10), rng.normal(0, 1, 10)) for _ in range(600)]
    coverage = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert coverage >= 0.92


def test_brunner_munzel_is_scipys():
    x, y = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6], [2.0, 7.0, 1.8, 2.8, math.nan]
    expected = stats.brunnermunzel(x, y[:-1]).pvalue
    assert brunner_munzel(x, y) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("x", "y", "p_value"),
    [
        ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], 0.1),  # separated: not 0, but the smallest that six seeds allow
        ([5.0] * 4, [5.0] * 3, 1.0),
        ([1.0], [2.0, 3.0], math.nan),
    ],
)
def test_brunner_munzel_claims_no_more_than_the_seeds_can_show(x, y, p_value):
    assert brunner_munzel(x, y) == pytest.approx(p_value, nan_ok=True)


@pytest.mark.parametrize(("x", "y"), [(X, Y), ([1.0, 2.0, 2.0, 5.0], [2.0, 3.0, 3.0])])
def test_mann_whitney_is_scipys_exact_without_ties(x, y):
    exact = len({*x, *y}) == len(x) + len(y)
    expected = stats.mannwhitneyu(x, y, method="exact" if exact else "asymptotic").pvalue
    assert mann_whitney(x, y) == expected
    if exact:  # a count over all orders of the pooled ranks
        ranks = stats.rankdata([*x, *y])
        centre = len(x) * (len(x) + len(y) + 1) / 2
        sums = [sum(ranks[list(c)]) for c in itertools.combinations(range(len(ranks)), len(x))]
        distance = abs(ranks[: len(x)].sum() - centre)
        assert expected == pytest.approx(np.mean([abs(s - centre) >= distance - 1e-9 for s in sums]))


def test_mann_whitney_of_equal_scores_is_one_and_of_none_nan():
    assert mann_whitney([3.0] * 4, [3.0] * 5) == 1.0
    assert math.isnan(mann_whitney([], X))


@given(SEEDS, SEEDS)
def test_cliffs_delta_counts_the_pairs_and_mirrors_improvement(x, y):
    delta, theta = cliffs_delta(x, y), probability_of_improvement(x, y)
    counted = np.mean([(a > b) - (a < b) for a in x for b in y])
    assert delta.estimate == pytest.approx(counted, abs=1e-12)
    assert (delta.low, delta.high) == (2 * theta.low - 1, 2 * theta.high - 1)
