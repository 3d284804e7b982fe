"""Notes below the tables: methods, definitions, and the coverage that the intervals reach at this number of seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables import metrics as declared
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import StatisticsConfig

__all__ = ["table_notes"]

COVERAGE_TRIALS = 500


def table_notes(metrics: pd.DataFrame, statistics: StatisticsConfig) -> dict[str, str]:
    """Return the notes of each table by its name: methods and definitions that its readers need."""
    percent = f"{100 * statistics.confidence:g}%"
    estimates = " ".join(
        estimate.note.format(percent=percent, statistics=statistics)
        for _, _, estimate in declared.named_estimates()
        if estimate.note
    )
    measures = "\n".join(
        f"- {metric.title} ({metric.better} is better): {metric.meaning}."
        for metric in declared.METRICS
        if metric.better is not None
    )
    return {
        "summary": f"The unit is a seed. {estimates}\n\n{_coverage_note(metrics, statistics)}",
        "pairwise": (
            f"First − second: {percent} Welch interval. p: two-sided exact permutation test of the means over seeds; "
            "(Holm): adjusted over all rows that were tested. P(improvement): how likely a new seed of the first "
            "scores higher than one of the second. Equivalence is judged within "
            f"{statistics.equivalence_margin:.0%} of (best minus random), as declared in the configuration."
        ),
        "stability": (
            "Each measure is one number per run; a policy that learns nothing is perfectly stable, so compare the "
            f"scores as well. All are tested by the exact permutation test, Holm-adjusted over all rows.\n\n{measures}"
        ),
    }


def _coverage_note(metrics: pd.DataFrame, statistics: StatisticsConfig) -> str:
    """Return the simulated coverage of the t interval for samples of these sizes and shapes, in words."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    rates = []
    for _, runs in metrics.groupby(["env", "algo"], observed=True, sort=True):
        scores = runs["score"].dropna().to_numpy()
        if len(scores) < 2 or np.ptp(scores) == 0:
            continue
        coverage = stats.coverage_for_data(
            [scores],
            lambda x: stats.mean_interval(x, statistics.confidence),
            lambda x: float(np.mean(x)),
            rng,
            COVERAGE_TRIALS,
        )
        rates.append(coverage.rate)
    if not rates:
        return "Their real coverage cannot be simulated: no group has two different scores."
    return (
        f"For seeds as few as these and scores of these shapes, the t interval that is called "
        f"{statistics.confidence:.0%} covers the true mean in {min(rates):.0%} to {max(rates):.0%} of simulated "
        "experiments, depending on the row."
    )
