"""Curves of runs, made from the tidy tables: one for each run, and those of one algorithm on one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.frames import Results
from harness.analysis.stats import interpolate_curve

__all__ = ["Curve", "CurveGroup", "CurveGroups", "count_seeds", "is_complete", "on_grid", "run_curves"]

FloatArray = npt.NDArray[np.float64]

_GRID_POINTS = 200  # finer than a figure one column wide can show


@dataclass(frozen=True, eq=False)
class Curve:
    """Values that one run logged over its training."""

    seed: int
    complete: bool
    """False for a run that failed or was interrupted: it is drawn, but not summarised."""

    timesteps: FloatArray
    values: FloatArray


@dataclass(frozen=True, eq=False)
class CurveGroup:
    """Curves of one algorithm in one environment."""

    curves: tuple[Curve, ...]

    @property
    def complete(self) -> tuple[Curve, ...]:
        """Curves that a summary counts."""
        return tuple(curve for curve in self.curves if curve.complete)


CurveGroups = Mapping[tuple[str, str], CurveGroup]  # (algorithm, environment)


def is_complete(status: str) -> bool:
    """Return True if summaries count the run: a failed run stopped early, so its last level is not comparable."""
    return status in ("finished", "foreign")


def run_curves(
    results: Results,
    table: pd.DataFrame,
    column: str,
    transform: Callable[[FloatArray], FloatArray] = lambda values: values,
) -> CurveGroups:
    """Return a curve for each run in a table of `results`, its values transformed.

    Points that become NaN are dropped, and so are runs without any other point.
    """
    runs = results.runs
    status = dict(zip(zip(runs["algo"], runs["env"], runs["seed"], strict=True), runs["status"], strict=True))
    groups: dict[tuple[str, str], list[Curve]] = {}
    for identity, rows in table.groupby(["algo", "env", "seed"], observed=True):
        algo, env, seed = cast(tuple[str, str, int], identity)
        values = transform(rows[column].to_numpy(np.float64))
        there = ~np.isnan(values)
        if there.any():
            timesteps = rows["timestep"].to_numpy(np.float64)[there]
            curve = Curve(seed, is_complete(status[algo, env, seed]), timesteps, values[there])
            groups.setdefault((algo, env), []).append(curve)
    return {key: CurveGroup(tuple(curves)) for key, curves in groups.items()}


def on_grid(curves: Sequence[Curve]) -> tuple[FloatArray, FloatArray]:
    """Return a grid [T] and the curves' values on it [n, T], both empty if the curves have no time in common.

    The grid is that of the curves if they share one, and otherwise spans the time that all of them cover: the mean
    would jump where a seed begins or ends.
    """
    if not curves:
        return np.zeros(0), np.zeros((0, 0))
    first = curves[0].timesteps
    if all(np.array_equal(curve.timesteps, first) for curve in curves):
        grid = np.unique(first)
    else:
        begin = max(curve.timesteps[0] for curve in curves)
        end = min(curve.timesteps[-1] for curve in curves)
        grid = np.linspace(begin, end, _GRID_POINTS) if begin < end else np.zeros(0)
    return grid, np.stack([interpolate_curve(curve.timesteps, curve.values, grid) for curve in curves])


def count_seeds(results: Results, curves: CurveGroups) -> str:
    """Return the count of seeds for a figure's note: "10 seeds", "8 to 10 seeds (2 failed or missing runs ...)".

    It is the number of complete runs with a curve, for each algorithm in each environment.
    """
    counts = [len(group.complete) for group in curves.values()]
    low, high = min(counts, default=0), max(counts, default=0)
    seeds = f"{high} seed{'s' if high != 1 else ''}" if low == high else f"{low} to {high} seeds"
    broken = sum(not is_complete(status) for status in results.runs["status"])
    return seeds if not broken else f"{seeds} ({broken} failed or missing run{'s' if broken != 1 else ''} not counted)"
