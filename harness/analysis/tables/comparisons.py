"""Comparisons of two algorithms: one test for each pair, environment and metric, adjusted together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.metrics import RETURN, Metric, compared_in
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import StatisticsConfig

__all__ = ["Comparison", "Pair", "compare_scores", "compare_stability"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two algorithms in one environment, with their rows of the table of runs."""

    env: str
    first: str
    second: str
    first_runs: pd.DataFrame
    second_runs: pd.DataFrame

    @property
    def identical(self) -> bool:
        """True if both trained to bit-equal parameters under every finished seed, of which there is at least one."""
        first, second = (
            {row.seed: row.parameters_digest for row in runs.itertuples() if row.status == "finished"}
            for runs in (self.first_runs, self.second_runs)
        )
        return bool(first) and first == second and all(first.values())

    def samples(self, metric: Metric) -> tuple[FloatArray, FloatArray]:
        """Return the metric of each run of the first and of the second algorithm, [n] and [m]; NaN if it has none."""
        return self.first_runs[metric.name].to_numpy(float), self.second_runs[metric.name].to_numpy(float)

    def judged_samples(self, metric: Metric) -> tuple[FloatArray, FloatArray]:
        """Return the samples such that higher is better: negated where lower is."""
        sign = 1.0 if metric.better == "higher" else -1.0
        first, second = self.samples(metric)
        return sign * first, sign * second


@dataclass(frozen=True)
class Comparison:
    """One metric of one pair: the test, the effect size, and the verdict on the first algorithm."""

    pair: Pair
    metric: Metric
    test: stats.PermutationTest
    g: stats.Interval
    verdict: stats.Verdict


def compare_scores(metrics: pd.DataFrame, statistics: StatisticsConfig) -> list[Comparison]:
    """Compare the final scores of every pair of algorithms in every environment; adjust the p-values by Holm's method.

    The baseline, if one is declared, is compared with every other algorithm, and these are all pairs.
    A bit-equal pair is not tested and does not count in Holm's adjustment.

    metrics: from `run_metrics`.
    """
    # A margin is declared in units of return: it says nothing about a metric of another unit.
    margins = {env: _margin(env, statistics) for env in metrics["env"].cat.categories}
    return _compare(metrics, compared_in("pairwise"), statistics, margins)


def compare_stability(metrics: pd.DataFrame, statistics: StatisticsConfig) -> list[Comparison]:
    """Compare every metric of stability as `compare_scores` does; Holm's adjustment counts all of them together."""
    return _compare(metrics, compared_in("stability"), statistics, margins={})


def _pairs(metrics: pd.DataFrame, baseline: str | None) -> Iterator[Pair]:
    for env, runs in metrics.groupby("env", observed=True, sort=True):
        algos = [algo for algo in runs["algo"].cat.categories if (runs["algo"] == algo).any()]
        pairs = list(itertools.combinations(algos, 2))
        if baseline is not None:
            pairs = [(algo, baseline) for algo in algos if baseline in algos and algo != baseline]
        for first, second in pairs:
            yield Pair(str(env), first, second, runs[runs["algo"] == first], runs[runs["algo"] == second])


def _compare(
    metrics: pd.DataFrame, compared: list[Metric], statistics: StatisticsConfig, margins: dict[str, float | None]
) -> list[Comparison]:
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    jobs = list(itertools.product(_pairs(metrics, statistics.baseline), compared))
    tests = [stats.permutation_test(*pair.samples(metric), rng) for pair, metric in jobs]
    raw = [math.nan if pair.identical else test.p_value for (pair, _), test in zip(jobs, tests, strict=True)]
    n_comparisons = max(int(np.isfinite(raw).sum()), 1)
    comparisons = []
    for (pair, metric), test, p_value in zip(jobs, tests, stats.holm(raw), strict=True):
        verdict = stats.verdict(
            *pair.judged_samples(metric),
            p_value=float(p_value),
            margin=margins.get(pair.env) if metric.unit == RETURN else None,
            identical=pair.identical,
            n_comparisons=n_comparisons,
        )
        g = stats.hedges_g(*pair.samples(metric), statistics.confidence)
        comparisons.append(Comparison(pair, metric, test, g, verdict))
    return comparisons


def _margin(env: str, statistics: StatisticsConfig) -> float | None:
    """Return the half-width of the zone of equivalence in units of return; None without declared reference scores."""
    reference = statistics.references.get(env)
    return None if reference is None else statistics.equivalence_margin * abs(reference.best - reference.random)
