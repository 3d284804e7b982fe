"""How far two recordings are apart, and the table that says so. Without torch: this is what the command line shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

__all__ = ["QUANTITIES", "Differences", "differences_table", "largest_difference"]

QUANTITIES = ("advantages", "returns", "policy loss", "value loss", "gradients", "parameters")
"""In the order in which an update computes them."""

MISSING = math.nan


@dataclass(frozen=True)
class Differences:
    """One environment and seed."""

    env: str
    seed: int
    largest: Mapping[str, float]
    """Quantity -> largest absolute difference; 0 is bit for bit equal, infinite where the shapes or counts differ,
    NaN where neither implementation shows the quantity."""
    n_gradients: int
    """Optimiser steps compared."""

    @property
    def identical(self) -> bool:
        """Whether everything that could be seen is equal, to the bit."""
        return all(value == 0 or math.isnan(value) for value in self.largest.values())


def largest_difference(ours: Sequence[NDArray[np.float32]], theirs: Sequence[NDArray[np.float32]]) -> float:
    """Largest absolute difference over two sequences of arrays; see `Differences.largest`.

    Differences below float32's rounding still count: only equal numbers (NaN beside NaN, too) give 0.
    """
    if not ours and not theirs:
        return MISSING
    if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        return math.inf
    largest = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if not np.array_equal(a, b, equal_nan=True):
            with np.errstate(invalid="ignore"):
                gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
            # Infinity minus itself, or a number beside NaN, has no size, but is a difference all the same.
            largest = max(largest, float(np.nanmax(np.where(np.isnan(gap) & ~_same(a, b), np.inf, gap))))
    return largest


def _same(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = np.logical_or(np.isnan(a) & np.isnan(b), a == b)
    return same


def differences_table(found: Sequence[Differences], subject: str, reference: str) -> Table:
    """A row for each environment and seed; "0" says bit for bit equal."""
    title = f"Largest absolute difference, {subject} against {reference}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("environment", no_wrap=True)
    for name in (
        "seed",
        "steps",
        "advan-\ntages",
        "returns",
        "policy\nloss",
        "value\nloss",
        "gradi-\nents",
        "param-\neters",
    ):
        table.add_column(name, justify="right")
    for differences in found:
        cells = [_cell(differences.largest[name]) for name in QUANTITIES]
        table.add_row(differences.env, str(differences.seed), str(differences.n_gradients), *cells)
    return table


def _cell(value: float) -> str:
    if math.isnan(value):
        return "not shown"
    if math.isinf(value):
        return "[red]shape[/red]"
    return "[green]0[/green]" if value == 0 else f"[red]{value:.2g}[/red]"
