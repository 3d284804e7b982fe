import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.stats import (
    dispersion_across_runs,
    dispersion_across_time,
    drawdown,
    long_term_risk,
    max_drawdown,
    relative_drawdown,
    risk_across_runs,
    roughness,
    short_term_risk,
)

CURVES = st.lists(st.integers(-100, 100), min_size=3, max_size=30)
PER_RUN = [dispersion_across_time, short_term_risk, long_term_risk, max_drawdown]


def test_drawdown_is_the_fall_below_the_best_so_far():
    np.testing.assert_array_equal(drawdown([1, 5, 2, 4, 7, 6]), [0, 0, 3, 1, 0, 1])


def test_a_gap_in_the_curve_does_not_hide_an_earlier_peak():
    np.testing.assert_array_equal(drawdown([5.0, math.nan, 2.0]), [0.0, math.nan, 3.0])


@given(CURVES)
def test_the_deepest_fall_is_the_largest_over_all_ordered_pairs(curve):
    expected = max(curve[i] - curve[j] for i in range(len(curve)) for j in range(i, len(curve)))
    assert max_drawdown(curve) == expected


def test_the_relative_drawdown_is_a_share_of_the_range_of_the_curve():
    assert relative_drawdown([0, 10, 5, 20]) == pytest.approx(5 / 20)
    assert relative_drawdown([0, 1, 2]) == 0
    assert relative_drawdown([3, 1]) == 1


def test_roughness_counts_every_rise_and_fall_of_the_way():
    assert roughness([0, 4, 2, 6]) == pytest.approx((4 + 2 + 4) / 6)
    assert roughness([0, 1, 5]) == 1
    assert roughness([5, 1, 0]) == 1


@given(CURVES, st.integers(1, 50), st.integers(-50, 50))
def test_relative_drawdown_and_roughness_have_no_unit(curve, scale, shift):
    if len(set(curve)) == 1:
        assert math.isnan(relative_drawdown(curve))
        assert math.isnan(roughness(curve))
        return
    moved = [scale * value + shift for value in curve]
    assert relative_drawdown(moved) == pytest.approx(relative_drawdown(curve))
    assert roughness(moved) == pytest.approx(roughness(curve))
    assert 0 <= relative_drawdown(curve) <= 1 <= roughness(curve) + 1e-12


def test_short_term_risk_is_the_mean_of_the_worst_changes():
    # Changes 1 .. 9 and a fall of 20: the worst 20% of the ten are -20 and 1.
    curve = np.cumsum([0, 1, 2, 3, 4, -20, 5, 6, 7, 8, 9])
    assert short_term_risk(curve, alpha=0.2) == pytest.approx((-20 + 1) / 2)
    assert short_term_risk(curve) == -20


def test_long_term_risk_sees_a_slow_decline_that_short_term_risk_does_not():
    slow, sudden = np.linspace(100, 0, 101), np.array([100.0] * 100 + [0.0])
    assert short_term_risk(slow) == pytest.approx(-1.0)
    assert short_term_risk(sudden) == pytest.approx(-100 / 5)
    assert long_term_risk(slow) == pytest.approx(np.mean(np.arange(95, 101)))
    assert long_term_risk(sudden) == pytest.approx(100 / 6)


def test_long_term_risk_is_the_mean_of_the_largest_drawdowns():
    # Drawdowns 0 3 1 0 6: the largest 40% of the five are 3 and 6.
    assert long_term_risk([5, 2, 4, 8, 2], alpha=0.4) == pytest.approx((3 + 6) / 2)


@given(st.lists(st.integers(-10_000, 10_000), min_size=2, max_size=60, unique=True), st.floats(0.01, 0.99))
def test_risk_is_the_conditional_mean_below_the_quantile_when_no_values_tie(values, alpha):
    below = [value for value in values if value <= np.quantile(values, alpha, method="inverted_cdf")]
    assert risk_across_runs(np.array(values)[:, None], alpha)[0] == pytest.approx(np.mean(below))


def test_a_collapse_is_not_diluted_by_the_flat_stretch_before_it():
    # Most changes are 0, as is their 5% quantile: averaging all changes at or below it would report -10 / 3.
    flat_then_collapsed = [500.0] * 60 + [300.0]
    assert short_term_risk(flat_then_collapsed) == pytest.approx(-200 / 3)


def test_a_share_that_is_a_whole_number_of_values_is_not_rounded_up():
    # In floating point 0.07 * 100 is a little more than 7.
    assert risk_across_runs(np.arange(100.0)[:, None], alpha=0.07)[0] == 3.0


def test_dispersion_across_time_is_scipys_iqr_of_the_changes():
    curve = np.random.default_rng(0).normal(size=30)
    assert dispersion_across_time(curve) == pytest.approx(stats.iqr(np.diff(curve)))
    in_windows = [stats.iqr(np.diff(curve)[start : start + 5]) for start in range(25)]
    assert dispersion_across_time(curve, window=5) == pytest.approx(np.mean(in_windows))
    assert dispersion_across_time(curve, window=1000) == dispersion_across_time(curve)


@given(CURVES, st.integers(-50, 50))
def test_learning_faster_at_a_steady_pace_is_not_less_stable(curve, slope):
    tilted = np.array(curve) + slope * np.arange(len(curve))
    assert dispersion_across_time(tilted) == pytest.approx(dispersion_across_time(curve))


@given(CURVES, st.integers(-1000, 1000), st.integers(1, 50))
def test_measures_are_in_units_of_return_and_do_not_depend_on_its_origin(curve, shift, factor):
    moved = [factor * value + shift for value in curve]
    for measure in PER_RUN:
        assert measure(moved) == pytest.approx(factor * measure(curve))


@pytest.mark.parametrize("measure", PER_RUN)
def test_a_run_that_never_moves_is_perfectly_stable(measure):
    assert measure([7.0] * 20) == 0.0


@pytest.mark.parametrize("measure", PER_RUN)
def test_a_run_without_points_has_no_stability(measure):
    assert math.isnan(measure([]))
    assert math.isnan(measure([math.nan, math.nan]))


def test_across_runs_the_spread_and_the_worst_are_taken_at_each_time():
    curves = np.array([[1.0, 10.0, math.nan], [2.0, 10.0, math.nan], [3.0, 10.0, 5.0], [6.0, math.nan, math.nan]])
    np.testing.assert_allclose(dispersion_across_runs(curves), [3.75 - 1.75, 0.0, math.nan])
    np.testing.assert_allclose(risk_across_runs(curves), [1.0, 10.0, 5.0])
    np.testing.assert_allclose(risk_across_runs(curves, alpha=0.5)[0], 1.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dispersion_across_time([1, 2, 3], window=1), "a window holds at least 2 changes, got 1"),
        (lambda: short_term_risk([1, 2, 3], alpha=5), "alpha must lie between 0 and 1, got 5"),
        (lambda: risk_across_runs([[1.0]], alpha=0), "alpha must lie between 0 and 1, got 0"),
    ],
)
def test_windows_and_shares_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
