"""Steps until a run reaches the score that counts as a solution, with the runs that never do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.frames import Results
from harness.analysis.tables.comparisons import pairs_of
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import StatisticsConfig

__all__ = ["REWARD_THRESHOLDS", "passage_table", "passages", "time_to_threshold_table"]

REWARD_THRESHOLDS: Mapping[str, float] = {
    "Acrobot-v1": -100.0,
    "Ant-v4": 6000.0,
    "Ant-v5": 6000.0,
    "BipedalWalker-v3": 300.0,
    "BipedalWalkerHardcore-v3": 300.0,
    "CarRacing-v3": 900.0,
    "CartPole-v0": 195.0,
    "CartPole-v1": 475.0,
    "FrozenLake-v1": 0.7,
    "FrozenLake8x8-v1": 0.85,
    "HalfCheetah-v4": 4800.0,
    "HalfCheetah-v5": 4800.0,
    "Hopper-v4": 3800.0,
    "Hopper-v5": 3800.0,
    "InvertedDoublePendulum-v4": 9100.0,
    "InvertedDoublePendulum-v5": 9100.0,
    "InvertedPendulum-v4": 950.0,
    "InvertedPendulum-v5": 950.0,
    "LunarLander-v3": 200.0,
    "LunarLanderContinuous-v3": 200.0,
    "MountainCar-v0": -110.0,
    "MountainCarContinuous-v0": 90.0,
    "Pusher-v4": 0.0,
    "Pusher-v5": 0.0,
    "Reacher-v4": -3.75,
    "Reacher-v5": -3.75,
    "Swimmer-v4": 360.0,
    "Swimmer-v5": 360.0,
    "Taxi-v4": 8.0,
}
"""Environment id -> `spec.reward_threshold` of Gymnasium 1.x, which a report must not import."""

PASSAGES = ("env", "algo", "seed", "status", "threshold", "declared", "measured_on", "steps", "reached", "digest")
COLUMNS = (
    *("env", "algo", "threshold", "declared", "measured_on", "n_runs", "n_failed", "n_reached"),
    *("reached", "reached_low", "reached_high", "median", "median_low", "median_high"),
)
PAIR_COLUMNS = ("env", "first", "second", "n_reached_first", "n_reached_second", "p", "p_holm", "earlier")


def passages(results: Results, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each run of the environments that have a threshold: when it reached it, or that it did not.

    threshold: from `statistics.thresholds`; without an entry there, of REWARD_THRESHOLDS (then `declared` is False).
    measured_on: "evaluations" if all completed runs of the environment have some, else "training returns", smoothed
    over `statistics.smoothing_window` episodes.
    steps: first step at which that curve is at or above the threshold; if `reached` is False, the steps of the run. A
    failed run counts as one that never reached it within the usual budget, whatever it had reached before it failed.
    Missing runs are left out.
    """
    rows: list[dict[str, Any]] = []
    for env, runs in results.runs.groupby("env", observed=True, sort=True):
        threshold = statistics.thresholds.get(str(env), REWARD_THRESHOLDS.get(str(env)))
        started = runs[runs["status"] != "missing"]
        completed = started[started["status"] != "failed"]
        if threshold is None or completed.empty:
            continue
        source, curve_of = _curves(results, str(env), completed, statistics)
        for run in started.to_dict("records"):
            at = math.nan
            if run["status"] != "failed":
                at = stats.first_passage(*curve_of(str(run["algo"]), int(run["seed"])), threshold)
            budget = float(completed["steps"].median()) if run["status"] == "failed" else float(run["steps"])
            rows.append(
                {
                    **{name: run[name] for name in ("env", "algo", "seed", "status")},
                    "threshold": float(threshold),
                    "declared": str(env) in statistics.thresholds,
                    "measured_on": source,
                    "steps": budget if math.isnan(at) else at,
                    "reached": not math.isnan(at),
                    "digest": run["parameters_digest"],
                }
            )
    table = pd.DataFrame(rows, columns=list(PASSAGES))
    kinds = {name: results.runs[name].dtype for name in ("env", "algo")}
    return table.astype(cast(Any, kinds))


_Curve = tuple["pd.Series[float]", "pd.Series[float]"]


