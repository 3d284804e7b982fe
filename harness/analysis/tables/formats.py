"""Cells of the tables for readers: numbers rounded to the digits that a reader needs, intervals and p-values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

__all__ = ["Cell", "Row", "interval", "number", "p_value", "plain", "seeds", "share", "whole", "with_spread"]

Row = Mapping[str, Any]
Cell = Callable[[Row], str]


def number(value: float) -> str:
    """Return three or four significant digits, all integer digits of a large number, and a dash for NaN."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    if magnitude >= 100:
        return f"{value:.4g}"
    return f"{value:.3g}" if magnitude >= 1e-3 or value == 0 else f"{value:.1e}"


def plain(name: str) -> Cell:
    """Return a cell that shows the number or word in column `name`."""

    def show(row: Row) -> str:
        value = row[name]
        return number(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

    return show


def whole(name: str) -> Cell:
    """Return a cell that shows a whole number of any size without separators, and nothing where there is none."""
    return lambda row: "" if pd.isna(row[name]) else str(int(row[name]))


def interval(name: str) -> Cell:
    """Return a cell "estimate [low, high]" of the columns `name`, `name`_low and `name`_high."""

    def show(row: Row) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        limits = "" if math.isnan(low) else f" [{number(low)}, {number(high)}]"
        return f"{number(row[name])}{limits}"

    return show


def share(name: str) -> Cell:
    """Return a cell "12% [5%, 25%]" of the columns `name`, `name`_low and `name`_high."""
    return lambda row: f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"


def with_spread(spread: str) -> Callable[[str], Cell]:
    """Return a format "estimate ± spread", the spread taken from the column of that name."""
    return lambda name: lambda row: f"{number(row[name])} ± {number(row[spread])}"


def p_value(name: str) -> Cell:
    """Return a cell with the two leading digits of a p-value, which is never shown as 0."""

    def show(row: Row) -> str:
        value = row[name]
        return "–" if math.isnan(value) else "<0.0001" if value < 1e-4 else f"{value:.2g}"

    return show


def seeds(row: Row) -> str:
    """Return the number of seeds with a score, followed by the number of runs if some have none: "9/10"."""
    total = row["n_runs"]
    return f"{row['n_seeds']}/{total}" if row["n_seeds"] < total else f"{total}"
