from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.analysis.frames import Results
from harness.analysis.plots import update_diagnostics
from harness.analysis.plots.style import looks
from tests.harness.analysis.plots.artists import band_limits, legend_labels, lines, panel, texts, ydata

KL_ROW, ENTROPY_ROW, RATIO_ROW = 1, 2, 4


def logged(results: Results, algo: str, key: str) -> pd.DataFrame:
    """Return the values logged in CartPole-v1, [timestep, seed]."""
    table = results.progress
    mine = table[(table["algo"] == algo) & (table["env"] == "CartPole-v1") & (table["key"] == key)]
    return mine.pivot_table(index="timestep", columns="seed", values="value")


@pytest.mark.parametrize(("row", "key"), [(KL_ROW, "train/approx_kl"), (ENTROPY_ROW, "train/entropy_loss")])
def test_a_diagnostic_is_the_median_over_the_seeds(results: Results, row: int, key: str) -> None:
    axes = panel(update_diagnostics(results), "CartPole-v1", row)

    (line,) = lines(axes, "median", looks(results.algos)["ppo"].color)
    expected = logged(results, "ppo", key).median(axis=1)
    assert np.array_equal(line.get_xdata(), expected.index)
    assert ydata(line) == pytest.approx(expected.to_numpy())


def test_a_diagnostic_that_an_algorithm_does_not_log_is_not_drawn_for_it(results: Results) -> None:
    axes = panel(update_diagnostics(results), "CartPole-v1", KL_ROW)

    assert lines(axes, "median", looks(results.algos)["a2c"].color) == []


def test_the_fan_of_the_ratio_reaches_from_its_first_to_its_last_percentile(results: Results) -> None:
    axes = panel(update_diagnostics(results), "CartPole-v1", RATIO_ROW)

    outer, inner = band_limits(axes, looks(results.algos)["a2c"].color)
    lowest, highest = (logged(results, "a2c", f"update/ratio_{q}").median(axis=1) for q in ("q01", "q99"))
    assert (outer[:, 1].min(), outer[:, 1].max()) == pytest.approx((lowest.min(), highest.max()))
    assert outer[:, 1].min() < inner[:, 1].min() < inner[:, 1].max() < outer[:, 1].max()


def test_the_ratio_has_a_logarithmic_axis_that_shows_the_clip_range(results: Results) -> None:
    figure = update_diagnostics(results, clip_range=0.5)

    axes = panel(figure, "CartPole-v1", RATIO_ROW)
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert low < 0.5 < 1.5 < high
    assert sorted(ydata(line)[0] for line in axes.get_lines() if line.get_linestyle() == ":") == [0.5, 1.5]
    assert "clip range 1 ± 0.5" in legend_labels(figure)


def test_a_run_that_logged_nothing_leaves_panels_that_say_so(results: Results) -> None:
    figure = update_diagnostics(replace(results, progress=results.progress.iloc[:0]))

    assert texts(figure).count("not logged") == 10
    assert not any(axes.has_data() for axes in figure.axes)


def test_a_log_without_ratios_has_the_other_panels(results: Results) -> None:
    keys = results.progress["key"].astype(str)
    figure = update_diagnostics(replace(results, progress=results.progress[~keys.str.startswith("update/")]))

    assert texts(figure).count("not logged") == 2
    assert lines(panel(figure, "CartPole-v1", ENTROPY_ROW), "median")
