import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.stats import (
    Interval,
    coverage_for_data,
    difference_interval,
    interval_coverage,
    iqm_interval,
    mean_interval,
)


def bootstrap_of_the_mean(rng):
    def interval(x):
        means = x[rng.integers(0, x.size, (500, x.size))].mean(axis=1)
        return Interval(x.mean(), *np.quantile(means, [0.025, 0.975]), 0.95, x.size, 0, "")

    return interval


def fixed(low, high):
    return lambda x: Interval(0.0, low, high, 0.95, len(x), 0, "")


def five_normals(rng):
    return (rng.normal(size=5),)


def test_the_t_interval_reaches_95_percent_and_the_bootstrap_does_not():
    # At n = 5 normal scores: t 95%, percentile bootstrap of the mean about 83%.
    rng = np.random.default_rng(0)
    student = interval_coverage(mean_interval, five_normals, 0.0, rng, n_trials=2000)
    bootstrap = interval_coverage(bootstrap_of_the_mean(rng), five_normals, 0.0, rng, n_trials=2000)
    assert student.rate == pytest.approx(0.95, abs=0.015)
    assert bootstrap.rate == pytest.approx(0.83, abs=0.025)


def test_the_bootstrap_of_the_iqm_is_optimistic_at_five_seeds():
    rng = np.random.default_rng(0)
    result = interval_coverage(lambda x: iqm_interval(x, rng, n_resamples=500), five_normals, 0.0, rng, n_trials=1000)
    assert 0.82 < result.rate < 0.93


def test_the_rate_comes_with_wilsons_limits_of_the_simulation():
    rng = np.random.default_rng(0)
    result = interval_coverage(fixed(-1.0, 1.0), lambda rng: (rng.normal(size=3),), 0.5, rng, n_trials=40)
    expected = stats.binomtest(40, 40).proportion_ci(method="wilson")
    assert (result.rate, result.n_trials, result.n_undefined) == (1.0, 40, 0)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))


def test_an_interval_without_limits_does_not_cover():
    rng = np.random.default_rng(0)
    result = interval_coverage(fixed(math.nan, math.nan), five_normals, 0.0, rng, n_trials=10)
    assert (result.rate, result.n_undefined) == (0.0, 10)


def test_data_that_look_normal_are_covered_as_normal_data_are():
    scores = stats.norm.ppf((np.arange(10) + 0.5) / 10) * 30 + 200
    result = coverage_for_data([[*scores, math.nan]], mean_interval, np.mean, np.random.default_rng(0), n_trials=1500)
    assert result.rate == pytest.approx(0.95, abs=0.02)


def test_two_samples_are_drawn_apart_and_keep_their_sizes():
    sizes = set()

    def spy(x, y):
        sizes.add((len(x), len(y)))
        return difference_interval(x, y)

    samples = [[1.0, 2.0, 4.0, 8.0], [3.0, 3.5, 5.0]]
    result = coverage_for_data(samples, spy, lambda x, y: x.mean() - y.mean(), np.random.default_rng(0), n_trials=300)
    assert sizes == {(4, 3)}
    assert 0.88 < result.rate <= 1.0


def test_the_smoothed_population_keeps_the_mean_and_spread_of_the_data():
    seen = {}

    def statistic(x):
        seen.update(mean=x.mean(), std=x.std())
        return float(x.mean())

    scores = np.array([10.0, 10.5, 12.0, 30.0])
    coverage_for_data([scores], mean_interval, statistic, np.random.default_rng(0), n_trials=1)
    assert seen == pytest.approx({"mean": scores.mean(), "std": scores.std()}, rel=0.01)


def test_constant_data_are_covered_by_their_constant():
    result = coverage_for_data([[500.0] * 5], mean_interval, np.mean, np.random.default_rng(0), n_trials=20)
    assert result.rate == 1.0


def test_experiments_that_cannot_be_simulated_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"^every sample needs at least one number$"):
        coverage_for_data([[math.nan]], mean_interval, np.mean, rng)
    with pytest.raises(ValueError, match=r"^at least 1 trial is needed, got 0$"):
        interval_coverage(mean_interval, five_normals, 0.0, rng, n_trials=0)
