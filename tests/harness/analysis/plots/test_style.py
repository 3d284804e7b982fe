from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgb

from harness.analysis.plots.style import (
    finish,
    format_steps,
    looks,
    new_figure,
    save_figure,
    say_empty,
    short_labels,
    themed,
)


@pytest.mark.parametrize(
    ("steps", "text"),
    [(0, "0"), (500, "500"), (50_000, "50k"), (2_500, "2.5k"), (1_000_000, "1M"), (1.5e6, "1.5M"), (2e9, "2B")],
)
def test_steps_have_short_labels(steps: float, text: str) -> None:
    assert format_steps(steps) == text


def test_an_algorithm_looks_the_same_beside_any_other() -> None:
    assert looks(["ppo", "a2c"])["a2c"] == looks(["x", "custom_ppo", "ppo", "a2c"])["a2c"]
    assert looks(["x", "ppo", "y"])["y"] == looks(["x", "y"])["y"]


def test_ppo_is_broad_only_where_custom_ppo_could_hide_it() -> None:
    alone, beside = looks(["ppo", "a2c"])["ppo"], looks(["custom_ppo", "ppo"])["ppo"]

    assert alone.width < 2 < beside.width
    assert (alone.color, alone.linestyle) == (beside.color, beside.linestyle)


def test_custom_ppo_is_thin_dark_dashes_on_top_of_a_broad_light_line_for_ppo() -> None:
    ours, theirs = looks(["custom_ppo", "ppo"]).values()

    assert ours.width < theirs.width
    assert ours.order > theirs.order
    assert (ours.linestyle == "-", theirs.linestyle == "-") == (False, True)
    assert sum(to_rgb(ours.color)) < sum(to_rgb(theirs.color))


def test_twenty_algorithms_have_twenty_looks() -> None:
    styles = looks([f"agent{i}" for i in range(17)] + ["ppo", "a2c", "custom_ppo"])

    assert len({(look.color, str(look.linestyle)) for look in styles.values()}) == 20


def test_a_class_is_called_by_its_name_unless_two_share_it() -> None:
    assert short_labels(["ppo", "my.agents:Agent"]) == {"ppo": "ppo", "my.agents:Agent": "Agent"}
    assert short_labels(["a:Agent", "b:Agent"]) == {"a:Agent": "a:\nAgent", "b:Agent": "b:\nAgent"}


def test_the_theme_leaves_matplotlib_and_pyplot_as_they_were() -> None:
    before = dict(mpl.rcParams)
    with themed():
        new_figure(1, 2)

    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_an_empty_panel_says_so_and_leaves_the_ticks_of_a_shared_axis() -> None:
    figure, grid = new_figure(2, 1, sharey="col")
    grid[0, 0].plot([0, 1], [3, 4])
    say_empty(grid[1, 0], "no episodes")

    assert [text.get_text() for text in grid[1, 0].texts] == ["no episodes"]
    assert len(grid[0, 0].get_yticks()) > 1
    assert figure.axes == [grid[0, 0], grid[1, 0]]


def test_a_legend_lies_within_the_figure_however_long_its_labels_are() -> None:
    with themed():
        figure, grid = new_figure(1, 1)
        (line,) = grid[0, 0].plot([0, 1], [0, 1])
        handles = [(line, "AnAlgorithmWithAnExtraordinarilyLongName"), (line, "b"), (line, "c")]
        finish(figure, note="a note " * 30, handles=handles)
        figure.draw_without_rendering()

    whole = figure.bbox
    for part in (figure.legends[0].get_window_extent(), figure._suptitle.get_window_extent()):  # type: ignore[attr-defined]
        assert whole.x0 <= part.x0
        assert part.x1 <= whole.x1
        assert whole.y0 <= part.y0
        assert part.y1 <= whole.y1
    assert not figure.legends[0].get_window_extent().overlaps(grid[0, 0].get_tightbbox())


def test_the_same_figure_is_saved_as_the_same_bytes(tmp_path: Path) -> None:
    def draw(name: str) -> list[bytes]:
        with themed():
            figure, grid = new_figure(1, 1)
            grid[0, 0].plot([0, 1], [0, 1])
            grid[0, 0].fill_between([0, 1], [0, 1], [1, 2])
            finish(figure, note="note", handles=[(grid[0, 0].get_lines()[0], "line")])
        return [path.read_bytes() for path in save_figure(figure, tmp_path / name)]

    first, second = draw("first"), draw("second")

    assert first == second
    assert b"<dc:date>" not in first[0]


def test_a_name_with_a_dot_keeps_it(tmp_path: Path) -> None:
    figure, _ = new_figure(1, 1)

    assert [path.name for path in save_figure(figure, tmp_path / "gamma_0.99")] == ["gamma_0.99.svg", "gamma_0.99.png"]


def test_a_long_legend_makes_the_figure_higher_and_covers_no_panel() -> None:
    with themed():
        figure, grid = new_figure(1, 2)
        line = grid[0, 0].plot([0, 1])[0]
        finish(figure, note="note", handles=[(line, f"clip_range=0.{place},gae_lambda=0.95") for place in range(16)])
        figure.draw_without_rendering()

    bottom = min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert figure.legends[0].get_window_extent().y1 <= bottom + 1
    assert grid[0, 0].get_window_extent().height > figure.dpi
