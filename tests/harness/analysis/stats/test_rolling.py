import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.stats import last_window, rolling_mean, rolling_variance

RETURNS = st.lists(st.floats(-1000, 1000), max_size=30)


@given(RETURNS, st.integers(1, 8))
def test_the_rolling_mean_is_pandas_one(returns, window):
    expected = pd.Series(returns, dtype=float).rolling(window).mean()
    np.testing.assert_allclose(rolling_mean(returns, window), expected, rtol=1e-9, atol=1e-9)


@given(RETURNS, st.integers(2, 8))
def test_the_rolling_variance_is_that_of_each_window(returns, window):
    expected = [
        np.var(returns[end - window : end], ddof=1) if end >= window else math.nan for end in range(1, len(returns) + 1)
    ]
    np.testing.assert_allclose(rolling_variance(returns, window), expected, rtol=1e-9, atol=1e-9)


def test_windows_that_are_not_full_are_nan():
    np.testing.assert_array_equal(rolling_mean([1, 2, 3, 7], 3), [math.nan, math.nan, 2, 4])
    np.testing.assert_array_equal(rolling_variance([1, 2, 3, 7], 3), [math.nan, math.nan, 1, 7])
    np.testing.assert_array_equal(rolling_mean([1, 2], 3), [math.nan, math.nan])


def test_a_quiet_stretch_after_a_wild_one_has_a_variance_of_exactly_zero():
    wild_then_quiet = np.concatenate([[1e12, -1e12], np.full(50, 0.1)])
    np.testing.assert_array_equal(rolling_variance(wild_then_quiet, 10)[11:], 0.0)
    np.testing.assert_array_equal(rolling_mean(wild_then_quiet, 10)[11:], 0.1)


def test_the_last_window_is_summarised_by_mean_and_standard_deviation():
    mean, std = last_window([100.0, 1.0, 2.0, 3.0], 3)
    assert (mean, std) == (2.0, 1.0)


def test_a_short_run_is_summarised_whole():
    assert last_window([1.0, 2.0, math.nan, 3.0], 100) == (2.0, 1.0)
    assert last_window([4.0], 100).mean == 4.0
    assert math.isnan(last_window([4.0], 100).std)
    assert np.isnan(last_window([], 100)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rolling_mean([1.0], 0), "the window must hold at least 1 numbers, got 0"),
        (lambda: rolling_variance([1.0], 1), "the window must hold at least 2 numbers, got 1"),
        (lambda: last_window([1.0], 0), "a window holds at least 1 number, got 0"),
        (lambda: rolling_mean([[1.0]], 1), "expected the numbers of one run (1-D), got an array of shape (1, 1)"),
    ],
)
def test_windows_without_enough_numbers_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
