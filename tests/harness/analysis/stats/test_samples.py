import numpy as np
import pytest

from harness.analysis.stats import present


def test_a_missing_run_is_dropped_and_counted():
    sample = present([1.0, np.nan, 3.0, np.nan])
    np.testing.assert_array_equal(sample.values, [1.0, 3.0])
    assert (sample.n, sample.n_missing) == (2, 2)


def test_no_runs_at_all_is_an_empty_sample():
    assert (present([]).n, present([]).n_missing) == (0, 0)


def test_an_infinite_score_is_an_error_and_not_a_missing_one():
    with pytest.raises(ValueError, match=r"^expected finite numbers or NaN, got an infinite one$"):
        present([1.0, np.inf])


def test_a_matrix_is_refused_so_that_episodes_are_not_mistaken_for_seeds():
    with pytest.raises(ValueError, match=r"^expected one number per seed \(1-D\), got an array of shape \(2, 3\)$"):
        present(np.zeros((2, 3)))
