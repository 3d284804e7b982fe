"""Notes below the tables: methods, definitions, and the coverage that the intervals reach at this number of seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables import metrics as declared
from harness.analysis.tables.aggregate_text import aggregate_notes
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.analysis.tables.text import markdown
from harness.config import StatisticsConfig

__all__ = ["table_notes"]

FAILED_RUNS = {
    "random": "the score of random actions, or the lowest score seen where that is not declared",
    "lowest": "the lowest score seen in its environment",
    "excluded": "nothing: only finished runs take part",
}
"""Rules of `statistics.failed_runs` in words."""


EFFECTS = (
    "These describe, and decide no verdict, except that A takes part in better and worse. Hedges g: difference "
    "in pooled standard deviations (ddof 1), corrected for few seeds. A: probability that a seed of the first scores "
    "higher, ties count half (Vargha and Delaney); it is the probability of improvement of the other tables. Cliff's "
    "delta is 2 A - 1, with the same interval. p-values here are not adjusted. Mann-Whitney tests equal "
    "distributions, Brunner-Munzel A = 1/2. Common seeds: r is the correlation of the two algorithms' scores over "
    "them; the paired test flips the signs of the differences, and g (paired) is in standard deviations of the "
    "differences. Pairing needs fewer seeds only if r is clearly positive, and below six pairs it can reject nothing "
    "at 5%; the verdict does not use it, as nobody knows r before the runs."
)
"""Meaning of the further effect sizes and tests."""

TASK = (
    "One number per run, tested as the scores are, Holm-adjusted over these rows. Success rate: share of the episodes "
    "of the final evaluation that end with `is_success`. 5% quantile, and mean of the worst tenth (CVaR 10%), of their "
    "returns; they need 20 and 10 episodes. What Monitor's `info_keywords` logged: mean over the last training "
    "episodes. A failed run has no success, and the score of failed runs as its worst episodes; of its infos nothing "
    "is known. Higher and lower, as only you know which is better."
)
"""Meaning of the metrics of the task."""

THRESHOLD = (
    "Steps at which the curve of a run is at or above the threshold for the first time; a noisy curve may be so by "
    "luck. The threshold is that of `statistics.thresholds`, or else Gymnasium's `reward_threshold`. Runs that never "
    "reach it count with all their steps (right-censored), failed ones as runs that never do. Median steps: Kaplan and "
    "Meier's, with Brookmeyer and Crowley's limits; ∞ where the runs give no limit, as with fewer than six. Steps are "
    "those of the evaluations: the truth lies up to one interval between them earlier. Logrank: permutation test of "
    "the logrank scores, which needs no large samples, Holm-adjusted over all pairs."
)
"""Method of the steps to a threshold."""

SELF_TEST = (
    "Labels exchanged: the runs of each environment get the names of its algorithms at random, and the whole family is "
    "judged anew, with the numbers of seeds, the sequential looks and the failed runs of this report. Halves of the "
    "seeds: each algorithm against itself. With a wrong claim: share of the repetitions in which the rule calls any "
    "pair better or worse, with Wilson's interval; the level is what it may be. What it cannot show: runs that were "
    "mixed are as unlike as the algorithms were, so that it tells of scores like these and not of all; halves have "
    "half the seeds; collapses that no run showed stay unseen; and below 4 seeds a side nothing can be claimed at 5%, "
    "so that nothing is wrong. Wrong claims of equivalence cannot occur where both sides are the same."
)
"""Method and limits of the self-test."""


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
            f"First − second: {percent} Welch interval. p: two-sided permutation test of the means over seeds, of all "
            "splits up to 200,000 and of 99,999 random ones beyond; (Holm): adjusted over all rows that were tested. "
            "p (rank): Brunner and Munzel's test that a seed of the first is as likely to score higher as lower; where "
            "it disagrees with p, the mean and the typical seed tell different stories. P(improvement): how likely a "
            "new seed of the first scores higher than one of the second. Equivalence is judged within "
            f"{statistics.equivalence_margin:.0%} of (best minus random), as declared in the configuration, allowing "
            "for scores between both that no seed showed. A failed run counts as "
            f"{FAILED_RUNS[statistics.failed_runs]}. Better, worse and equivalent are claimed at the level "
            f"{1 - statistics.confidence:.2g} over all rows together."
        ),
        "stability": (
            "Each measure is one number per run; a policy that learns nothing is perfectly stable, so compare the "
            "scores as well. All are tested by the permutation test, Holm-adjusted over all rows; failed runs are left "
            f"out.\n\n{measures}"
        ),
        "self_test": SELF_TEST,
        "task": TASK,
        "time_to_threshold": THRESHOLD,
        "effects": EFFECTS,
        **aggregate_notes(statistics),
    }


def _coverage_note(metrics: pd.DataFrame, statistics: StatisticsConfig) -> str:
    """Return the simulated coverage of the t interval at these numbers of seeds, for every kind of population."""
    counts = metrics.groupby(["env", "algo"], observed=True, sort=True)["score"].count()
    sizes = sorted({int(count) for count in counts if count > 1})
    if not sizes:
        return "One seed has no interval."
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    header = ["seeds", *(population.name for population in stats.POPULATIONS)]
    rows = [
        [str(n), *(f"{stats.t_coverage(kind, n, statistics.confidence, rng):.0%}" for kind in stats.POPULATIONS)]
        for n in sizes
    ]
    kinds = "; ".join(f"{population.name}: {population.meaning}" for population in stats.POPULATIONS)
    fewest = sizes[0]
    unseen = 1.0 - (1.0 - statistics.confidence) ** (1.0 / fewest)
    return (
        f"Coverage of the t interval that is called {statistics.confidence:.0%}, by simulation, for scores of four "
        f"kinds:\n\n{markdown(header, rows)}\n"
        f"{kinds[0].upper()}{kinds[1:]}. Which kind an algorithm's scores are, few seeds cannot tell: {fewest} seeds "
        f"without a collapse exclude only collapses in more than {unseen:.0%} of all runs."
    )
