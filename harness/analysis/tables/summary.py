"""The summary table: what each algorithm reached on each environment, with intervals over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.config import StatisticsConfig

__all__ = ["BOOTSTRAP_SEED", "summary_table"]

BOOTSTRAP_SEED = 0
"""Every table draws its own generator from this seed: the same results give the same table."""


def summary_table(metrics: pd.DataFrame, statistics: StatisticsConfig) -> pd.DataFrame:
    """One row for each environment and algorithm that was run there.

    metrics: of `run_metrics`. Columns ending in _low and _high are the limits of the interval of what stands before.
    n_runs: all that there should be; n_seeds: those with a score. Failed and missing runs are counted and nowhere
    replaced by a number.
    """
    groups = metrics.groupby(["env", "algo"], observed=True, sort=True)
    return pd.DataFrame([_row(str(env), str(algo), runs, statistics) for (env, algo), runs in groups])


def _row(env: str, algo: str, runs: pd.DataFrame, statistics: StatisticsConfig) -> dict[str, Any]:
    # Anew for every row: bit-equal algorithms shall have equal intervals.
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    scores = runs["score"].to_numpy()
    confidence = statistics.confidence
    mean = stats.mean_interval(scores, confidence)
    return {
        "env": env,
        "algo": algo,
        "n_runs": len(runs),
        "n_seeds": mean.n,
        "n_failed": int((runs["status"] == "failed").sum()),
        "n_missing": int((runs["status"] == "missing").sum()),
        **_limits("mean", mean),
        **_limits("iqm", stats.iqm_interval(scores, rng, confidence, statistics.n_bootstrap)),
        **_limits("std", stats.std_interval(scores, confidence)),
        **_limits("auc", stats.mean_interval(runs["auc"].to_numpy(), confidence)),
        "last_mean": _mean(runs["last_mean"]),
        "last_std": _mean(runs["last_std"]),
        "rolling_variance": _mean(runs["rolling_variance"]),
        "dispersion": _mean(runs["dispersion"]),
        "worst_change": _mean(runs["worst_change"]),
        "max_drawdown": _mean(runs["max_drawdown"]),
        "relative_drawdown": _mean(runs["relative_drawdown"]),
        "roughness": _mean(runs["roughness"]),
        "kl_tail": _mean(runs["kl_tail"]),
        "update_kl": _mean(runs["update_kl"]),
        "ratio_spread": _mean(runs["ratio_spread"]),
        "steps": _mean(runs["steps"].where(runs["status"] != "missing")),
        "train_seconds": _mean(runs["train_seconds"]),
        "fps": _mean(runs["fps"]),
    }


def _limits(name: str, interval: stats.Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _mean(column: pd.Series[float]) -> float:
    """Mean over the seeds that have the number; NaN when none has."""
    return float(column.mean())
