import numpy as np
import pytest

from harness.analysis.stats import best_candidates, landscape


def test_a_column_far_below_another_is_no_candidate() -> None:
    scores = np.random.default_rng(0).normal(size=(10, 3)) + np.array([0.0, 0.1, -9.0])

    assert best_candidates(scores).tolist() == [True, True, False]


def test_two_seeds_without_spread_exclude_nothing() -> None:
    assert best_candidates(np.array([[500.0, 499.0]] * 2)).all()
    assert best_candidates(np.array([[500.0, 499.0]] * 10)).tolist() == [True, False]


def test_one_seed_makes_every_column_a_candidate_but_an_empty_one() -> None:
    assert best_candidates(np.array([[1.0, 2.0, np.nan]])).tolist() == [True, True, False]


def test_columns_of_unequal_length_are_compared() -> None:
    scores = np.random.default_rng(1).normal(size=(8, 2)) + np.array([0.0, -9.0])
    scores[5:, 1] = np.nan

    assert best_candidates(scores).tolist() == [True, False]


def test_scores_in_one_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match=r"columns \[S, k\]"):
        best_candidates(np.ones(3))


def test_a_landscape_has_the_shape_of_the_levels_and_counts_seeds() -> None:
    scores = np.random.default_rng(2).normal(size=(4, 2, 3))
    scores[0, 1, 2] = np.nan

    land = landscape(scores, bounds=(-10.0, 0.5))

    assert land.mean.shape == (2, 3)
    assert land.n_seeds.tolist() == [[4, 4, 4], [4, 4, 3]]
    assert land.high.max() <= 0.5
    assert not land.constant.any()


def test_a_landscape_without_any_seed_is_empty() -> None:
    land = landscape(np.empty((0, 2, 3)))

    assert np.isnan(land.mean).all()
    assert not land.n_seeds.any()
    assert not land.candidates.any()