def _curves(
    results: Results, env: str, completed: pd.DataFrame, statistics: StatisticsConfig
) -> tuple[str, Callable[[str, int], _Curve]]:
    """Return the name of the curves of an environment that all its completed runs have, and the curve of a run."""
    evaluations = _by_run(results.evaluations, env)
    keys = set(zip(completed["algo"].astype(str), completed["seed"].astype(int), strict=True))
    if keys <= evaluations.keys():
        return "evaluations", lambda algo, seed: _columns(evaluations.get((algo, seed)))
    episodes = _by_run(results.episodes, env)
    window = statistics.smoothing_window

    def smoothed(algo: str, seed: int) -> _Curve:
        steps, rewards = _columns(episodes.get((algo, seed)))
        if len(rewards) < window:
            return steps[:0], rewards[:0]
        mean = stats.rolling_mean(rewards.to_numpy(float), window)[window - 1 :]
        return steps[window - 1 :], pd.Series(mean)

    return "training returns", smoothed


def _by_run(table: pd.DataFrame, env: str) -> dict[tuple[str, int], pd.DataFrame]:
    own = table[table["env"] == env]
    return {
        (str(algo), int(cast(int, seed))): rows for (algo, seed), rows in own.groupby(["algo", "seed"], observed=True)
    }


def _columns(rows: pd.DataFrame | None) -> _Curve:
    if rows is None:
        return pd.Series(dtype=float), pd.Series(dtype=float)
    return rows["timestep"], rows["reward"]


def time_to_threshold_table(found: pd.DataFrame, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each algorithm in each environment with a threshold: the median steps until it is reached.

    reached: share of the runs, with Wilson's limits. median: Kaplan-Meier's, inf if fewer than half of the runs
    reach it; an upper limit of inf says that the runs do not bound it.
    found: from `passages`.
    """
    rows: list[dict[str, Any]] = []
    for (env, algo), own in found.groupby(["env", "algo"], observed=True, sort=True):
        curve = stats.kaplan_meier(own["steps"], own["reached"], statistics.confidence)
        share = stats.share_interval(curve.n_reached, len(own), statistics.confidence)
        rows.append(
            {
                "env": str(env),
                "algo": str(algo),
                **{name: own[name].iloc[0] for name in ("threshold", "declared", "measured_on")},
                "n_runs": len(own),
                "n_failed": int((own["status"] == "failed").sum()),
                "n_reached": curve.n_reached,
                "reached": share.estimate,
                "reached_low": share.low,
                "reached_high": share.high,
                "median": curve.median.estimate,
                "median_low": curve.median.low,
                "median_high": curve.median.high,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def passage_table(found: pd.DataFrame, metrics: pd.DataFrame, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each pair of algorithms: the logrank test of the steps, Holm-adjusted over all rows.

    earlier: algorithm that reaches the threshold earlier, at the level of the report; "inconclusive", or "identical".
    found: from `passages`; metrics: from `run_metrics`.
    """
    rows: list[dict[str, Any]] = []
    p_values: list[float] = []
    repeats: list[int] = []
    seen: dict[tuple[str, frozenset[str]], int] = {}
    originals: dict[tuple[str, str], str] = {}
    for pair in pairs_of(metrics, statistics):
        first, second = (_of(found, pair.env, algo) for algo in (pair.first, pair.second))
        if first.empty or second.empty:
            continue
        if pair.identical:
            originals.setdefault((pair.env, pair.second), originals.get((pair.env, pair.first), pair.first))
        names = frozenset(originals.get((pair.env, algo), algo) for algo in (pair.first, pair.second))
        place = len(rows)
        repeats.append(seen.setdefault((pair.env, names), place))
        test = stats.logrank_test(
            *(first["steps"], first["reached"], second["steps"], second["reached"]),
            np.random.default_rng(BOOTSTRAP_SEED),
        )
        # Two constant sides cannot be told apart by a test of permutations of nothing.
        p_values.append(math.nan if pair.identical or repeats[-1] != place else test.p_value)
        rows.append(
            {
                "env": pair.env,
                "first": pair.first,
                "second": pair.second,
                "n_reached_first": int(first["reached"].sum()),
                "n_reached_second": int(second["reached"].sum()),
                "p": test.p_value,
                "earlier": "identical" if pair.identical else (pair.second, pair.first)[test.difference > 0],
            }
        )
    adjusted = stats.holm(p_values)
    for row, place in zip(rows, repeats, strict=True):
        row["p_holm"] = float(adjusted[place])
        if row["earlier"] != "identical" and not row["p_holm"] < 1.0 - statistics.confidence:
            row["earlier"] = "inconclusive"
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def _of(found: pd.DataFrame, env: str, algo: str) -> pd.DataFrame:
    return found[(found["env"] == env) & (found["algo"] == algo)]
