"""All metrics, each declared once: its measurement on a run, its meaning, and the tables in which it appears.

An entry of METRICS is a column of runs.csv and of summary.csv; every other appearance is declared with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.analysis import stats
from harness.analysis.tables.formats import interval, plain, with_spread
from harness.analysis.tables.run_data import RunData
from harness.analysis.tables.seed_estimates import Estimate, Shown, iqm, mean, mean_with_limits, std

__all__ = ["METRICS", "RETURN", "SEED_DEVIATION", "Metric", "compared_in", "named_estimates"]

SEED_DEVIATION = "seed_deviation"
"""Column of the distance of a score from the median of its algorithm's seeds."""

RETURN = "return"
"""Unit of the scores: the sum of an environment's rewards over an episode."""

ComparedIn = Literal["pairwise", "stability", "task"]


@dataclass(frozen=True)
class Metric:
    """One number for each run, and its place in the tables."""

    name: str
    """Column of runs.csv."""

    title: str
    """Name in the tables for readers."""

    unit: str
    """Unit of the number: "return", "nats", ...; "" if it has none."""

    better: Literal["higher", "lower"] | None
    """Direction of improvement; None for a cost or a count, on which no algorithm is judged."""

    meaning: str
    """Definition for the notes below a table, without a full stop."""

    measure: Callable[[RunData], float] | None
    """Function from a complete run to its number, NaN if the run did not log what is needed.
    None: the number is read from the run's record, which failed runs have, too, or from the scores of all runs."""

    estimates: tuple[Estimate, ...] = (Estimate(mean),)
    """Estimates over seeds in the summary."""

    compared: ComparedIn | None = None
    """Table in which every pair of algorithms is tested on this metric; needs a direction in `better`.
    Every metric added to a table makes Holm's adjustment of all its p-values stricter."""


def _median_kl(run: RunData) -> float:
    return float(run.logged("update/kl")["update/kl"].median())


def _ratio_spread(run: RunData) -> float:
    quantiles = run.logged("update/ratio_q01", "update/ratio_q99")
    return float((quantiles["update/ratio_q99"] - quantiles["update/ratio_q01"]).median())


