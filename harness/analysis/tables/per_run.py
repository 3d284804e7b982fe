"""Table of runs: one number for each run and metric, from which all statistics are computed."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from harness.analysis.frames import Results
from harness.analysis.tables import metrics as declared
from harness.analysis.tables.estimand import score_failed_runs
from harness.analysis.tables.run_data import RunData
from harness.config import StatisticsConfig

__all__ = ["run_metrics", "with_seed_deviation"]

RunKey = tuple[str, str, int]  # algorithm, environment, seed


def run_metrics(results: Results, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each run, in the order of `results.runs`: its identity, status, cost, and every metric.

    A metric is NaN for a run that failed, is missing, or did not log what is measured.
    """
    runs = results.runs.drop(columns="path")
    measures = {metric.name: metric.measure for metric in declared.METRICS if metric.measure is not None}
    episodes, evaluations, progress = map(_by_run, (results.episodes, results.evaluations, results.progress))
    rows = []
    for run in runs.to_dict("records"):
        # A training that was interrupted or failed cannot be compared with a complete one.
        if run["status"] in ("finished", "foreign"):
            key = (run["algo"], run["env"], run["seed"])
            data = RunData(episodes(key), evaluations(key), progress(key), statistics)
            rows.append({name: measure(data) for name, measure in measures.items()})
        else:
            rows.append({})
    measured = pd.DataFrame(rows, index=runs.index, columns=list(measures), dtype=float)
    return with_seed_deviation(pd.concat([runs, measured], axis=1), statistics)


def with_seed_deviation(metrics: pd.DataFrame, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return the table with the distance of each score from the median score of its algorithm in its environment.

    A failed run counts as `statistics.failed_runs` says: an algorithm whose runs fail at times is not steady.
    """
    scores = score_failed_runs(metrics, statistics)
    medians = scores.groupby(["env", "algo"], observed=True)["score"].transform("median")
    return metrics.assign(**{declared.SEED_DEVIATION: (scores["score"] - medians).abs()})


def _by_run(table: pd.DataFrame) -> Callable[[RunKey], pd.DataFrame]:
    places = table.groupby(["algo", "env", "seed"], observed=True, sort=False).indices
    return lambda key: table.iloc[places.get(key, [])]
