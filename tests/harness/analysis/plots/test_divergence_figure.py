from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from harness.analysis.plots import divergence_figure
from harness.analysis.plots.divergence_figure import divergence_map
from harness.analysis.plots.style import save_figure
from harness.crosscheck.comparing.divergence import ROUNDING
from tests.harness.analysis.plots.artists import legend_labels, texts

Row = tuple[str, int, int, int, float]


def table(*rows: Row) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["env", "seed", "iteration", "minibatch", "largest"])


def panel(figure: Figure, env: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == env)


def differences(n_seeds: int, n_minibatches: int = 3, n_iterations: int = 2, size: float = 0.0) -> pd.DataFrame:
    rows = [
        ("A", seed, iteration, minibatch, size)
        for seed in range(n_seeds)
        for iteration in range(1, n_iterations + 1)
        for minibatch in range(n_minibatches + 1)
    ]
    return table(*rows)


def colours(axes: Axes) -> Any:
    """Return the hex colours of the cells, [seed, column]."""
    (mesh,) = (artist for artist in axes.collections if isinstance(artist, QuadMesh))
    mesh.update_scalarmappable()
    shape = np.asarray(mesh.get_array()).shape
    return np.array([to_hex(colour) for colour in mesh.get_facecolor()]).reshape(shape)


def colour_of(size: float) -> str:
    figure = divergence_map(table(("A", 0, 1, 0, size)), "mine", "ppo")
    return str(colours(panel(figure, "A"))[0, 0])


def legend_colours() -> list[str]:
    return [to_hex(patch.get_facecolor()) for patch in divergence_figure._legend(missing=False)]


@pytest.mark.parametrize(
    ("size", "label"),
    [
        (0.0, "identical"),
        (1e-12, "≤ 10$^{-8}$"),
        (5e-8, "10$^{-7}$"),
        (9e-6, "10$^{-5}$"),
        (2e-5, "10$^{-4}$"),
        (0.5, "1"),
        (7.0, "more"),
        (np.inf, "more"),
    ],
)
def test_a_cell_has_the_colour_that_the_legend_has_for_its_size(size: float, label: str) -> None:
    labels = [str(patch.get_label()) for patch in divergence_figure._legend(missing=False)]

    assert colour_of(size) == legend_colours()[labels.index(label)]


def test_rounding_is_blue_and_more_is_red() -> None:
    def is_blue(size: float) -> bool:
        text = colour_of(size)
        return int(text[5:], 16) > int(text[1:3], 16)

    assert divergence_figure._ROUNDING == ROUNDING
    assert [is_blue(size) for size in (1e-9, ROUNDING * 0.99, ROUNDING * 1.01, 1, np.inf)] == [True] * 2 + [False] * 3


def test_all_colours_are_different() -> None:
    assert len({"#ffffff", *legend_colours()}) == len(legend_colours()) + 1


def test_seeds_go_down_and_minibatches_to_the_right() -> None:
    rows = [("A", 3, 1, 0, 0.0), ("A", 3, 1, 1, 1e-3), ("A", 8, 1, 0, np.inf), ("A", 8, 1, 1, np.inf)]
    axes = panel(divergence_map(table(*rows[::-1]), "mine", "ppo"), "A")

    found = colours(axes)
    assert found[0].tolist() == [colour_of(0.0), colour_of(1e-3)]
    assert found[1].tolist() == [colour_of(np.inf)] * 2
    assert [label.get_text() for label in axes.get_yticklabels()] == ["seed 3", "seed 8"]
    assert axes.yaxis.get_inverted()


def test_a_missing_minibatch_is_white_and_the_legend_says_so() -> None:
    rows = [("A", 0, 1, 0, 0.0), ("A", 0, 1, 1, 0.0), ("A", 1, 1, 0, 0.0)]
    figure = divergence_map(table(*rows), "mine", "ppo")

    assert colours(panel(figure, "A"))[1, 1] == "#ffffff"
    assert legend_labels(figure)[-1] == "no minibatch"
    assert "no minibatch" not in legend_labels(divergence_map(differences(2), "mine", "ppo"))


def test_each_environment_has_a_panel_with_its_own_minibatches() -> None:
    rows = [("A", 0, 1, 0, 0.0), ("A", 0, 1, 1, 0.0), ("B", 0, 1, 0, 0.0), ("B", 0, 2, 0, 0.0), ("B", 0, 2, 1, 0.0)]
    figure = divergence_map(table(*rows), "mine", "ppo")

    labels = {name: [one.get_text() for one in panel(figure, name).get_xticklabels()] for name in "AB"}
    assert labels == {"A": ["r", "1"], "B": ["r", "r", "1"]}
    assert [text.get_text() for text in panel(figure, "B").texts] == ["update 1", "update 2"]
    assert [line.get_xdata()[0] for line in panel(figure, "B").get_lines()] == [1]  # type: ignore[index]


def test_few_seeds_are_named_and_many_are_thinned_out() -> None:
    few, many = (panel(divergence_map(differences(n), "mine", "ppo"), "A") for n in (1, 30))

    assert ([label.get_text() for label in few.get_yticklabels()], few.get_ylabel()) == (["seed 0"], "")
    shown = [label.get_text() for label in many.get_yticklabels()]
    assert (shown[:3], len(shown), many.get_ylabel()) == (["0", "3", "6"], 10, "seed")


def test_many_minibatches_are_thinned_out() -> None:
    axes = panel(divergence_map(differences(2, n_minibatches=40), "mine", "ppo"), "A")

    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert (shown[:4], shown.count("r")) == (["r", "2", "4", "6"], 2)
    assert len(shown) <= 48


@pytest.mark.parametrize("n_seeds", [1, 5, 30])
def test_no_label_touches_another(n_seeds: int) -> None:
    frame = pd.concat([differences(n_seeds, 40).assign(env=env) for env in ("TightBounds", "CartPole15")])
    figure = divergence_map(frame, "package.module:Class", "ppo")
    figure.draw_without_rendering()

    for axes in figure.axes:
        for labels, side in ((axes.get_xticklabels(), 0), (axes.get_yticklabels(), 1)):
            boxes = sorted((box.min[side], box.max[side]) for box in (one.get_window_extent() for one in labels))
            assert all(end <= start for (_, end), (start, _) in pairwise(boxes))
        beneath = min(one.get_window_extent().y0 for one in axes.get_xticklabels())
        assert all(text.get_window_extent().y1 <= beneath for text in axes.texts)
    upper, lower = figure.axes
    assert lower._left_title.get_window_extent().y1 < min(text.get_window_extent().y0 for text in upper.texts)


def test_thirty_seeds_in_four_environments_fit_on_a_page() -> None:
    frame = pd.concat([differences(30).assign(env=env) for env in "ABCD"])

    width, height = divergence_map(frame, "mine", "ppo").get_size_inches()

    assert (width, height) == pytest.approx((7.1, 9.9), abs=0.3)


def test_the_note_names_the_subject_and_the_reference() -> None:
    assert "mine compared with ppo: largest difference" in texts(divergence_map(differences(1), "mine", "ppo"))


def test_the_divergence_map_is_written_as_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_figure(divergence_map(differences(2, size=1e-3), "mine", "ppo"), tmp_path / name)

    for kind in ("svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
