"""Aggregates over tasks against the published definitions, typed here as loops over materialised resamples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import (
    AGGREGATES,
    aggregate_difference,
    aggregate_intervals,
    aggregates,
    improvement_over_tasks,
    normalised,
    performance_profile,
    permutation_test,
    probability_of_improvement,
    resampled_aggregates,
    stratified_permutation_test,
)


def published(matrix: np.ndarray) -> list[float]:
    """Return the aggregates of runs x tasks by the definitions of Agarwal et al. 2021, section 4.3."""
    means = matrix.mean(axis=0)
    gap = 1.0 - float(np.minimum(matrix, 1.0).mean())
    return [float(scipy.stats.trim_mean(matrix, 0.25, axis=None)), float(np.median(means)), float(means.mean()), gap]


def scores(seed: int, n_runs: int, n_tasks: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0.3 * task, 1.0, n_runs).round(1) for task in range(n_tasks)]  # rounded, so that some tie


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 7))
@settings(deadline=None, max_examples=60)
def test_aggregates_follow_the_published_definitions(seed: int, n_runs: int, n_tasks: int) -> None:
    tasks = scores(seed, n_runs, n_tasks)

    assert list(aggregates(tasks).values()) == pytest.approx(published(np.column_stack(tasks)), abs=1e-12)


def test_unequal_numbers_of_runs_leave_every_task_its_weight() -> None:
    two, three = np.array([0.0, 1.0]), np.array([2.0, 4.0, 9.0])

    same_length = [np.repeat(two, 3), np.repeat(three, 2)]  # six runs of each

    assert list(aggregates([two, three]).values()) == pytest.approx(list(aggregates(same_length).values()))
    assert aggregates([two, three])["mean"] == pytest.approx((0.5 + 5.0) / 2)


@pytest.mark.parametrize("sizes", [(5, 5, 5), (3, 7, 4)])
def test_resamples_are_those_of_materialised_draws(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    tasks = [rng.normal(size=n) for n in sizes]

    resampled = resampled_aggregates(tasks, np.random.default_rng(5), 40)

    generator = np.random.default_rng(5)
    drawn = [task[generator.integers(0, task.size, (40, task.size), np.uint8)] for task in tasks]
    for place in range(40):
        expected = aggregates([one[place] for one in drawn])
        assert resampled[:, place] == pytest.approx([expected[name] for name in AGGREGATES], abs=1e-12)


def test_equal_generators_give_equal_resamples() -> None:
    tasks = scores(0, 6, 2)
    whole = resampled_aggregates(tasks, np.random.default_rng(1), 900)

    assert whole.shape == (4, 900)
    assert np.array_equal(whole, resampled_aggregates(tasks, np.random.default_rng(1), 900))


def test_seeds_are_resampled_within_each_task_only() -> None:
    constant = [np.full(5, 0.2), np.full(5, 0.8)]

    resampled = resampled_aggregates(constant, np.random.default_rng(0), 200)

    assert np.ptp(resampled, axis=1) == pytest.approx(0.0, abs=1e-15)
    intervals = aggregate_intervals(constant, np.random.default_rng(0))
    assert intervals["mean"].low == pytest.approx(intervals["mean"].high)


def test_the_interval_of_the_mean_has_the_width_of_the_normal_theory() -> None:
    tasks = scores(4, 40, 5)

    interval = aggregate_intervals(tasks, np.random.default_rng(0), n_resamples=20_000)["mean"]

    error = math.sqrt(sum(task.var(ddof=1) / task.size for task in tasks)) / len(tasks)
    assert interval.high - interval.low == pytest.approx(2 * scipy.stats.t.ppf(0.975, 195) * error, rel=0.03)


def test_a_single_run_of_a_task_has_no_limits() -> None:
    interval = aggregate_intervals([[0.1, 0.2], [0.5]], np.random.default_rng(0))["IQM"]

    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.estimate == pytest.approx(aggregates([[0.1, 0.2], [0.5]])["IQM"])


def test_missing_runs_are_dropped_and_counted() -> None:
    interval = aggregate_intervals([[0.1, math.nan, 0.2], [0.5, 0.6, 0.7]], np.random.default_rng(0))["mean"]

    assert interval.estimate == pytest.approx((0.15 + 0.6) / 2)
    assert (interval.n, interval.n_missing) == (5, 1)


@pytest.mark.parametrize("tasks", [[], [[0.1], []], [[math.nan]]])
def test_a_task_without_scores_is_refused(tasks: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least one task, each with at least one score"):
        aggregates(tasks)


def test_normalised_scores_are_0_for_random_actions_and_1_for_the_reference() -> None:
    assert normalised([-200.0, -100.0, 0.0, math.nan], -200.0, 0.0)[:3].tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="two finite reference scores that differ"):
        normalised([1.0], 2.0, 2.0)


def test_common_seeds_cancel_what_both_sides_share() -> None:
    rng = np.random.default_rng(0)
    luck = [rng.normal(size=12) for _ in range(3)]
    first, second = [task + 0.1 for task in luck], luck

    joint = aggregate_difference(first, second, 0, common_seeds=True)
    independent = aggregate_difference(first, second, 0)

    assert joint.low == pytest.approx(0.1)
    assert joint.high == pytest.approx(0.1)
    assert independent.low < 0.0 < independent.high
    with pytest.raises(ValueError, match="as many runs on both sides"):
        aggregate_difference([task[1:] for task in first], second, 0, common_seeds=True)


def test_the_profile_is_the_share_of_runs_above_each_threshold() -> None:
    tasks = [np.array([0.0, 0.5, 1.0, 1.5]), np.array([0.5, 0.5, 0.5, 2.0])]

    profile = performance_profile(tasks, [-1.0, 0.0, 0.5, 1.9, 2.0])

    assert profile.share == pytest.approx([1.0, 7 / 8, 3 / 8, 1 / 8, 0.0])
    half = math.sqrt(math.log(2 / 0.05) / (2 * 8))
    assert profile.low == pytest.approx(np.clip(profile.share - half, 0, 1))
    assert profile.high == pytest.approx(np.clip(profile.share + half, 0, 1))


def test_improvement_over_tasks_is_the_mean_of_mann_whitney() -> None:
    first, second = scores(1, 7, 4), scores(2, 5, 4)

    interval = improvement_over_tasks(first, second)

    counts = [
        float(scipy.stats.mannwhitneyu(x, y).statistic) / (x.size * y.size) for x, y in zip(first, second, strict=True)
    ]
    assert interval.estimate == pytest.approx(float(np.mean(counts)))
    one = probability_of_improvement(first[0], second[0])
    alone = improvement_over_tasks(first[:1], second[:1])
    assert (alone.low, alone.high) == pytest.approx((one.low, one.high))


def test_separated_scores_leave_the_improvement_an_interval() -> None:
    interval = improvement_over_tasks([[1.0, 2.0, 3.0]] * 2, [[-1.0, -2.0, -3.0]] * 2)

    assert interval.estimate == 1.0
    assert interval.low < 0.85
    assert interval.high == 1.0


def test_the_stratified_test_of_one_task_is_the_permutation_test() -> None:
    x, y = scores(5, 8, 1)[0], scores(6, 8, 1)[0] + 0.8

    stratified = stratified_permutation_test([x], [y])

    exact = permutation_test(x, y, np.random.default_rng(0))
    assert exact.exact
    error = math.sqrt(exact.p_value * (1 - exact.p_value) / stratified.n_splits)
    assert stratified.p_value == pytest.approx(exact.p_value, abs=4 * error + 1e-4)


def test_the_stratified_test_enumerated_by_hand_gives_its_p_value() -> None:
    first, second = [np.array([1.0, 2.0]), np.array([5.0, 7.0])], [np.array([0.5, 1.5]), np.array([2.0, 6.5])]

    def squared_t(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
        difference = sum(x.mean() - y.mean() for x, y in pairs)
        error = sum(x.var(ddof=1) / x.size + y.var(ddof=1) / y.size for x, y in pairs)
        return float(difference**2 / (difference**2 + error))

    splits = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    each = []
    for x, y in zip(first, second, strict=True):
        pooled = np.concatenate([x, y])
        each.append([(pooled[list(one)], np.delete(pooled, list(one))) for one in splits])
    observed = squared_t(list(zip(first, second, strict=True)))
    values = [squared_t([one, other]) for one in each[0] for other in each[1]]
    expected = float(np.mean(np.array(values) >= observed - 1e-12))

    test = stratified_permutation_test(first, second, n_resamples=100_000)

    assert test.p_value == pytest.approx(expected, abs=0.006)


def test_the_stratified_test_keeps_its_level_and_finds_differences() -> None:
    rng = np.random.default_rng(0)
    null = [
        stratified_permutation_test(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), n_resamples=999).p_value
        for _ in range(400)
    ]
    shifted = [
        stratified_permutation_test(rng.normal(1.5, 1, (3, 5)), rng.normal(size=(3, 5)), n_resamples=999).p_value
        for _ in range(50)
    ]
    assert np.mean(np.array(null) < 0.05) < 0.08
    assert np.mean(np.array(shifted) < 0.05) > 0.8


def test_equal_scores_have_p_1_and_single_runs_no_p() -> None:
    same = [np.full(4, 0.5)] * 2

    assert stratified_permutation_test(same, same).p_value == 1.0
    assert math.isnan(stratified_permutation_test([[1.0]], [[2.0, 3.0]]).p_value)
    with pytest.raises(ValueError, match="the same tasks on both sides"):
        stratified_permutation_test(same, same[:1])
