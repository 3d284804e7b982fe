"""One number for each run and measure: the seeds that all statistics are computed over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.frames import Results
from harness.config import StatisticsConfig

__all__ = ["METRICS", "Metric", "run_metrics"]

GRID_POINTS = 101
"""Points at which a training curve is read: each step between two of them is 1% of the training."""


@dataclass(frozen=True)
class Metric:
    """A measure of one run."""

    name: str
    """Column of the table of runs."""

    title: str
    """What people read, with the unit."""

    better: str
    """ "higher" or "lower"."""

    meaning: str
    """One sentence for the notes of a table."""


METRICS = (
    Metric("score", "final score", "higher", "mean return of the deterministic evaluation after training"),
    Metric("auc", "area under curve", "higher", "mean return of the evaluations over the whole training"),
    Metric("last_mean", "last episodes, mean", "higher", "mean return of the last training episodes"),
    Metric(
        "last_std", "last episodes, std", "lower", "standard deviation of the returns of the last training episodes"
    ),
    Metric(
        "rolling_variance",
        "rolling variance",
        "lower",
        "median over the training of the variance of the returns in a rolling window of episodes",
    ),
    Metric(
        "dispersion",
        "dispersion",
        "lower",
        "interquartile range of the changes of the smoothed training curve from one percent to the next",
    ),
    Metric(
        "worst_change",
        "worst changes",
        "higher",
        "mean of the worst 5% of the changes of the smoothed training curve from one percent to the next",
    ),
    Metric(
        "max_drawdown",
        "max drawdown",
        "lower",
        "deepest fall of the smoothed training curve below a value that it had reached before",
    ),
    Metric(
        "relative_drawdown",
        "relative drawdown",
        "lower",
        "max drawdown as a share of the range of the smoothed training curve: 0 never falls, 1 loses all it gained",
    ),
    Metric(
        "roughness",
        "roughness",
        "lower",
        "length of all rises and falls of the smoothed training curve over its range: 1 goes straight up",
    ),
    Metric(
        "kl_tail",
        "KL tail",
        "lower",
        "99% quantile over the updates of KL(before, after), as a multiple of the median: how wild the wildest are",
    ),
    Metric("update_kl", "KL per update", "lower", "median over the updates of KL(before, after), nats"),
    Metric(
        "ratio_spread",
        "ratio spread per update",
        "lower",
        "median over the updates of the 99% minus the 1% quantile of the probability ratio after / before",
    ),
)


def run_metrics(results: Results, statistics: StatisticsConfig) -> pd.DataFrame:
    """One row for each run, in the order of `results.runs`: its identity, status, cost, and every measure.

    A measure that a run does not have (it failed, or did not log it) is NaN.
    """
    runs = results.runs.drop(columns="path")
    measured = pd.DataFrame(_NOTHING, index=runs.index)
    episodes = _by_run(results.episodes)
    evaluations = _by_run(results.evaluations)
    updates = _by_run(results.progress[results.progress["key"].isin(_UPDATE_KEYS)])
    for index, run in runs.iterrows():
        if run["status"] not in ("finished", "foreign"):
            continue  # half a training is not comparable with a whole one
        key = (run["algo"], run["env"], run["seed"])
        values = {
            **_of_episodes(episodes(key), statistics),
            **_of_evaluations(evaluations(key)),
            **_of_updates(updates(key)),
        }
        for name, value in values.items():
            measured.loc[index, name] = value
    return pd.concat([runs, measured], axis=1)


_NOTHING = {metric.name: math.nan for metric in METRICS if metric.name != "score"}
_UPDATE_KEYS = ("update/kl", "update/ratio_q01", "update/ratio_q99")


def _by_run(table: pd.DataFrame) -> Callable[[tuple[str, str, int]], pd.DataFrame]:
    groups = dict(iter(table.groupby(["algo", "env", "seed"], observed=True, sort=False)))
    return lambda key: groups.get(key, table.iloc[:0])


def _of_episodes(episodes: pd.DataFrame, statistics: StatisticsConfig) -> dict[str, float]:
    rewards = episodes["reward"].to_numpy()
    if len(rewards) == 0:
        return {}
    last = stats.last_window(rewards, statistics.last_episodes)
    values = {"last_mean": last.mean, "last_std": last.std}
    window = statistics.smoothing_window
    if len(rewards) > window >= 2:
        variance = stats.rolling_variance(rewards, window)[window - 1 :]
        smoothed = stats.rolling_mean(rewards, window)[window - 1 :]
        steps = episodes["timestep"].to_numpy()[window - 1 :]
        curve = stats.interpolate_curve(steps, smoothed, np.linspace(steps[0], steps[-1], GRID_POINTS))
        values |= {
            "rolling_variance": float(np.median(variance)),
            "dispersion": stats.dispersion_across_time(curve),
            "worst_change": stats.short_term_risk(curve),
            "max_drawdown": stats.max_drawdown(curve),
            "relative_drawdown": stats.relative_drawdown(curve),
            "roughness": stats.roughness(curve),
        }
    return values


def _of_evaluations(evaluations: pd.DataFrame) -> dict[str, float]:
    if evaluations.empty:
        return {}
    return {"auc": stats.area_under_curve(evaluations["timestep"].to_numpy(), evaluations["reward"].to_numpy())}


def _of_updates(updates: pd.DataFrame) -> dict[str, float]:
    if updates.empty:
        return {}
    # The last two updates of a run are logged at the same timestep.
    nth = updates.groupby(["timestep", "key"], observed=True).cumcount()
    by_key = updates.assign(nth=nth).pivot_table(
        index=["timestep", "nth"], columns="key", values="value", observed=True
    )
    values = {}
    if "update/kl" in by_key:
        median = float(by_key["update/kl"].median())
        values["update_kl"] = median
        values["kl_tail"] = float(by_key["update/kl"].quantile(0.99)) / median if median > 0 else math.nan
    if {"update/ratio_q01", "update/ratio_q99"} <= set(by_key.columns):
        values["ratio_spread"] = float((by_key["update/ratio_q99"] - by_key["update/ratio_q01"]).median())
    return values
