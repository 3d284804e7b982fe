from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots import save_all
from harness.analysis.plots.registry import registered_figures, report_figure
from harness.analysis.plots.style import new_figure


def one_environment(results: Results) -> Results:
    tables = {name: getattr(results, name) for name in ("runs", "episodes", "evaluations", "progress")}
    kept = {name: table[table["env"] == "CartPole-v1"] for name, table in tables.items()}
    return Results(
        **{name: table.assign(env=table["env"].cat.remove_unused_categories()) for name, table in kept.items()}
    )


NAMES = {"raw_rewards", "smoothed_rewards", "iqm_curves", "return_variability", "final_scores", "update_diagnostics"}


def test_every_registered_figure_is_written_twice_and_as_the_same_bytes(results: Results, tmp_path: Path) -> None:
    results = one_environment(results)
    first = save_all(results, tmp_path / "new" / "first", window=10, n_resamples=50)
    second = save_all(results, tmp_path / "second", window=10, n_resamples=50)

    assert set(registered_figures()) >= NAMES
    assert [path.name for path in first] == [
        f"{name}.{kind}" for name in registered_figures() if name in NAMES for kind in ("svg", "png")
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert max(path.stat().st_size for path in first) < 1.5e6
    assert plt.get_fignums() == []


def test_a_new_figure_is_registered_where_it_is_defined(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.analysis.plots.registry._FIGURES", {})
    seen = {}

    @report_figure
    def seeds(results: Results, *, window: int = 1, own: str = "default") -> Figure:
        seen.update(window=window, own=own)
        figure, grid = new_figure(1, 1)
        grid[0, 0].plot(results.runs["seed"])
        return figure

    written = save_all(results, tmp_path, window=10)

    assert [path.name for path in written] == ["seeds.svg", "seeds.png"]
    assert seen == {"window": 10, "own": "default"}


def test_a_figure_without_data_is_left_out(results: Results, tmp_path: Path) -> None:
    results = one_environment(results)
    bare = replace(results, evaluations=results.evaluations.iloc[:0], progress=results.progress.iloc[:0])

    names = {path.stem for path in save_all(bare, tmp_path, window=10)}

    assert names & NAMES == {"raw_rewards", "smoothed_rewards", "return_variability", "final_scores"}
