import io
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from harness.analysis.plots.sweep_heatmap import region_edges
from harness.analysis.plots.sweep_panel import SweepPanel, number_text, verdict_lines
from harness.analysis.plots.sweeps import sweep_figure
from harness.analysis.stats import landscape


def panel(n_seeds: int = 6, shape: tuple[int, ...] = (2, 3), **changes: Any) -> SweepPanel:
    """Return a panel whose numbers grow by 10 from combination to combination, with a spread of about 1."""
    means = 10.0 * np.arange(np.prod(shape)).reshape(shape)
    values = means + np.random.default_rng(0).normal(size=(n_seeds, *shape))
    given = {
        "env": "CartPole-v1",
        "measure": "final score",
        "unit": "return",
        "higher_is_better": True,
        "factors": ("clip_range", "gae_lambda")[: len(shape)],
        "levels": tuple(tuple(str(place) for place in range(n)) for n in shape),
        "numeric": (True,) * len(shape),
        "defaults": (1,) * len(shape),
        "land": landscape(values),
        "n_failed": np.zeros(shape, dtype=int),
    }
    return SweepPanel(**(given | changes))


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for ax in figure.axes for text in ax.texts)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


def test_a_region_is_surrounded_by_straight_lines() -> None:
    inside = np.array([[True, True], [False, True]])

    assert set(region_edges(inside)) == {
        ((0, 0), (2, 0)),
        ((0, 1), (1, 1)),
        ((1, 2), (2, 2)),
        ((0, 0), (0, 1)),
        ((1, 1), (1, 2)),
        ((2, 0), (2, 2)),
    }


def test_a_region_without_cells_has_no_edges() -> None:
    assert list(region_edges(np.zeros((3, 2), dtype=bool))) == []


def test_a_heatmap_shows_means_intervals_region_and_default() -> None:
    figure = sweep_figure([[panel()]])

    assert texts(figure).count("[") == 6
    assert any(isinstance(part, LineCollection) for part in figure.axes[0].collections)
    assert legend(figure)[0].replace("\n", " ").startswith("may be the best: no other is shown to be better (95%")
    assert legend(figure)[1] == "default"


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 3)])
def test_no_text_of_a_narrow_figure_is_cut_off(shape: tuple[int, ...]) -> None:
    figure = sweep_figure([[panel(shape=shape, verdicts=("clip_range inconclusive (p = 0.078)",))]])
    figure.savefig(io.BytesIO(), format="png")

    artists = [*figure.legends[0].get_texts(), *figure.axes[0].texts, *(axes.title for axes in figure.axes)]
    for artist in [*artists, *figure.texts]:
        box = artist.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1


def test_verdicts_stand_above_their_panel() -> None:
    figure = sweep_figure([[panel(verdicts=("clip_range matters (p < 0.001)", "interaction inconclusive (p = 1)"))]])

    assert "clip_range matters (p < 0.001)\ninteraction inconclusive (p = 1)" in texts(figure)


def test_one_seed_has_neither_intervals_nor_a_region() -> None:
    figure = sweep_figure([[panel(n_seeds=1)]])

    assert "[" not in texts(figure)
    assert legend(figure) == ["default"]
    assert "One seed." in figure.get_label()


def test_failed_runs_are_counted_in_their_cells() -> None:
    failed = np.array([[0, 2, 0], [0, 0, 0]])

    figure = sweep_figure([[panel(n_failed=failed)]])

    assert texts(figure).count("2 failed") == 1
    assert "Failed runs are counted in their cells" in figure.get_label()


def test_a_profile_counts_failed_runs_at_their_levels() -> None:
    figure = sweep_figure([[panel(shape=(3,), n_failed=np.array([0, 1, 0]))]])

    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "1\n(1 failed)", "2"]


def test_colours_span_the_intervals_but_not_far_beyond_the_means() -> None:
    narrow, wide = panel(), panel(n_seeds=2)
    noisy = panel(land=landscape(np.random.default_rng(1).normal(size=(2, 2, 3))))

    assert narrow.own_limits[0] < narrow.land.mean.min()
    assert np.ptp(narrow.own_limits) < 1.2 * np.ptp(narrow.land.mean)
    for one in (wide, noisy):
        assert np.ptp(one.own_limits) <= 3.0 * np.ptp(one.land.mean) + 1e-9


def test_a_panel_without_results_says_so() -> None:
    empty = panel(land=landscape(np.full((2, 2, 3), np.nan)))

    assert "no results" in texts(sweep_figure([[panel(), empty]]))


@pytest.mark.parametrize("n", [1, 3, 5])
def test_many_environments_continue_below(n: int) -> None:
    figure = sweep_figure([[panel(env=f"E{place}") for place in range(n)]])

    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [f"E{place}: final score" for place in range(n)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(-185.26, "−185"), (12.345, "12.3"), (0.126, "0.13"), (0.0, "0"), (-0.0, "0"), (0.0012, "0.001"), (-99.7, "−100")],
)
def test_numbers_have_three_digits_and_a_minus_sign(value: float, text: str) -> None:
    assert number_text(value) == text


def test_long_verdicts_are_wrapped() -> None:
    assert verdict_lines(panel(verdicts=("a" * 30 + " " + "b" * 30,)), 2.0) == ["a" * 30, "b" * 30]
