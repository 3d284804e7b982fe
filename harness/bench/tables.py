"""Tables of the benchmark, for terminals and in Markdown. No torch is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Any

from rich import box
from rich.table import Table

from harness.bench.speeds import PARTS, GeometricMean, Speed

__all__ = ["Grid", "as_markdown", "as_table", "mean_line", "parts_grid", "speed_grid"]


@dataclass(frozen=True)
class Grid:
    """Table as text: a title, columns, and rows with one cell per column. The first columns are left-aligned."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_left: int = 1
    """Number of columns that are left-aligned."""


def speed_grid(speeds: Sequence[Speed], notes: Mapping[str, str] = MappingProxyType({})) -> Grid:
    """Return a row for each measured configuration: speeds, ratio with its spread, and the greatest ratio possible.

    notes: name of a configuration -> description, for a column of its own; without any there is no such column.
    """
    columns: tuple[str, ...] = ("configuration", "engine", "SB3", "custom", "ratio", "quartiles", "min-max", "limit")
    rows = [_speed_row(speed) for speed in speeds if speed.ratios and not speed.unequal]
    if notes:
        columns = (columns[0], "training", *columns[1:])
        rows = [(row[0], notes.get(row[0], ""), *row[1:]) for row in rows]
    return Grid("Environment steps per second of learn()", columns, tuple(rows), 3 if notes else 2)


def _speed_row(speed: Speed) -> tuple[str, ...]:
    low, high = speed.quartiles
    return (
        speed.name,
        speed.engine,
        *(f"{speed.n_timesteps / median(times):,.0f}" for times in (speed.theirs, speed.ours)),
        f"{_factor(speed.ratio)}x",
        f"{_factor(low)}-{_factor(high)}",
        f"{_factor(min(speed.ratios))}-{_factor(max(speed.ratios))}",
        "" if math.isnan(speed.greatest_ratio) else f"{_factor(speed.greatest_ratio)}x",
    )


def parts_grid(speeds: Sequence[Speed]) -> Grid:
    """Return the parts of learn() of both implementations, and the floor, for each configuration where they are known.

    Cells are milliseconds per 1,000 environment steps, and the share of the row's total.
    """
    rows: list[tuple[str, ...]] = []
    for speed in speeds:
        for label, name, times in (("SB3", "theirs", speed.theirs), ("custom", "ours", speed.ours)):
            shares = speed.parts.get(name)
            if shares and times:
                total = 1e6 * median(times) / speed.n_timesteps
                cells = _part_cells(total, {part: share * total for part, share in shares.items()})
                rows.append((speed.name if label == "SB3" else "", label, *cells))
        if speed.floor is not None:
            floor = speed.floor
            found = {"environment": floor.bare_env, "policy": floor.acting, "update": floor.updating}
            scale = 1e6 / speed.n_timesteps
            times_of_parts = {part: seconds * scale for part, seconds in found.items()}
            rows.append(("", "floor", *_part_cells(floor.seconds * scale, times_of_parts)))
    columns = ("configuration", "", "learn()", *(part.replace("gae", "GAE") for part in PARTS))
    return Grid("Milliseconds per 1,000 environment steps", columns, tuple(rows), 2)


def _part_cells(total: float, parts: Mapping[str, float]) -> tuple[str, ...]:
    cells = (f"{_milliseconds(parts[part])} {parts[part] / total:4.0%}" if parts.get(part) else "-" for part in PARTS)
    return (_milliseconds(total), *cells)


def mean_line(mean: GeometricMean) -> str:
    """Return the geometric mean as a sentence."""
    return (
        f"geometric mean over {mean.n_configurations} configuration{'s' if mean.n_configurations > 1 else ''}: "
        f"{mean.value:.2f}x SB3 (95% bootstrap interval over pairs {mean.low:.2f} - {mean.high:.2f})"
    )


def as_table(grid: Grid) -> Table:
    """Return the table for a terminal."""
    table: Any = Table(
        title=grid.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for index, column in enumerate(grid.columns):
        table.add_column(column, justify="left" if index < grid.n_left else "right", no_wrap=True)
    for row in grid.rows:
        table.add_row(*row)
    return table  # type: ignore[no-any-return]


def as_markdown(grid: Grid) -> str:
    """Return the table in Markdown."""
    rule = ["---" if index < grid.n_left else "---:" for index in range(len(grid.columns))]
    rows = (grid.columns, tuple(rule), *grid.rows)
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)


def _factor(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def _milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"
