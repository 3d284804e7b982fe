import numpy as np
import pytest
from scipy import stats

from harness.analysis.stats.resampling import bootstrap_counts, bootstrap_iqm, percentile_limits, weighted_iqm

NAN = np.nan


@pytest.mark.parametrize("n", range(1, 14))
def test_counting_rows_equals_copying_them_and_trimming(n):
    rng = np.random.default_rng(n)
    values = rng.normal(size=(n, 3))
    counts = bootstrap_counts(n, rng, 5)
    copied = [np.repeat(values, row.astype(int), axis=0) for row in counts]
    expected = [stats.trim_mean(rows, 0.25, axis=0) for rows in copied]
    np.testing.assert_allclose(weighted_iqm(values, counts), expected, rtol=1e-12)


def test_a_value_that_is_missing_at_one_time_counts_as_never_drawn_there():
    values = np.array([[1.0, 1.0], [2.0, NAN], [4.0, 4.0]])
    result = weighted_iqm(values, np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]]))
    np.testing.assert_allclose(result, [[7 / 3, 2.5], [2.0, NAN]])


def test_every_resample_draws_as_many_seeds_as_there_are():
    counts = bootstrap_counts(7, np.random.default_rng(0), 50)
    assert counts.shape == (50, 7)
    np.testing.assert_array_equal(counts.sum(axis=1), 7)


def test_one_draw_of_seeds_serves_all_times():
    constant_curves = np.repeat(np.arange(9.0)[:, None], 300, axis=1)
    resampled = bootstrap_iqm(constant_curves, np.random.default_rng(0), 2000)
    assert resampled.shape == (2000, 300)
    assert np.ptp(resampled, axis=1).max() < 1e-12


def test_the_limits_are_the_central_quantiles_and_leave_nan_out():
    column = np.arange(101.0)
    low, high = percentile_limits(np.column_stack([column, np.where(column < 51, column, NAN)]), 0.9)
    np.testing.assert_allclose(low, [5.0, 2.5])
    np.testing.assert_allclose(high, [95.0, 47.5])
