import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.stats import Interval, difference_interval, iqm, iqm_interval, mean_interval, std_interval

SCORES = [212.0, 305.5, 148.0, 290.0, 333.0, 18.5, 275.0, 260.0, 301.0, 244.0]
finite = st.floats(-1e6, 1e6)


def limits(interval):
    return interval.low, interval.high


def test_the_mean_interval_agrees_with_scipys_t_test():
    interval = mean_interval(SCORES, 0.9)
    assert interval.estimate == pytest.approx(238.7)
    assert limits(interval) == pytest.approx(tuple(stats.ttest_1samp(SCORES, 0).confidence_interval(0.9)))
    assert (interval.n, interval.n_missing, interval.confidence, interval.method) == (10, 0, 0.9, "Student t")


def test_a_failed_run_changes_the_counts_and_not_the_estimate():
    with_gap, without = mean_interval([*SCORES, math.nan]), mean_interval(SCORES)
    assert (with_gap.n, with_gap.n_missing) == (10, 1)
    assert (with_gap.estimate, *limits(with_gap)) == (without.estimate, *limits(without))


@pytest.mark.parametrize(
    "interval_of",
    [mean_interval, lambda x: iqm_interval(x, np.random.default_rng(0)), std_interval],
    ids=["mean", "iqm", "std"],
)
def test_one_seed_has_no_limits_and_none_has_no_estimate(interval_of):
    assert np.isnan(limits(interval_of([3.0]))).all()
    empty = interval_of([math.nan, math.nan])
    assert np.isnan([empty.estimate, empty.low, empty.high]).all()
    assert (empty.n, empty.n_missing) == (0, 2)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan])
def test_a_confidence_in_percent_is_refused(confidence):
    with pytest.raises(ValueError, match=rf"^confidence must lie between 0 and 1, got {confidence}$"):
        mean_interval(SCORES, confidence)


@given(st.lists(finite, min_size=1, max_size=40))
def test_the_iqm_is_scipys_trimmed_mean(values):
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), rel=1e-9, abs=1e-6)


def test_the_iqm_of_ten_keeps_the_middle_six():
    assert iqm([100, 1, 2, 3, 4, 5, 6, 7, -100, 100]) == pytest.approx((2 + 3 + 4 + 5 + 6 + 7) / 6)


def test_the_iqm_of_nothing_is_nan():
    assert math.isnan(iqm([math.nan]))


def test_the_iqm_interval_agrees_with_scipys_bootstrap():
    ours = iqm_interval(SCORES, np.random.default_rng(1), 0.9, n_resamples=20_000)
    theirs = stats.bootstrap(
        (SCORES,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        confidence_level=0.9,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert limits(ours) == pytest.approx(tuple(theirs), abs=3.0)


def test_the_same_generator_state_gives_the_same_iqm_interval():
    once, again = (iqm_interval(SCORES, np.random.default_rng(5)) for _ in range(2))
    assert once == again


def test_the_std_interval_matches_bonetts_formula_by_hand():
    # 1, 2, 3, 4, 10: mean 4, s^2 = 50/4, median 3, sum of fourth powers about the median 16+1+0+1+2401 = 2419.
    kurtosis = 5 * 2419 / 50**2
    z = stats.norm.ppf(0.975)
    c = 5 / (5 - z)
    error = c * math.sqrt((kurtosis - 2 / 5) / 4)
    expected = [math.sqrt(math.exp(math.log(c * 12.5) + sign * z * error)) for sign in (-1, 1)]
    interval = std_interval([1, 2, 3, 4, 10])
    assert interval.estimate == pytest.approx(math.sqrt(12.5))
    assert limits(interval) == pytest.approx(expected)


@pytest.mark.parametrize("n", [6, 8, 10, 30])
def test_the_kurtosis_is_taken_about_scipys_trimmed_mean(n):
    x = np.random.default_rng(n).exponential(size=n)
    centre = stats.trim_mean(x, 1 / (2 * math.sqrt(n - 4)))
    kurtosis = n * np.sum((x - centre) ** 4) / np.sum((x - x.mean()) ** 2) ** 2
    interval = std_interval(x)
    z = stats.norm.ppf(0.975)
    half = z * n / (n - z) * math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    assert math.log(interval.high / interval.low) == pytest.approx(half)


@given(st.lists(st.integers(-50, 50), min_size=5, max_size=12), st.integers(-1000, 1000), st.integers(1, 1000))
def test_the_std_interval_scales_with_the_unit_and_ignores_the_origin(values, shift, factor):
    plain = std_interval(values)
    moved = std_interval([factor * value + shift for value in values])
    expected = [factor * number for number in (plain.estimate, plain.low, plain.high)]
    assert [moved.estimate, moved.low, moved.high] == pytest.approx(expected, rel=1e-6)


def test_four_seeds_have_a_standard_deviation_without_limits():
    interval = std_interval([1.0, 2.0, 3.0, 4.0])
    assert interval.estimate == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    assert np.isnan(limits(interval)).all()


def test_seeds_that_agree_have_no_spread_whatever_their_rounding():
    interval = std_interval([0.1] * 10)
    assert (interval.estimate, interval.low, interval.high) == (0.0, 0.0, 0.0)
    assert limits(mean_interval([0.1] * 10)) == pytest.approx((0.1, 0.1))


def test_the_difference_interval_agrees_with_scipys_welch_test():
    other = [100.0, 180.0, 130.0, 150.0]
    expected = stats.ttest_ind(SCORES, other, equal_var=False).confidence_interval(0.95)
    interval = difference_interval(SCORES, [*other, math.nan])
    assert limits(interval) == pytest.approx(tuple(expected))
    assert interval.estimate == pytest.approx(238.7 - 140.0)
    assert (interval.n, interval.n_missing) == (14, 1)


def test_the_difference_of_two_constants_is_certain():
    assert limits(difference_interval([500.0, 500.0], [200.0, 200.0])) == (300.0, 300.0)


def test_the_difference_needs_two_seeds_on_each_side_for_limits():
    interval = difference_interval([1.0, 2.0], [5.0])
    assert interval.estimate == -3.5
    assert np.isnan(limits(interval)).all()


def test_tiny_spreads_do_not_underflow_the_degrees_of_freedom():
    tiny = np.array([0.0, 1.0, 3.0]) * 1e-90
    scaled = difference_interval(tiny, -tiny)
    plain = difference_interval([0.0, 1.0, 3.0], [0.0, -1.0, -3.0])
    assert scaled.high * 1e90 == pytest.approx(plain.high)


def test_limits_exclude_what_lies_outside_and_nothing_when_there_are_none():
    interval = Interval(0.5, 0.4, 0.6, 0.95, 10, 0, "")
    assert [interval.excludes(value) for value in (0.39, 0.4, 0.5, 0.6, 0.61)] == [True, False, False, False, True]
    assert not Interval(0.5, math.nan, math.nan, 0.95, 1, 0, "").excludes(7.0)
