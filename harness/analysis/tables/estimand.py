"""Scores of all runs that were started: a failed run counts by a declared rule, and is never left out silently."""

from __future__ import annotations

import math

import pandas as pd

from harness.config import StatisticsConfig

__all__ = ["failed_score", "failed_score_in_words", "score_bounds", "score_failed_runs"]


def score_failed_runs(metrics: pd.DataFrame, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return the table of runs with a score for each failed run, by the rule `failed_runs` of the configuration.

    Dropping failed runs would compare the luckier half of an algorithm with all runs of another. Missing runs were not
    started, and keep NaN.
    metrics: from `run_metrics`.
    """
    failed = metrics["status"] == "failed"
    if not failed.any():
        return metrics
    scores = metrics["score"].astype(float).copy()
    for env in metrics.loc[failed, "env"].astype(str).unique():
        scores[failed & (metrics["env"] == env)] = failed_score(env, metrics, statistics)
    return metrics.assign(score=scores)


def failed_score(env: str, metrics: pd.DataFrame, statistics: StatisticsConfig) -> float:
    """Return the score that a failed run of an environment counts as, in units of return; NaN if it is left out.

    metrics: from `run_metrics`, before `score_failed_runs`.
    """
    match statistics.failed_runs:
        case "excluded":
            return math.nan
        case "random" if env in statistics.references:
            return float(statistics.references[env].random)
    return float(metrics.loc[(metrics["env"] == env) & (metrics["status"] != "failed"), "score"].min())


def failed_score_in_words(env: str, score: float, statistics: StatisticsConfig) -> str:
    """Return how failed runs are scored, as the end of a sentence: "count as 22, the score of random actions"."""
    if statistics.failed_runs == "excluded" or math.isnan(score):
        return "are left out"
    if statistics.failed_runs == "random" and env in statistics.references:
        return f"count as {score:.4g}, the score of random actions"
    return f"count as {score:.4g}, the lowest score seen"


def score_bounds(env: str, metrics: pd.DataFrame, statistics: StatisticsConfig) -> tuple[float, float]:
    """Return the lowest and the highest score that a run of an environment is assumed to be able to reach.

    They are the declared reference scores, or the lowest and highest score seen if those lie outside or none is
    declared; (NaN, NaN) without any score.
    """
    scores = metrics.loc[metrics["env"] == env, "score"].astype(float)
    low, high = float(scores.min()), float(scores.max())
    reference = statistics.references.get(env)
    if reference is None:
        return low, high
    return min(x for x in (reference.random, low) if not math.isnan(x)), max(
        x for x in (reference.best, high) if not math.isnan(x)
    )
