from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.analysis.frames import Results
from harness.analysis.plots import raw_rewards, return_variability, smoothed_rewards
from harness.analysis.plots.style import looks
from tests.harness.analysis.plots.artists import band_limits, legend_labels, lines, panel, texts, ydata


def episodes_of(results: Results, algo: str, env: str, seed: int) -> pd.DataFrame:
    table = results.episodes
    return table[(table["algo"] == algo) & (table["env"] == env) & (table["seed"] == seed)]


def test_every_episode_is_a_point_in_the_row_of_its_algorithm(results: Results) -> None:
    figure = raw_rewards(results)

    for row, algo in enumerate(results.algos):
        for seed in range(5):
            (points,) = lines(panel(figure, "CartPole-v1", row), f"seed {seed}")
            expected = episodes_of(results, algo, "CartPole-v1", seed)
            assert np.array_equal(points.get_xdata(), expected["timestep"])
            assert np.array_equal(points.get_ydata(), expected["reward"])
            assert points.get_rasterized()


def test_the_raw_figure_shows_where_a_run_failed(results: Results) -> None:
    figure = raw_rewards(results)

    (cross,) = lines(panel(figure, "LunarLander-v3", row=2), "failed")
    last = episodes_of(results, "a2c", "LunarLander-v3", 2).iloc[-1]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (last["timestep"], last["reward"])
    assert "failed run" in legend_labels(figure)
    assert "30 runs" in texts(figure)


def test_a_seed_line_is_the_rolling_mean_of_its_episodes(results: Results) -> None:
    figure = smoothed_rewards(results, window=7)

    ours = looks(results.algos)["custom_ppo"].color
    (line,) = lines(panel(figure, "CartPole-v1"), "seed 3", ours)
    rewards = episodes_of(results, "custom_ppo", "CartPole-v1", 3)["reward"]
    assert ydata(line) == pytest.approx(rewards.rolling(7).mean().dropna().to_numpy())


def test_the_bold_line_is_the_mean_of_the_complete_seed_lines(results: Results) -> None:
    axes = panel(smoothed_rewards(results, window=7), "LunarLander-v3")

    color = looks(results.algos)["a2c"].color
    (mean,) = lines(axes, "mean", color)
    at = np.asarray(mean.get_xdata(), float)
    seeds = [lines(axes, f"seed {seed}", color)[0] for seed in (0, 1, 3, 4)]
    middle = at.size // 2
    heights = [np.interp(at[middle], seed.get_xdata(), ydata(seed)) for seed in seeds]
    assert ydata(mean)[middle] == pytest.approx(np.mean(heights), rel=0.02)
    assert at[0] == max(seed.get_xdata()[0] for seed in seeds)
    assert at[-1] == min(seed.get_xdata()[-1] for seed in seeds)


def test_bit_equal_algorithms_have_equal_lines_in_different_looks(results: Results) -> None:
    axes = panel(smoothed_rewards(results, window=7), "CartPole-v1")

    styles = looks(results.algos)
    (ours,), (theirs,) = (lines(axes, "mean", styles[algo].color) for algo in ("custom_ppo", "ppo"))
    assert np.array_equal(ydata(ours), ydata(theirs))
    assert ours.get_zorder() > theirs.get_zorder()
    assert ours.get_linewidth() < theirs.get_linewidth()


def test_the_window_and_the_seeds_are_printed_in_the_figure(results: Results) -> None:
    for figure in (smoothed_rewards(results, window=7), return_variability(results, window=7)):
        assert "over 7 episodes" in texts(figure)
        assert "4 to 5 seeds (1 failed or missing run not counted)" in texts(figure)
        assert legend_labels(figure) == ["custom_ppo", "ppo", "a2c", "failed run"]


def test_a_window_longer_than_every_run_is_reported_in_the_panel(results: Results) -> None:
    figure = smoothed_rewards(results, window=100_000)

    assert texts(figure).count("no run has\n100000 episodes") == 2
    assert not any(axes.has_data() for axes in figure.axes)


def test_the_variability_is_the_median_of_the_seeds_rolling_std(results: Results) -> None:
    one = replace(results, episodes=episodes_of(results, "ppo", "CartPole-v1", 1))

    axes = panel(return_variability(one, window=9), "CartPole-v1")

    (median,) = lines(axes, "median")
    rows = one.episodes.assign(std=one.episodes["reward"].rolling(9).std()).dropna()
    expected = rows.groupby("timestep")["std"].mean()  # of episodes that end at the same step
    assert np.array_equal(median.get_xdata(), expected.index)
    assert ydata(median) == pytest.approx(expected.to_numpy())
    assert band_limits(axes, looks(["ppo"])["ppo"].color) == []


def test_quartiles_are_drawn_from_two_seeds_on(results: Results) -> None:
    axes = panel(return_variability(results, window=9), "CartPole-v1")

    color = looks(results.algos)["ppo"].color
    (band,) = band_limits(axes, color)
    (median,) = lines(axes, "median", color)
    assert band[:, 1].min() < ydata(median).min()
    assert band[:, 1].max() > ydata(median).max()


def with_rewards(results: Results, rewards: list[float]) -> Results:
    steps = np.arange(1, len(rewards) + 1)
    identity = {"algo": ["ppo"], "env": ["CartPole-v1"], "seed": [0]}
    runs = results.runs.query("algo == 'ppo' and env == 'CartPole-v1' and seed == 0")
    runs = runs.assign(**{c: runs[c].cat.remove_unused_categories() for c in ("algo", "env")})
    episodes = pd.DataFrame({"timestep": steps, "reward": rewards, "length": 1, "seconds": 0.0})
    return replace(results, runs=runs, episodes=episodes.assign(**{k: v[0] for k, v in identity.items()}))


def test_a_variability_from_zero_over_decades_has_a_logarithmic_axis(results: Results) -> None:
    noisy = [100.0 * (-1) ** i for i in range(10)] + [0.5 * (-1) ** i for i in range(10)] + [500.0] * 10
    axes = return_variability(with_rewards(results, noisy), window=3).axes[0]

    assert axes.get_yscale() == "symlog"
    assert axes.get_ylim()[0] == 0


def test_a_variability_above_zero_over_decades_has_a_plain_logarithmic_axis(results: Results) -> None:
    noisy = [100.0 * (-1) ** i for i in range(10)] + [0.5 * (-1) ** i for i in range(10)]

    assert return_variability(with_rewards(results, noisy), window=3).axes[0].get_yscale() == "log"


def test_a_variability_within_a_decade_has_a_linear_axis_from_zero(results: Results) -> None:
    axes = return_variability(with_rewards(results, [1.0, 2.0, 4.0] * 5), window=3).axes[0]

    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0


def test_returns_that_never_change_are_drawn_at_zero(results: Results) -> None:
    axes = return_variability(with_rewards(results, [7.0] * 9), window=3).axes[0]

    (median,) = lines(axes, "median")
    assert ydata(median).tolist() == [0.0] * 7
    assert axes.get_ylim()[0] == 0 < axes.get_ylim()[1]