METRICS: tuple[Metric, ...] = (
    Metric(
        name="score",
        title="final score",
        unit=RETURN,
        better="higher",
        meaning="mean return of the deterministic evaluation after training",
        measure=None,
        estimates=(
            Estimate(
                mean_with_limits,
                "mean",
                (Shown("summary", "mean score", interval), Shown("terminal", "mean score", interval)),
                note="Mean score: {percent} t interval over seeds.",
            ),
            Estimate(
                iqm,
                "iqm",
                (Shown("summary", "IQM", interval), Shown("terminal", "IQM", plain)),
                note="IQM: interquartile mean, {percent} percentile bootstrap, {statistics.n_bootstrap:,} resamples.",
            ),
            Estimate(
                std,
                "std",
                (Shown("summary", "std over seeds", interval), Shown("terminal", "std over\nseeds", plain)),
            ),
        ),
        compared="pairwise",
    ),
    Metric(
        name="auc",
        title="area under curve",
        unit=RETURN,
        better="higher",
        meaning="mean return of the evaluations over the whole training",
        measure=lambda run: stats.area_under_curve(run.evaluations["timestep"], run.evaluations["reward"]),
        estimates=(
            Estimate(
                mean_with_limits,
                shown=(Shown("summary", "AUC", interval),),
                note="AUC: mean return of the evaluations over the training, t interval.",
            ),
        ),
    ),
    Metric(
        name="last_mean",
        title="last episodes, mean",
        unit=RETURN,
        better="higher",
        meaning="mean return of the last training episodes",
        measure=lambda run: run.last_episodes.mean,
        estimates=(
            Estimate(
                mean,
                shown=(Shown("summary", "last episodes", with_spread("last_std")),),
                note=(
                    "Last episodes: mean ± standard deviation of the last {statistics.last_episodes} training "
                    "episodes, averaged over seeds."
                ),
            ),
        ),
    ),
    Metric(
        name="last_std",
        title="last episodes, std",
        unit=RETURN,
        better="lower",
        meaning="standard deviation of the returns of the last training episodes",
        measure=lambda run: run.last_episodes.std,
    ),
    Metric(
        name="rolling_variance",
        title="rolling variance",
        unit=f"{RETURN}²",
        better="lower",
        meaning="median over the training of the variance of the returns in a rolling window of episodes",
        measure=lambda run: float(np.median(run.rolling_variance)) if run.rolling_variance.size else math.nan,
        estimates=(
            Estimate(
                mean,
                shown=(Shown("summary", "rolling variance", plain),),
                note="Rolling variance: over {statistics.smoothing_window} episodes.",
            ),
        ),
    ),
    Metric(
        name="worst_change",
        title="worst changes",
        unit=RETURN,
        better="higher",
        meaning="mean of the worst 5% of the changes of the smoothed training curve from one percent to the next",
        measure=lambda run: stats.short_term_risk(run.smoothed_curve),
    ),
    Metric(
        name="max_drawdown",
        title="max drawdown",
        unit=RETURN,
        better="lower",
        meaning="deepest fall of the smoothed training curve below a value that it had reached before",
        measure=lambda run: stats.max_drawdown(run.smoothed_curve),
    ),
    Metric(
        name="share_lost",
        title="share lost again",
        unit="",
        better="lower",
        meaning=(
            "deepest fall as a share of all that the training had gained, from the lowest to the highest stretch: "
            "0 never falls, 1 loses everything"
        ),
        measure=lambda run: stats.share_lost(run.episodes["timestep"], run.episodes["reward"]),
        estimates=(
            Estimate(
                mean,
                shown=(Shown("summary", "share lost", plain), Shown("terminal", "share\nlost", plain)),
                note="Share lost: deepest fall of a training that luck does not explain, of all that it had gained.",
            ),
        ),
        compared="stability",
    ),
    Metric(
        name="deepest_fall",
        title="deepest fall",
        unit=RETURN,
        better="lower",
        meaning=(
            "largest fall of the mean return from one twentieth of the training to a later one, if it is beyond 3.5 "
            "standard errors of the luck of single episodes; else 0"
        ),
        measure=lambda run: stats.unexplained_fall(run.episodes["timestep"], run.episodes["reward"]),
        compared="stability",
    ),
    Metric(
        name="fluctuation",
        title="fluctuation",
        unit=RETURN,
        better="lower",
        meaning=(
            "standard deviation of the mean return between neighbouring stretches of the second half of training, "
            "without straight trends and without the luck of single episodes; around 0, and at times below, if the "
            "policy does not fluctuate"
        ),
        measure=lambda run: stats.fluctuation(run.episodes["timestep"], run.episodes["reward"]),
        estimates=(
            Estimate(mean, shown=(Shown("summary", "fluctuation", plain), Shown("terminal", "fluctu-\nation", plain))),
        ),
        compared="stability",
    ),
    Metric(
        name="score_std",
        title="std of the final policy",
        unit=RETURN,
        better="lower",
        meaning="standard deviation of the returns of one fixed policy, the last, over the episodes of its evaluation",
        measure=None,
        compared="stability",
    ),
    Metric(
        name=SEED_DEVIATION,
        title="spread over seeds",
        unit=RETURN,
        better="lower",
        meaning=(
            "distance of a seed's score from the median of all seeds of its algorithm, failed runs included: Brown and "
            "Forsythe's comparison of spreads, with the permutation test"
        ),
        measure=None,
        compared="stability",
    ),
    Metric(
        name="success_rate",
        title="success rate",
        unit="",
        better="higher",
        meaning="share of the episodes of the final evaluation that end with `is_success`; 0 for a failed run",
        measure=None,
        compared="task",
    ),
    Metric(
        name="score_q05",
        title="5% quantile of the episodes",
        unit=RETURN,
        better="higher",
        meaning="return that 19 of 20 episodes of the final evaluation reach",
        measure=None,
        compared="task",
    ),
    Metric(
        name="score_cvar10",
        title="worst tenth of the episodes",
        unit=RETURN,
        better="higher",
        meaning="mean return of the lowest tenth of the episodes of the final evaluation (CVaR 10%)",
        measure=None,
        compared="task",
    ),
    Metric(
        name="update_kl",
        title="KL per update",
        unit="nats",
        better="lower",
        meaning="median over the updates of KL(before, after), nats",
        measure=_median_kl,
        estimates=(
            Estimate(
                mean,
                shown=(Shown("summary", "KL per update", plain),),
                note=(
                    "KL per update, in nats: median over the updates, which are of unequal number and size, so that it "
                    "describes an algorithm and judges none."
                ),
            ),
        ),
    ),
    Metric(
        name="largest_kl",
        title="largest KL of an update",
        unit="nats",
        better="lower",
        meaning="largest KL(before, after) of an update, nats; more updates make it larger",
        measure=lambda run: float(run.logged("update/kl")["update/kl"].max()),
        estimates=(Estimate(mean, shown=(Shown("summary", "largest KL", plain),)),),
    ),
    Metric(
        name="ratio_spread",
        title="ratio spread per update",
        unit="",
        better="lower",
        meaning="median over the updates of the 99% minus the 1% quantile of the probability ratio after / before",
        measure=_ratio_spread,
    ),
    Metric(
        name="steps",
        title="steps",
        unit="environment steps",
        better=None,
        meaning="environment steps of the training",
        measure=None,
        estimates=(Estimate(mean, shown=(Shown("summary", "steps", plain),)),),
    ),
    Metric(
        name="train_seconds",
        title="seconds",
        unit="s",
        better=None,
        meaning="time of the training without evaluations",
        measure=None,
        estimates=(
            Estimate(
                mean,
                shown=(Shown("summary", "seconds", plain), Shown("terminal", "seconds", plain)),
                note="Seconds: training without evaluations.",
            ),
        ),
    ),
    Metric(
        name="fps",
        title="steps per second",
        unit="1/s",
        better=None,
        meaning="environment steps per second of training",
        measure=None,
    ),
)
"""All metrics, in the order of their columns."""


def named_estimates() -> Iterator[tuple[str, Metric, Estimate]]:
    """Return every estimate of the summary with its column and its metric, in the order of the table."""
    for metric in METRICS:
        for estimate in metric.estimates:
            yield estimate.name or metric.name, metric, estimate


def compared_in(table: ComparedIn) -> list[Metric]:
    """Return the metrics that a table compares, those without a unit first.

    Only a number without a unit is comparable between algorithms that reach different returns.
    """
    return sorted((metric for metric in METRICS if metric.compared == table), key=lambda metric: metric.unit != "")
