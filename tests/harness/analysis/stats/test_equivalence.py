import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.stats import (
    difference_interval,
    equivalence_test,
    seeds_for_bounded_equivalence,
    tost_welch,
)

X = [212.0, 305.5, 248.0, 290.0, 333.0]
Y = [260.0, 301.0, 244.0, 255.0]
SEEDS = st.lists(st.integers(-100, 100), min_size=2, max_size=8)


@pytest.mark.parametrize("margin", [5.0, 30.0, 80.0, 300.0])
def test_tost_is_the_larger_of_scipys_two_one_sided_tests(margin):
    shifted = [[value + sign * margin for value in X] for sign in (1, -1)]
    not_below = stats.ttest_ind(shifted[0], Y, equal_var=False, alternative="greater").pvalue
    not_above = stats.ttest_ind(shifted[1], Y, equal_var=False, alternative="less").pvalue
    result = tost_welch(X, [*Y, math.nan], margin)
    assert result.p_value == pytest.approx(max(not_below, not_above))
    assert (result.margin, result.n, result.n_missing) == (margin, 9, 1)
    assert result.difference == pytest.approx(277.7 - 265.0)


@given(SEEDS, SEEDS, st.integers(1, 200))
def test_tost_rejects_iff_the_90_percent_interval_is_inside_the_margin(x, y, margin):
    interval = difference_interval(x, y, 0.9)
    nearest = min(margin - interval.high, interval.low + margin)
    if abs(nearest) > 1e-9:
        assert (tost_welch(x, y, margin).p_value < 0.05) == (nearest > 0)


@pytest.mark.parametrize(("margin", "p_value"), [(31.0, 0.0), (30.0, 1.0), (29.0, 1.0)])
def test_constants_are_equivalent_inside_the_margin_and_not_on_it(margin, p_value):
    assert tost_welch([500.0] * 3, [470.0] * 3, margin).p_value == p_value


def test_one_seed_shows_no_equivalence():
    assert math.isnan(tost_welch([1.0], [1.0, 1.1], 5.0).p_value)


@pytest.mark.parametrize("margin", [0.0, -1.0, math.inf, math.nan])
def test_a_margin_that_is_not_positive_and_finite_is_refused(margin):
    with pytest.raises(ValueError, match=rf"^the equivalence margin must be positive and finite, got {margin}$"):
        tost_welch(X, Y, margin)


CAPPED = (22.0, 500.0)
MARGIN = 0.1 * (CAPPED[1] - CAPPED[0])


@pytest.mark.parametrize(("n_seeds", "shown"), [(5, False), (10, False), (27, False), (30, True)])
def test_equal_scores_at_the_cap_are_equivalent_from_29_seeds_on(n_seeds, shown):
    result = equivalence_test([500.0] * n_seeds, [500.0] * n_seeds, MARGIN, CAPPED)
    # A collapse of a tenth of the runs, which would be a difference as large as the margin, goes unseen with 0.9^n.
    assert result.p_value == pytest.approx(0.9**n_seeds, abs=0.011)
    assert (result.p_value < 0.05) == shown


def test_for_two_values_the_limit_is_clopper_and_pearsons():
    # y cannot vary, so that the test asks for the upper limit of the share of collapses in x.
    x, y = [1.0] * 57 + [0.0] * 3, [1.0] * 10_000
    margin = stats.binomtest(3, 60).proportion_ci(0.90, method="exact").high
    assert equivalence_test(x, y, margin, (0.0, 1.0)).p_unseen == pytest.approx(0.05, abs=0.006)


def test_the_test_has_no_direction():
    x, y = X, [*Y, math.nan]
    forth, back = equivalence_test(x, y, 200.0, (0.0, 500.0)), equivalence_test(y, x, 200.0, (0.0, 500.0))
    assert forth.difference == -back.difference
    assert forth.p_value == pytest.approx(back.p_value, abs=0.01)
    mirrored = equivalence_test([-value for value in X], [-value for value in Y], 200.0, (-500.0, 0.0))
    assert mirrored.p_value == pytest.approx(forth.p_value, abs=0.01)


def test_it_never_claims_more_than_tost():
    rng = np.random.default_rng(1)
    for n_seeds in (2, 5, 40):
        x, y = rng.normal(250.0, 60.0, (2, n_seeds))
        result = equivalence_test(x, y, 80.0, (0.0, 500.0))
        assert result.p_value == max(result.p_unseen, tost_welch(x, y, 80.0).p_value)


def test_scores_outside_the_bounds_widen_them():
    inside = equivalence_test([450.0] * 40, [460.0] * 40, 60.0, (400.0, 500.0))
    outside = equivalence_test([450.0] * 39 + [0.0], [460.0] * 40, 60.0, (400.0, 500.0))
    assert inside.p_unseen < 0.001 < outside.p_unseen


def test_equal_arguments_give_equal_p_values():
    assert equivalence_test(X, Y, 99.0, (0.0, 500.0)) == equivalence_test(X, Y, 99.0, (0.0, 500.0))


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_bounds_that_are_not_in_order_are_refused(bounds):
    with pytest.raises(ValueError, match=r"^expected bounds with low < high, got "):
        equivalence_test(X, Y, 1.0, bounds)


def test_the_seeds_for_equivalence_are_those_at_which_the_test_shows_it():
    needed = seeds_for_bounded_equivalence([500.0] * 5, [500.0] * 5, MARGIN, CAPPED)
    assert needed == pytest.approx(29, abs=1)
    assert seeds_for_bounded_equivalence([500.0] * 5, [400.0] * 5, MARGIN, CAPPED) == math.inf
    assert math.isnan(seeds_for_bounded_equivalence([500.0], [500.0, 499.0], MARGIN, CAPPED))
    # A margin of a ten-thousandth would take tens of thousands of seeds.
    assert seeds_for_bounded_equivalence([500.0] * 5, [500.0] * 5, 0.04, CAPPED) == math.inf
