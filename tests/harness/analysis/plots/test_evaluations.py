from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from scipy import stats as scipy_stats

from harness.analysis.frames import Results
from harness.analysis.plots import final_scores, iqm_curves
from harness.analysis.plots.style import looks
from tests.harness.analysis.plots.artists import band_limits, legend_labels, lines, panel, texts, ydata


def rewards_by_seed(results: Results, algo: str, env: str) -> dict[int, list[float]]:
    table = results.evaluations
    mine = table[(table["algo"] == algo) & (table["env"] == env)]
    return {int(seed): rows["reward"].tolist() for seed, rows in mine.groupby("seed")}


def only_seed(results: Results, seed: int) -> Results:
    tables = {name: getattr(results, name) for name in ("runs", "episodes", "evaluations", "progress")}
    return Results(**{name: table[table["seed"] == seed] for name, table in tables.items()})


def test_the_bold_line_is_the_interquartile_mean_over_the_complete_seeds(results: Results) -> None:
    axes = panel(iqm_curves(results, n_resamples=50), "LunarLander-v3")

    (line,) = lines(axes, "estimate", looks(results.algos)["a2c"].color)
    seeds = rewards_by_seed(results, "a2c", "LunarLander-v3")
    complete = [rewards for seed, rewards in seeds.items() if seed != 2]
    assert ydata(line) == pytest.approx(scipy_stats.trim_mean(complete, 0.25, axis=0))


def test_thin_lines_are_the_evaluations_themselves_failed_runs_included(results: Results) -> None:
    axes = panel(iqm_curves(results, n_resamples=50), "LunarLander-v3")

    for seed, rewards in rewards_by_seed(results, "a2c", "LunarLander-v3").items():
        (line,) = lines(axes, f"seed {seed}", looks(results.algos)["a2c"].color)
        assert ydata(line).tolist() == rewards


def test_a_pointwise_band_lies_around_the_line_and_within_the_seeds(results: Results) -> None:
    axes = panel(iqm_curves(results, n_resamples=200, simultaneous=False), "CartPole-v1")

    color = looks(results.algos)["a2c"].color
    (line,), (band,) = lines(axes, "estimate", color), band_limits(axes, color)
    seeds = np.array(list(rewards_by_seed(results, "a2c", "CartPole-v1").values()))
    for at, height in zip(line.get_xdata(), ydata(line), strict=True):
        edges = band[band[:, 0] == at, 1]
        column = seeds[:, list(line.get_xdata()).index(at)]
        assert column.min() - 1e-9 <= edges.min() <= height + 1e-9
        assert height - 1e-9 <= edges.max() <= column.max() + 1e-9


def test_a_simultaneous_band_contains_the_pointwise_one(results: Results) -> None:
    color = looks(results.algos)["a2c"].color
    bands = {}
    for simultaneous in (True, False):
        figure = iqm_curves(results, n_resamples=200, simultaneous=simultaneous)
        (bands[simultaneous],) = band_limits(panel(figure, "CartPole-v1"), color)

    assert bands[True].shape == bands[False].shape
    assert np.ptp(bands[True][:, 1]) >= np.ptp(bands[False][:, 1])
    for at in np.unique(bands[True][:, 0]):
        wide, narrow = (bands[kind][bands[kind][:, 0] == at, 1] for kind in (True, False))
        assert wide.min() <= narrow.min() + 1e-9
        assert narrow.max() - 1e-9 <= wide.max()


def test_the_caption_names_the_kind_of_band_that_is_drawn(results: Results) -> None:
    whole, each_time = (texts(iqm_curves(results, n_resamples=50, simultaneous=kind)) for kind in (True, False))

    assert "simultaneous: 95% bootstrap envelopes of whole runs" in whole
    assert "which at 4 seeds they do less often" in whole
    assert "pointwise 95% bootstrap intervals" in each_time


