from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis.frames import load_results
from harness.analysis.tables import METRICS, run_metrics
from harness.config import StatisticsConfig
from tests.results_factory import failed, make_record, make_spec, write_run

STATISTICS = StatisticsConfig(smoothing_window=3, last_episodes=4)
REWARDS = [1.0, 5.0, 3.0, 9.0, 2.0, 8.0, 8.0, 4.0]
UPDATES = [
    {"time/total_timesteps": 500, "update/kl": 0.1, "update/ratio_q01": 0.9, "update/ratio_q99": 1.2},
    {"time/total_timesteps": 900, "train/value_loss": 1.0},
    {"time/total_timesteps": 1000, "update/kl": 0.5, "update/ratio_q01": 0.8, "update/ratio_q99": 1.3},
    {"time/total_timesteps": 1000, "update/kl": 0.2, "update/ratio_q01": 0.5, "update/ratio_q99": 2.5},
]


def measured(folder: Path, statistics: StatisticsConfig = STATISTICS) -> pd.Series:
    return run_metrics(load_results(folder), statistics).iloc[0]


@pytest.fixture
def run(tmp_path: Path) -> pd.Series:
    """Measure a run with eight episodes of ten steps, two evaluations and three updates."""
    write_run(
        tmp_path,
        make_record(make_spec(), [4.0, 8.0]),
        episodes=[[(reward, 10) for reward in REWARDS]],
        evaluations={40: [1.0, 3.0], 80: [5.0, 7.0]},
        progress=UPDATES,
    )
    return measured(tmp_path)


def test_the_score_is_the_mean_of_the_final_evaluation(run: pd.Series) -> None:
    assert run["score"] == 6.0


def test_the_last_episodes_are_averaged_with_their_sample_spread(run: pd.Series) -> None:
    assert run["last_mean"] == np.mean([2.0, 8.0, 8.0, 4.0])
    assert run["last_std"] == pytest.approx(np.std([2.0, 8.0, 8.0, 4.0], ddof=1))


def test_the_rolling_variance_is_the_median_over_the_windows(run: pd.Series) -> None:
    windows = [REWARDS[i : i + 3] for i in range(len(REWARDS) - 2)]

    assert run["rolling_variance"] == pytest.approx(np.median([np.var(window, ddof=1) for window in windows]))


def test_the_max_drawdown_is_that_of_the_smoothed_curve(run: pd.Series) -> None:
    means = [sum(REWARDS[i : i + 3]) / 3 for i in range(len(REWARDS) - 2)]  # 3, 17/3, 14/3, 19/3, 6, 20/3

    assert max(means[:2]) - means[2] == pytest.approx(run["max_drawdown"], rel=0.1)


def test_the_area_is_the_mean_of_the_evaluations_over_the_training(run: pd.Series) -> None:
    # A trapezium between returns of 2 and 6.
    assert run["auc"] == pytest.approx(4.0)


def test_updates_logged_at_the_same_timestep_are_still_two(run: pd.Series) -> None:
    assert run["update_kl"] == pytest.approx(0.2)  # of 0.1, 0.5, 0.2
    assert run["largest_kl"] == pytest.approx(0.5)
    assert run["ratio_spread"] == pytest.approx(0.5)  # of 0.3, 0.5, 2.0


def test_a_metric_that_a_run_did_not_log_is_nan(tmp_path: Path) -> None:
    write_run(tmp_path, make_record(make_spec()))

    run = measured(tmp_path)

    assert run["score"] == 2.0
    measured_names = [metric.name for metric in METRICS if metric.better and not np.isnan(run[metric.name])]
    assert measured_names == ["score", "score_std", "seed_deviation"]


def test_fewer_episodes_than_the_window_have_no_curve(tmp_path: Path) -> None:
    write_run(tmp_path, make_record(make_spec()), episodes=[[(1.0, 10), (2.0, 10), (3.0, 10)]])

    run = measured(tmp_path)

    assert run["last_mean"] == 2.0
    assert np.isnan([run["rolling_variance"], run["fluctuation"], run["deepest_fall"], run["max_drawdown"]]).all()


def test_half_a_training_is_not_measured(tmp_path: Path) -> None:
    write_run(tmp_path, failed(make_record(make_spec())), episodes=[[(1.0, 10)] * 9], evaluations={40: [1.0]})

    run = measured(tmp_path)

    assert run["status"] == "failed"
    assert np.isnan([run[metric.name] for metric in METRICS if metric.better]).all()


def test_runs_keep_their_order_and_their_identity(tmp_path: Path) -> None:
    for seed, reward in ((2, 5.0), (0, 3.0)):
        write_run(tmp_path, make_record(make_spec(seed=seed), [reward]), episodes=[[(reward, 10)] * 5])

    table = run_metrics(load_results(tmp_path), STATISTICS)

    assert table[["seed", "score", "last_mean"]].to_numpy().tolist() == [[0, 3.0, 3.0], [2, 5.0, 5.0]]
