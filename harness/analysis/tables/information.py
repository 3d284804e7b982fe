"""Metrics of what an environment tells at the end of an episode: numbers that Monitor logged of its infos."""

from __future__ import annotations

import pandas as pd

from harness.analysis.frames import Results
from harness.analysis.frames.files import INFO_PREFIX
from harness.analysis.tables.metrics import Metric
from harness.config import StatisticsConfig

__all__ = ["information_metrics", "with_information"]


def information_metrics(results: Results) -> list[Metric]:
    """Return a metric for every key of Monitor's `info_keywords` that some run has logged."""
    columns = [str(name) for name in results.episodes.columns if str(name).startswith(INFO_PREFIX)]
    return [
        Metric(
            name=name,
            title=f"{name.removeprefix(INFO_PREFIX)}, last episodes",
            unit="",
            better="higher",  # unknown: the table of the task says higher or lower, and not better or worse
            meaning="mean over the last training episodes",
            measure=None,
        )
        for name in columns
    ]


def with_information(metrics: pd.DataFrame, results: Results, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return the table of runs with a column for each of these metrics: the mean over the last training episodes.

    metrics: from `run_metrics`, in the order of `results.runs`.
    """
    names = [metric.name for metric in information_metrics(results)]
    if not names:
        return metrics
    keys = ["algo", "env", "seed"]
    last = results.episodes.groupby(keys, observed=True, sort=False).tail(statistics.last_episodes)
    means = last.groupby(keys, observed=True, sort=False)[names].mean().reset_index()
    joined = metrics[keys].merge(means, on=keys, how="left")
    complete = metrics["status"].isin(["finished", "foreign"]).to_numpy()
    return metrics.assign(**{name: joined[name].where(complete).to_numpy() for name in names})