def test_bit_equal_algorithms_have_equal_bands(results: Results) -> None:
    axes = panel(iqm_curves(results, n_resamples=50), "CartPole-v1")

    styles = looks(results.algos)
    (ours,), (theirs,) = (band_limits(axes, styles[algo].color) for algo in ("custom_ppo", "ppo"))
    assert np.array_equal(ours, theirs)


def test_one_seed_has_a_line_and_no_band(results: Results) -> None:
    figure = iqm_curves(only_seed(results, 0))

    axes = panel(figure, "CartPole-v1")
    assert len(lines(axes, "estimate")) == 3
    assert not axes.collections
    assert "1 seed." in texts(figure)


def test_a_panel_without_evaluations_says_so(results: Results) -> None:
    figure = iqm_curves(replace(results, evaluations=results.evaluations.iloc[:0]))

    assert texts(figure).count("no evaluations") == 2


def test_an_algorithm_is_not_drawn_where_it_was_not_run(results: Results) -> None:
    table = results.evaluations
    without = replace(results, evaluations=table[(table["algo"] != "a2c") | (table["env"] != "CartPole-v1")])

    figure = iqm_curves(without, n_resamples=50)

    assert lines(panel(figure, "CartPole-v1"), "estimate", looks(["a2c"])["a2c"].color) == []
    assert legend_labels(figure)[:3] == ["custom_ppo", "ppo", "a2c"]


def scores_of(results: Results, algo: str, env: str) -> np.ndarray:
    runs = results.runs
    return runs.loc[(runs["algo"] == algo) & (runs["env"] == env), "score"].to_numpy()


def test_every_seed_is_a_point_at_its_score(results: Results) -> None:
    axes = panel(final_scores(results), "LunarLander-v3")

    for algo in results.algos:
        (points,) = lines(axes, algo)
        assert np.array_equal(ydata(points), scores_of(results, algo, "LunarLander-v3"), equal_nan=True)


def test_the_interval_is_students_of_the_runs_that_did_not_fail(results: Results) -> None:
    axes = panel(final_scores(results, confidence=0.9), "LunarLander-v3")

    segments = [s for c in axes.collections if isinstance(c, LineCollection) for s in c.get_segments()]
    scores = scores_of(results, "a2c", "LunarLander-v3")
    there = scores[~np.isnan(scores)]
    low, high = scipy_stats.t.interval(0.9, len(there) - 1, there.mean(), scipy_stats.sem(there))
    assert segments[2][:, 1] == pytest.approx([low, high])


def test_failed_runs_are_counted_below_their_algorithm(results: Results) -> None:
    figure = final_scores(results)

    labels = [label.get_text() for label in panel(figure, "LunarLander-v3").get_xticklabels()]
    assert labels == ["custom_ppo\nn = 5", "ppo\nn = 5", "a2c\n4/5"]


def test_boxes_need_four_seeds(results: Results) -> None:
    assert len(panel(final_scores(results), "CartPole-v1").patches) == 3
    assert len(panel(final_scores(only_seed(results, 0)), "CartPole-v1").patches) == 0


def test_an_environment_in_which_every_run_failed_says_so(results: Results) -> None:
    runs = results.runs.assign(score=results.runs["score"].where(results.runs["env"] != "CartPole-v1"))

    figure = final_scores(replace(results, runs=runs))

    assert [text.get_text() for text in panel(figure, "CartPole-v1").texts] == ["no scores"]
    assert panel(figure, "LunarLander-v3").has_data()


def test_the_figure_says_what_its_scores_are(results: Results) -> None:
    foreign = results.runs.assign(score_source="last_evaluation")

    assert "mean return of the final evaluation" in texts(final_scores(results))
    assert "mean return of the last evaluation during training" in texts(final_scores(replace(results, runs=foreign)))


def test_drawing_leaves_the_global_random_numbers_alone(results: Results) -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global stream is what is tested
    final_scores(results)
    iqm_curves(results, n_resamples=50)

    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
