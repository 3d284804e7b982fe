"""Data of one run, in the forms on which metrics are measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis import stats
from harness.config import StatisticsConfig

__all__ = ["RunData"]

FloatArray = npt.NDArray[np.float64]

GRID_POINTS = 101
"""Number of points at which a training curve is read: neighbours are 1% of the training apart."""


@dataclass(frozen=True, eq=False)
class RunData:
    """Rows of one run in the tables of `Results`, any of which may be empty."""

    episodes: pd.DataFrame
    evaluations: pd.DataFrame
    progress: pd.DataFrame
    statistics: StatisticsConfig

    @cached_property
    def last_episodes(self) -> stats.WindowSummary:
        """Mean and standard deviation of the returns of the last training episodes; NaN without episodes."""
        return stats.last_window(self._returns, self.statistics.last_episodes)

    @cached_property
    def rolling_variance(self) -> FloatArray:
        """Variance of the returns in each full window of episodes; empty unless there are more episodes than in one."""
        if not self._has_windows:
            return np.zeros(0)
        window = self.statistics.smoothing_window
        return stats.rolling_variance(self._returns, window)[window - 1 :]

    @cached_property
    def smoothed_curve(self) -> FloatArray:
        """Rolling mean of the returns at 101 equally spaced timesteps [101]; empty like `rolling_variance`."""
        if not self._has_windows:
            return np.zeros(0)
        window = self.statistics.smoothing_window
        smoothed = stats.rolling_mean(self._returns, window)[window - 1 :]
        steps = self.episodes["timestep"].to_numpy()[window - 1 :]
        return stats.interpolate_curve(steps, smoothed, np.linspace(steps[0], steps[-1], GRID_POINTS))

    def logged(self, *keys: str) -> pd.DataFrame:
        """Return the values logged under the keys: a row for each dump, a column for each key, NaN if absent.

        Rows with the same timestep are kept apart: the last two updates of a run are logged at the same timestep.
        """
        rows = self.progress[self.progress["key"].isin(keys)]
        if rows.empty:
            return pd.DataFrame(columns=list(keys), dtype=np.float64)
        if len(keys) == 1:  # nothing to join, which takes a hundred times longer
            return pd.DataFrame({keys[0]: rows["value"].to_numpy()})
        nth = rows.groupby(["timestep", "key"], observed=True).cumcount()
        # No two rows share all three, so that nothing has to be aggregated: pivot_table takes five times as long.
        indexed = pd.Series(
            rows["value"].to_numpy(),
            pd.MultiIndex.from_arrays(
                [rows["timestep"], nth, rows["key"].astype(str)], names=["timestep", "nth", "key"]
            ),
        )
        by_dump = indexed.unstack("key")  # noqa: PD010
        return by_dump.reindex(columns=list(keys))

    @property
    def _returns(self) -> FloatArray:
        return self.episodes["reward"].to_numpy()

    @property
    def _has_windows(self) -> bool:
        return len(self.episodes) > self.statistics.smoothing_window >= 2
