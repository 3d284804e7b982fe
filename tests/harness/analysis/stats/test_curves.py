import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.stats import area_under_curve, interpolate_curve, iqm_curve, iqm_interval

NAN = math.nan


def random_walks(n=10, length=200):
    return np.random.default_rng(0).normal(size=(n, length)).cumsum(axis=1)


def test_a_curve_is_joined_by_straight_lines_and_not_held_beyond_its_ends():
    on_grid = interpolate_curve([10, 20, 40], [0.0, 10.0, 0.0], [0, 10, 15, 30, 40, 50])
    np.testing.assert_allclose(on_grid, [NAN, 0.0, 5.0, 5.0, 0.0, NAN])


def test_episodes_that_end_together_count_as_one_point_at_their_mean():
    np.testing.assert_allclose(interpolate_curve([0, 10, 10, 20], [0.0, 4.0, 8.0, 0.0], [5, 10, 15]), [3.0, 6.0, 3.0])


def test_a_missing_point_is_bridged_and_a_missing_run_is_nan():
    np.testing.assert_allclose(interpolate_curve([0, 10, 20], [0.0, NAN, 20.0], [10]), [10.0])
    np.testing.assert_array_equal(interpolate_curve([0, 10], [NAN, NAN], [5]), [NAN])
    np.testing.assert_array_equal(interpolate_curve([], [], [5]), [NAN])


@pytest.mark.parametrize(
    ("timesteps", "values", "message"),
    [
        ([0, 10, 5], [1, 2, 3], "the timesteps of a run must not decrease"),
        ([0, 10], [1, 2, 3], "expected timesteps and values of one run [T], got (2,) and (3,)"),
    ],
)
def test_a_curve_of_wrong_shape_or_order_is_refused(timesteps, values, message):
    for call in (lambda: interpolate_curve(timesteps, values, [1]), lambda: area_under_curve(timesteps, values)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            call()


def test_the_area_is_the_mean_height():
    assert area_under_curve([0, 10, 30], [0.0, 10.0, 10.0]) == pytest.approx((50 + 200) / 30)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.floats(-500, 500))
def test_the_area_under_a_constant_curve_is_the_constant(steps, height):
    timesteps = np.cumsum([0, *steps])
    assert area_under_curve(timesteps, np.full(timesteps.size, height)) == pytest.approx(height)


@given(st.integers(2, 30), st.integers(1, 10**6))
def test_the_area_does_not_depend_on_the_unit_of_time(length, unit):
    heights = np.random.default_rng(length).normal(size=length)
    in_steps = area_under_curve(np.arange(length) * unit, heights)
    assert in_steps == pytest.approx(area_under_curve(np.arange(length), heights), abs=1e-9)


def test_a_curve_of_one_time_has_no_area():
    assert math.isnan(area_under_curve([5, 5], [1.0, 2.0]))
    assert math.isnan(area_under_curve([], []))


def test_the_curve_of_interquartile_means_is_scipys_trimmed_mean_at_each_time():
    curves = random_walks(7)
    band = iqm_curve(curves, np.random.default_rng(0), n_resamples=50)
    np.testing.assert_allclose(band.estimate, stats.trim_mean(curves, 0.25, axis=0))
    assert (band.n, band.n_missing, band.confidence) == (7, 0, 0.95)


def test_the_band_agrees_with_a_plain_bootstrap_of_whole_rows():
    curves = random_walks(10, 40)
    band = iqm_curve(curves, np.random.default_rng(1), 0.8, n_resamples=5000)
    rng = np.random.default_rng(2)
    plain = [stats.trim_mean(curves[rng.integers(0, 10, 10)], 0.25, axis=0) for _ in range(5000)]
    low, high = np.quantile(plain, [0.1, 0.9], axis=0)
    tolerance = 0.1 * (high - low)
    assert (np.abs(band.low - low) < tolerance).all()
    assert (np.abs(band.high - high) < tolerance).all()


def test_the_band_of_curves_that_are_constant_in_time_is_the_interval_of_the_scores():
    scores = np.random.default_rng(3).normal(size=10)
    band = iqm_curve(np.repeat(scores[:, None], 100, axis=1), np.random.default_rng(4))
    interval = iqm_interval(scores, np.random.default_rng(4))
    np.testing.assert_allclose(band.low, interval.low)
    np.testing.assert_allclose(band.high, interval.high)


def test_a_missing_run_is_dropped_and_a_short_one_counts_until_it_ends():
    curves = np.array([[1.0, 1.0, NAN], [3.0, 3.0, NAN], [5.0, NAN, NAN], [NAN, NAN, NAN]])
    band = iqm_curve(curves, np.random.default_rng(0))
    assert (band.n, band.n_missing) == (3, 1)
    np.testing.assert_allclose(band.estimate, [3.0, 2.0, NAN])
    assert (band.low[:2] < band.estimate[:2]).all()
    np.testing.assert_allclose([band.low[1], band.high[1]], [1.0, 3.0])
    assert math.isnan(band.low[2])
    assert math.isnan(band.high[2])


@pytest.mark.parametrize("curves", [[[1.0, 2.0]], [[1.0, 2.0], [NAN, NAN]]])
def test_one_run_has_a_curve_and_no_band(curves):
    band = iqm_curve(curves, np.random.default_rng(0))
    np.testing.assert_array_equal(band.estimate, [1.0, 2.0])
    assert np.isnan([band.low, band.high]).all()


def test_no_runs_have_no_curve():
    band = iqm_curve(np.empty((0, 4)), np.random.default_rng(0))
    assert np.isnan([band.estimate, band.low, band.high]).all()
    assert (band.estimate.shape, band.n) == ((4,), 0)


def test_a_single_curve_without_the_axis_of_seeds_is_refused():
    with pytest.raises(ValueError, match=r"^expected one curve per seed \[n, T\], got an array of shape \(5,\)$"):
        iqm_curve(np.zeros(5), np.random.default_rng(0))
