from __future__ import annotations

from rich.console import Console

from harness.bench.speeds import GeometricMean
from harness.bench.tables import as_markdown, as_table, mean_line, parts_grid, speed_grid
from tests.harness.bench.speeds import measured


def test_a_row_holds_speeds_ratio_spread_and_the_greatest_ratio() -> None:
    grid = speed_grid([measured(ours=(1.0, 1.0, 2.0), theirs=(2.0, 24.0, 4.0))])

    assert grid.columns == ("configuration", "engine", "SB3", "custom", "ratio", "quartiles", "min-max", "limit")
    assert grid.rows == (("cartpole-zoo", "fused", "250", "1,000", "2.00x", "2.00-13.0", "2.00-24.0", "5.00x"),)


def test_configurations_without_a_valid_time_have_no_row() -> None:
    speeds = [measured(unequal="weight"), measured(ours=(), theirs=(), problem="needs Box2D")]

    assert speed_grid(speeds).rows == ()


def test_notes_are_a_column_of_their_own() -> None:
    grid = speed_grid([measured()], {"cartpole-zoo": "8 environments"})

    assert grid.columns[:3] == ("configuration", "training", "engine")
    assert grid.rows[0][:3] == ("cartpole-zoo", "8 environments", "fused")


def test_parts_are_milliseconds_per_thousand_steps_with_their_shares() -> None:
    sb3, custom, floor = parts_grid([measured(ratio=2.0)]).rows

    assert sb3 == ("cartpole-zoo", "SB3", "2,000", "-", "-", "-", "-", "2,000 100%", "-")
    assert custom == ("", "custom", "1,000", "250  25%", "-", "-", "-", "750  75%", "-")
    assert floor == ("", "floor", "400", "200  50%", "100  25%", "-", "-", "100  25%", "-")


def test_without_parts_there_are_no_rows() -> None:
    assert parts_grid([measured(parts={}, floor=None)]).rows == ()


def test_the_table_of_speeds_fits_80_columns() -> None:
    speed = measured("lunarlander-zoo", engine="autograd", ours=(0.01, 0.02, 0.03), theirs=(0.4, 0.4, 0.4))
    console = Console(width=80)
    with console.capture() as capture:
        console.print(as_table(speed_grid([speed])))

    assert "…" not in capture.get()
    assert any(line.split()[:2] == ["lunarlander-zoo", "autograd"] for line in capture.get().splitlines())


def test_markdown_aligns_numbers_to_the_right() -> None:
    lines = as_markdown(speed_grid([measured()])).splitlines()

    assert lines[1] == "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[2].startswith("| cartpole-zoo | fused | 500 | 1,000 | 2.00x |")


def test_the_mean_is_a_sentence_with_its_interval() -> None:
    assert mean_line(GeometricMean(8.123, 8.0, 8.25, 1)) == (
        "geometric mean over 1 configuration: 8.12x SB3 (95% bootstrap interval over pairs 8.00 - 8.25)"
    )
