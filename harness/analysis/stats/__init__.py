"""Statistics over seeds: pure functions of arrays, one number or one curve per seed.

The unit is a seed: never a time step, never an episode. NaN is a run that failed or is missing; it is left out of the
estimate and counted in the result. Functions that draw random numbers take a `numpy.random.Generator`.
"""

from harness.analysis.stats.aggregates import (
    AGGREGATES,
    Profile,
    aggregate_difference,
    aggregate_intervals,
    aggregates,
    expanded_limits,
    normalised,
    performance_profile,
    resampled_aggregates,
)
from harness.analysis.stats.aggregates_compared import improvement_over_tasks, stratified_permutation_test
from harness.analysis.stats.best import best_candidates
from harness.analysis.stats.coverage import Coverage, coverage_for_data, interval_coverage
from harness.analysis.stats.curves import Band, area_under_curve, interpolate_curve, iqm_curve
from harness.analysis.stats.effects import (
    brunner_munzel,
    cliffs_delta,
    hedges_g,
    mann_whitney,
    probability_of_improvement,
)
from harness.analysis.stats.equivalence import (
    Bounds,
    EquivalenceTest,
    equivalence_test,
    seeds_for_bounded_equivalence,
    tost_welch,
)
from harness.analysis.stats.factors import EffectTest, fill_missing, interaction, main_effect, seeds_for_effect
from harness.analysis.stats.intervals import (
    Interval,
    difference_interval,
    iqm,
    iqm_interval,
    mean_interval,
    share_interval,
    std_interval,
)
from harness.analysis.stats.landscape import Landscape, landscape
from harness.analysis.stats.paired import paired_g, paired_test, seed_correlation
from harness.analysis.stats.permutation import PermutationTest, holm, permutation_test, smallest_p
from harness.analysis.stats.planning import SeedRange, detectable_difference, seeds_needed
from harness.analysis.stats.populations import POPULATIONS, Population, t_coverage
from harness.analysis.stats.power import seeds_for_difference, seeds_for_equivalence, seeds_text
from harness.analysis.stats.rolling import WindowSummary, last_window, rolling_mean, rolling_variance
from harness.analysis.stats.samples import Sample, present
from harness.analysis.stats.sequential import SPENDING, Progress, SequentialDesign, Spending
from harness.analysis.stats.stability import (
    dispersion_across_runs,
    dispersion_across_time,
    drawdown,
    long_term_risk,
    max_drawdown,
    relative_drawdown,
    risk_across_runs,
    roughness,
    short_term_risk,
)
from harness.analysis.stats.steadiness import fluctuation, share_lost, unexplained_fall
from harness.analysis.stats.survival import Survival, first_passage, kaplan_meier, logrank_scores, logrank_test
from harness.analysis.stats.verdict import Outcome, Verdict, decide, verdict

__all__ = [
    "AGGREGATES",
    "POPULATIONS",
    "SPENDING",
    "Band",
    "Bounds",
    "Coverage",
    "EffectTest",
    "EquivalenceTest",
    "Interval",
    "Landscape",
    "Outcome",
    "PermutationTest",
    "Population",
    "Profile",
    "Progress",
    "Sample",
    "SeedRange",
    "SequentialDesign",
    "Spending",
    "Survival",
    "Verdict",
    "WindowSummary",
    "aggregate_difference",
    "aggregate_intervals",
    "aggregates",
    "area_under_curve",
    "best_candidates",
    "brunner_munzel",
    "cliffs_delta",
    "coverage_for_data",
    "decide",
    "detectable_difference",
    "difference_interval",
    "dispersion_across_runs",
    "dispersion_across_time",
    "drawdown",
    "equivalence_test",
    "expanded_limits",
    "fill_missing",
    "first_passage",
    "fluctuation",
    "hedges_g",
    "holm",
    "improvement_over_tasks",
    "interaction",
    "interpolate_curve",
    "interval_coverage",
    "iqm",
    "iqm_curve",
    "iqm_interval",
    "kaplan_meier",
    "landscape",
    "last_window",
    "logrank_scores",
    "logrank_test",
    "long_term_risk",
    "main_effect",
    "mann_whitney",
    "max_drawdown",
    "mean_interval",
    "normalised",
    "paired_g",
    "paired_test",
    "performance_profile",
    "permutation_test",
    "present",
    "probability_of_improvement",
    "relative_drawdown",
    "resampled_aggregates",
    "risk_across_runs",
    "rolling_mean",
    "rolling_variance",
    "roughness",
    "seed_correlation",
    "seeds_for_bounded_equivalence",
    "seeds_for_difference",
    "seeds_for_effect",
    "seeds_for_equivalence",
    "seeds_needed",
    "seeds_text",
    "share_interval",
    "share_lost",
    "short_term_risk",
    "smallest_p",
    "std_interval",
    "stratified_permutation_test",
    "t_coverage",
    "tost_welch",
    "unexplained_fall",
    "verdict",
]
