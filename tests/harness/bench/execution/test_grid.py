from __future__ import annotations

from harness.bench.execution.grid import execution_grid
from tests.harness.bench.execution.timelines import made_results


def test_every_figure_is_a_row() -> None:
    rows = execution_grid(made_results()).rows

    assert [row[0] for row in rows] == ["run-overhead", "two-workers", "many-runs", "", "", "", "zoo-loop", ""]
    assert [row[2] for row in rows] == ["500 ms", "2.00x", "1.00x", "+0.0 MiB", "+0.0 MiB", "1.0 s", "6.00x", "10.00x"]


def test_figures_say_how_many_runs_they_are_of() -> None:
    rows = execution_grid(made_results()).rows

    assert rows[0][1] == "time of a run of one step beyond learn(), 5 runs"
    assert rows[1][1] == "time with one worker / with two, 5 runs, 1 pair"
    assert rows[6][1] == "loop over rl_zoo3.train / harness with SB3's PPO, 2 runs"


def test_measurements_that_were_not_made_have_no_row() -> None:
    assert execution_grid({}).rows == ()
    assert len(execution_grid({"two-workers": made_results()["two-workers"]}).rows) == 1
