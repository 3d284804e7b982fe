from __future__ import annotations

from collections.abc import Callable
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


@pytest.mark.parametrize(
    ("row", "key", "sign"), [(KL_ROW, "train/approx_kl", 1), (ENTROPY_ROW, "train/entropy_loss", -1)]
)
def test_a_diagnostic_is_the_median_over_the_seeds(results: Results, row: int, key: str, sign: int) -> None:
    axes = panel(update_diagnostics(results), "CartPole-v1", row)

    (line,) = lines(axes, "median", looks(results.algos)["ppo"].color)
    expected = logged(results, "ppo", key).median(axis=1)
    assert np.array_equal(line.get_xdata(), expected.index)
    assert ydata(line) == pytest.approx(sign * expected.to_numpy())


def test_a_diagnostic_that_an_algorithm_does_not_log_is_not_drawn_for_it(results: Results) -> None:
    axes = panel(update_diagnostics(results), "CartPole-v1", KL_ROW)

    assert lines(axes, "median", looks(results.algos)["a2c"].color) == []


def test_the_fan_of_the_ratio_reaches_from_its_first_to_its_last_percentile(results: Results) -> None:
    axes = panel(update_diagnostics(results), "CartPole-v1", RATIO_ROW)

    outer, inner = band_limits(axes, looks(results.algos)["a2c"].color)
    lowest, highest = (logged(results, "a2c", f"update/ratio_{q}").median(axis=1) for q in ("q01", "q99"))
    assert (outer[:, 1].min(), outer[:, 1].max()) == pytest.approx((lowest.min(), highest.max()))
    assert outer[:, 1].min() < inner[:, 1].min() < inner[:, 1].max() < outer[:, 1].max()


def also_logged(results: Results, key: str, value_of: dict[str, Callable[[float], float]]) -> Results:
    """Return the results with a further key, logged by some algorithms as a function of the timestep."""
    table = results.progress[results.progress["key"] == "train/entropy_loss"]
    rows = [
        own.assign(key=key, value=[value_of[str(algo)](step) for step in own["timestep"]])
        for algo, own in table.groupby("algo", observed=True)
        if algo in value_of
    ]
    return replace(results, progress=pd.concat([results.progress.astype({"key": str}), *rows], ignore_index=True))


def test_the_clip_range_of_each_algorithm_is_drawn_as_it_was_logged(results: Results) -> None:
    ranges = {"ppo": lambda step: 0.5, "custom_ppo": lambda step: 0.4 * (1 - step / 40_000)}
    figure = update_diagnostics(also_logged(results, "train/clip_range", ranges))

    axes = panel(figure, "CartPole-v1", RATIO_ROW)
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert low < 0.5 < 1.5 < high
    styles = looks(results.algos)
    constant = lines(axes, "clip range", styles["ppo"].color)
    assert sorted({float(value) for line in constant for value in ydata(line)}) == [0.5, 1.5]
    above, below = lines(axes, "clip range", styles["custom_ppo"].color)
    assert ydata(above) == pytest.approx(1 + 0.4 * (1 - np.asarray(above.get_xdata()) / 40_000))
    assert ydata(below) == pytest.approx(2 - ydata(above))
    assert lines(axes, "clip range", styles["a2c"].color) == []
    assert "clip range 1 ± ε" in legend_labels(figure)


def test_without_a_logged_clip_range_none_is_drawn(results: Results) -> None:
    figure = update_diagnostics(results)

    assert lines(panel(figure, "CartPole-v1", RATIO_ROW), "clip range") == []
    assert "clip range 1 ± ε" not in legend_labels(figure)


def test_the_measured_kl_is_drawn_for_every_algorithm_that_has_one(results: Results) -> None:
    axes = panel(
        update_diagnostics(also_logged(results, "update/kl", {"a2c": lambda step: 0.25})), "CartPole-v1", KL_ROW
    )

    (line,) = lines(axes, "median", looks(results.algos)["a2c"].color)
    assert set(ydata(line)) == {0.25}
    assert lines(axes, "median", looks(results.algos)["ppo"].color)


def test_a_run_that_logged_nothing_leaves_panels_that_say_so(results: Results) -> None:
    figure = update_diagnostics(replace(results, progress=results.progress.iloc[:0]))

    assert texts(figure).count("not logged") == 10
    assert not any(axes.has_data() for axes in figure.axes)


def test_a_log_without_ratios_has_the_other_panels(results: Results) -> None:
    keys = results.progress["key"].astype(str)
    figure = update_diagnostics(replace(results, progress=results.progress[~keys.str.startswith("update/")]))

    assert texts(figure).count("not logged") == 2
    assert lines(panel(figure, "CartPole-v1", ENTROPY_ROW), "median")
