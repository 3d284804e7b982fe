"""Estimates over the seeds of one algorithm, and the columns in which they are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.formats import Cell
from harness.config import StatisticsConfig

__all__ = ["BOOTSTRAP_SEED", "Estimate", "Shown", "iqm", "mean", "mean_with_limits", "std"]

BOOTSTRAP_SEED = 0
"""Seed of every generator from which a table draws: equal results give equal tables."""


@dataclass(frozen=True)
class Shown:
    """A column of a table for readers."""

    table: Literal["summary", "terminal"]
    """Summary as Markdown, or its shorter version on the terminal, 80 columns wide."""

    header: str

    format: Callable[[str], Cell]
    """Function from the name of the estimate to the cell: `plain`, `interval`, ..."""


@dataclass(frozen=True)
class Estimate:
    """A number over the seeds of one algorithm in one environment: a column of summary.csv."""

    over_seeds: Callable[[pd.Series[float], StatisticsConfig], stats.Interval | float]
    """Function from one number per run, NaN if it has none; an interval adds the columns NAME_low and NAME_high."""

    name: str | None = None
    """Column of summary.csv; None stands for the metric's name."""

    shown: tuple[Shown, ...] = ()

    note: str = ""
    """Sentence below the summary, a template with {percent} (of the intervals) and {statistics.FIELD}."""


def mean(values: pd.Series[float], _: StatisticsConfig) -> float:
    """Return the mean over the seeds that have the number, NaN if none has."""
    return float(values.mean())


def mean_with_limits(values: pd.Series[float], statistics: StatisticsConfig) -> stats.Interval:
    """Return the mean over seeds with Student's t interval."""
    return stats.mean_interval(values.to_numpy(), statistics.confidence)


def iqm(values: pd.Series[float], statistics: StatisticsConfig) -> stats.Interval:
    """Return the interquartile mean over seeds with its percentile bootstrap interval."""
    # One generator per row and estimate: bit-equal algorithms must get equal intervals.
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return stats.iqm_interval(values.to_numpy(), rng, statistics.confidence, statistics.n_bootstrap)


def std(values: pd.Series[float], statistics: StatisticsConfig) -> stats.Interval:
    """Return the sample standard deviation over seeds with Bonett's interval."""
    return stats.std_interval(values.to_numpy(), statistics.confidence)
