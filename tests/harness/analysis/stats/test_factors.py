import itertools

import numpy as np
import pytest

from harness.analysis import stats


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_factor_of_two_levels_is_the_paired_permutation_test() -> None:
    scores = np.random.default_rng(1).normal(size=(7, 2)) + np.array([0.0, 1.0])
    differences = scores[:, 1] - scores[:, 0]
    signs = np.array(list(itertools.product([-1, 1], repeat=7)))

    expected = (np.abs((signs * differences).mean(axis=1)) >= abs(differences.mean()) - 1e-12).mean()

    assert stats.main_effect(scores, rng()).p_value == pytest.approx(expected)


def test_a_clear_effect_names_its_levels_and_size() -> None:
    scores = 0.1 * np.random.default_rng(2).normal(size=(6, 3)) + np.array([5.0, 0.0, 2.0])

    test = stats.main_effect(scores, rng())

    assert test.p_value < 0.001
    assert (test.high, test.low) == ((0,), (1,))
    assert test.difference.low < 5.0 < test.difference.high


def test_equal_scores_have_no_effect_whatever_their_rounding() -> None:
    assert stats.main_effect(np.full((5, 3), 0.1), rng()).p_value == 1.0
    assert stats.interaction(np.full((5, 3, 4), 0.1), rng(), n_resamples=99).p_value == 1.0


def test_differences_between_seeds_change_no_p_value() -> None:
    scores = np.random.default_rng(3).normal(size=(6, 3, 3))
    shifted = scores + 100 * np.arange(6)[:, None, None]

    assert stats.main_effect(scores[:, :, 0], rng()).p_value == stats.main_effect(shifted[:, :, 0], rng()).p_value
    first, second = (stats.interaction(x, rng(), n_resamples=999).p_value for x in (scores, shifted))
    assert first == pytest.approx(second, abs=0.002)


def test_effects_that_add_up_are_no_interaction_and_a_saddle_is() -> None:
    noise = np.random.default_rng(4).normal(size=(8, 2, 2))
    added = noise + 10 * np.array([[0, 1], [2, 3]])
    saddle = noise + 10 * np.array([[1, 0], [0, 1]])

    assert stats.interaction(added, rng(), n_resamples=999).p_value > 0.05
    assert stats.interaction(saddle, rng(), n_resamples=999).p_value < 0.01


def test_one_seed_has_no_test() -> None:
    assert np.isnan(stats.main_effect(np.array([[1.0, 2.0]]), rng()).p_value)
    assert np.isnan(stats.interaction(np.ones((1, 2, 2)), rng()).p_value)


def test_too_few_seeds_are_told_by_the_smallest_p() -> None:
    assert stats.main_effect(np.array([[0.0, 1.0]] * 5), rng()).smallest_p == 1 / 16


def test_scores_of_another_shape_or_with_holes_are_refused() -> None:
    with pytest.raises(ValueError, match="finite scores in 2 dimensions"):
        stats.main_effect(np.array([[1.0, np.nan]]), rng())
    with pytest.raises(ValueError, match="in 3 dimensions"):
        stats.interaction(np.ones((2, 2)), rng())


def test_a_missing_score_becomes_the_mean_of_the_other_seeds() -> None:
    filled, n_missing = stats.fill_missing(np.array([[1.0, 2.0], [3.0, np.nan], [np.nan, np.nan]]))

    assert filled.tolist() == [[1.0, 2.0], [3.0, 2.0]]
    assert n_missing == 1


def test_seeds_needed_grow_with_the_noise_and_are_infinite_without_effect() -> None:
    noise = np.random.default_rng(5).normal(size=(10, 3))
    small, large = (stats.main_effect(scale * noise + [0.0, 0.5, 1.0], rng()) for scale in (0.3, 1.0))

    assert stats.seeds_for_effect(small) < stats.seeds_for_effect(large)
    flat = stats.main_effect(noise - noise.mean(axis=0), rng())
    assert stats.seeds_for_effect(flat) == np.inf
