import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.stats import difference_interval, tost_welch

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
