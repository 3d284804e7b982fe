"""Summary table: every estimate over seeds, for each algorithm in each environment."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.estimand import score_failed_runs
from harness.analysis.tables.metrics import named_estimates
from harness.config import StatisticsConfig

__all__ = ["summary_table"]


def summary_table(metrics: pd.DataFrame, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each environment and each algorithm that was run there.

    metrics: from `run_metrics`. Columns NAME_low and NAME_high are the limits of the interval of NAME.
    n_runs: number of planned runs; n_seeds: number of runs that finished with a score. A failed run counts in the
    estimates of the score as `statistics.failed_runs` says, and in no other; a missing run counts in none.
    failure_rate: share of the runs that failed, of those that ended, with Wilson's limits.
    """
    groups = score_failed_runs(metrics, statistics).groupby(["env", "algo"], observed=True, sort=True)
    return pd.DataFrame([_row(str(env), str(algo), runs, statistics) for (env, algo), runs in groups])


def _row(env: str, algo: str, runs: pd.DataFrame, statistics: StatisticsConfig) -> dict[str, Any]:
    n_failed = int((runs["status"] == "failed").sum())
    n_missing = int((runs["status"] == "missing").sum())
    row = {
        "env": env,
        "algo": algo,
        "n_runs": len(runs),
        "n_seeds": int(runs.loc[runs["status"] != "failed", "score"].count()),
        "n_failed": n_failed,
        "n_missing": n_missing,
        **_columns("failure_rate", stats.share_interval(n_failed, len(runs) - n_missing, statistics.confidence)),
    }
    for name, metric, estimate in named_estimates():
        # The steps of a missing run are recorded as 0, which must not lower their mean.
        values = runs[metric.name].where(runs["status"] != "missing")
        row |= _columns(name, estimate.over_seeds(values, statistics))
    return row


def _columns(name: str, estimate: stats.Interval | float) -> dict[str, float]:
    if isinstance(estimate, stats.Interval):
        return {name: estimate.estimate, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return {name: estimate}
