from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.analysis.frames import Results
from harness.analysis.plots.run_curves import Curve, CurveGroup, count_seeds, on_grid, run_curves


def curve(timesteps: list[float], values: list[float], *, complete: bool = True) -> Curve:
    return Curve(0, complete, np.array(timesteps, float), np.array(values, float))


def test_curves_that_share_their_times_keep_them_and_their_values() -> None:
    grid, values = on_grid([curve([1, 3, 8], [1, 2, 3]), curve([1, 3, 8], [4, 5, 6])])

    assert grid.tolist() == [1, 3, 8]
    assert values.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_other_curves_are_interpolated_over_the_time_that_all_cover() -> None:
    grid, values = on_grid([curve([0, 10], [0, 20]), curve([2, 4, 12], [5, 5, 5])])

    assert (grid[0], grid[-1]) == (2, 10)
    assert values[0] == pytest.approx(2 * grid)
    assert values[1] == pytest.approx(np.full(grid.size, 5.0))


def test_curves_without_a_common_time_have_an_empty_grid() -> None:
    grid, values = on_grid([curve([0, 1], [0, 0]), curve([5, 6], [0, 0])])

    assert grid.size == 0
    assert values.shape == (2, 0)


def test_no_curves_have_an_empty_grid() -> None:
    assert on_grid([])[0].size == 0


def test_failed_runs_have_a_curve_but_do_not_count(results: Results) -> None:
    curves = run_curves(results, results.evaluations, "reward")

    assert [one.complete for one in curves["a2c", "LunarLander-v3"].curves] == [True, True, False, True, True]
    assert [one.seed for one in curves["a2c", "LunarLander-v3"].complete] == [0, 1, 3, 4]
    assert count_seeds(results, curves) == "4 to 5 seeds (1 failed or missing run not counted)"


def test_equal_numbers_of_seeds_are_one_number(results: Results) -> None:
    whole = replace(results, runs=results.runs[results.runs["status"] == "finished"])

    assert count_seeds(whole, {("a", "b"): CurveGroup((curve([1], [1]),) * 2)}) == "2 seeds"
    assert count_seeds(whole, {("a", "b"): CurveGroup((curve([1], [1]),))}) == "1 seed"
    assert count_seeds(whole, {}) == "0 seeds"


def test_points_that_a_transform_leaves_undefined_are_dropped(results: Results) -> None:
    one = results.episodes.query("algo == 'ppo' and env == 'CartPole-v1' and seed == 0")

    curves = run_curves(results, one, "reward", lambda x: np.concatenate([[np.nan, np.nan], x[2:]]))

    (only,) = curves["ppo", "CartPole-v1"].curves
    assert only.timesteps.tolist() == one["timestep"].tolist()[2:]
    assert only.values.tolist() == one["reward"].tolist()[2:]


def test_a_run_that_is_undefined_throughout_has_no_curve(results: Results) -> None:
    assert run_curves(results, results.episodes, "reward", lambda x: np.full(x.size, np.nan)) == {}
