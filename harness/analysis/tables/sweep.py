"""Tables of a sweep: the tests of its factors, and every combination with its candidates for the best."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis import stats
from harness.analysis.stats.samples import FloatArray
from harness.analysis.tables.estimand import score_bounds, score_failed_runs
from harness.analysis.tables.metrics import SEED_DEVIATION, Metric, compared_in
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import StatisticsConfig
from harness.experiment.design import Design

__all__ = ["Effect", "Study", "cells_table", "effects_table", "studies", "sweep_effects"]

Family = Literal["pairwise", "stability"]

_AT_LEAST_ZERO = ("share_lost", "deepest_fall", "score_std", SEED_DEVIATION)

_MANY_NUMBERS = 4_000
"""Number of scores of one measure from which on fewer rearrangements are drawn."""


@dataclass(frozen=True, eq=False)
class Study:
    """One measure of a sweep in one environment."""

    env: str
    metric: Metric
    design: Design
    values: FloatArray
    """Number of each seed and combination, [S, ...]; NaN without one."""
    failed: npt.NDArray[np.int_]
    """Number of failed runs of each combination."""
    n_missing: int
    bounds: tuple[float, float]
    """Lowest and highest possible number, infinite where unknown."""

    @property
    def n_failed(self) -> int:
        """Number of failed runs."""
        return int(self.failed.sum())

    @property
    def higher_is_better(self) -> bool:
        """True if a higher number is better."""
        return self.metric.better == "higher"

    def averaged(self, factors: Sequence[int]) -> FloatArray:
        """Return the numbers of each seed, averaged over all other factors, with these factors in ascending order.

        Where all factors are kept, missing numbers stay NaN; otherwise the mean of the other seeds takes their place,
        as it would not be a mean over the same combinations.
        """
        others = tuple(axis + 1 for axis in range(len(self.design.factors)) if axis not in factors)
        if not others:
            return self.values
        filled, _ = stats.fill_missing(self.values)
        means: FloatArray = filled.mean(axis=others)
        return means

    def landscape(self, factors: Sequence[int], confidence: float) -> stats.Landscape:
        """Return the mean of every combination of levels of these factors, over all other factors."""
        return stats.landscape(
            self.averaged(factors), higher_is_better=self.higher_is_better, confidence=confidence, bounds=self.bounds
        )


@dataclass(frozen=True, eq=False)
class Effect:
    """Main effect of one factor, or interaction of two, on one measure in one environment."""

    study: Study
    factors: tuple[int, ...]
    test: stats.EffectTest | None
    """None if a combination has no number at all."""
    p_holm: float
    """p-value, adjusted by Holm's method over all effects of the same kind of measure in all environments."""
    share: float
    """Share of the variance of single runs, without that between seeds, that the effect explains; not below 0."""
    supported: tuple[int, ...]
    """Levels that may be the best, of a main effect."""
    seeds_needed: float

    @property
    def name(self) -> str:
        """Name of the factor, or of both: "clip_range x gae_lambda"."""
        return " x ".join(self.study.design.factors[place].name for place in self.factors)

    def level(self, places: Sequence[int]) -> str:
        """Return levels of the effect as text: "0.1", or "0.1, 0.95"."""
        texts = (self.study.design.factors[f].texts[p] for f, p in zip(self.factors, places, strict=True))
        return ", ".join(texts)


def studies(designs: Sequence[Design], metrics: pd.DataFrame, statistics: StatisticsConfig) -> list[Study]:
    """Return a study for each design, environment and compared measure: the scores first, then those of stability.

    A failed run counts in the score as `statistics.failed_runs` says, and in no measure of stability but the spread
    over seeds. metrics: from `run_metrics`.
    """
    scored = score_failed_runs(metrics, statistics)
    measures = [*compared_in("pairwise"), *compared_in("stability")]
    found = []
    for design, env, metric in itertools.product(designs, metrics["env"].cat.categories, measures):
        table = scored if metric.compared == "pairwise" else metrics
        runs = table[(table["env"] == env) & table["algo"].isin(design.points)]
        if not runs.empty:
            found.append(_study(str(env), metric, design, runs, _bounds(str(env), metric, metrics, statistics)))
    return found


def _bounds(env: str, metric: Metric, metrics: pd.DataFrame, statistics: StatisticsConfig) -> tuple[float, float]:
    if metric.name in _AT_LEAST_ZERO:
        return 0.0, 1.0 if metric.name == "share_lost" else math.inf
    if metric.name == "score" and env in statistics.references:
        # A reference for `random` is no lower bound of a score; `best` is the most that can be reached.
        return -math.inf, score_bounds(env, metrics, statistics)[1]
    return -math.inf, math.inf


def _study(env: str, metric: Metric, design: Design, runs: pd.DataFrame, bounds: tuple[float, float]) -> Study:
    seeds = sorted(runs["seed"].unique())
    values = np.full((len(seeds), *design.shape), np.nan)
    failed = np.zeros(design.shape, dtype=np.int_)
    for algo, seed, value in zip(runs["algo"], runs["seed"], runs[metric.name].astype(float), strict=True):
        values[(seeds.index(seed), *design.points[str(algo)])] = value
    for algo in runs.loc[runs["status"] == "failed", "algo"]:
        failed[design.points[str(algo)]] += 1
    return Study(env, metric, design, values, failed, int((runs["status"] == "missing").sum()), bounds)


def sweep_effects(found: Sequence[Study], statistics: StatisticsConfig) -> list[Effect]:
    """Test every main effect and every interaction of two factors; adjust the p-values by Holm's method.

    The scores of all environments are one family, all measures of stability another one, as in the other tables.
    """
    alpha = 1.0 - statistics.confidence
    effects: list[Effect] = []
    families: tuple[Family, ...] = ("pairwise", "stability")
    for family in families:
        jobs = [
            (study, factors, _tested(study, factors, statistics.confidence))
            for study in found
            if study.metric.compared == family
            for factors in _effects_of(study.design)
        ]
        p_values = [math.nan if test is None else test.p_value for _, _, test in jobs]
        n_tests = max(sum(not math.isnan(p) for p in p_values), 1)
        for (study, factors, test), p_holm in zip(jobs, stats.holm(p_values), strict=True):
            supported: tuple[int, ...] = ()
            if len(factors) == 1:
                # Without a visible effect no level is worse: the factor's test guards the comparisons of its levels.
                marked = study.landscape(factors, statistics.confidence).candidates | (not p_holm < alpha)
                supported = tuple(int(place) for place in np.flatnonzero(marked))
            needed = math.nan if test is None else stats.seeds_for_effect(test, alpha=alpha / n_tests)
            effects.append(Effect(study, factors, test, float(p_holm), _share(study, test), supported, needed))
    return effects


def _effects_of(design: Design) -> Iterator[tuple[int, ...]]:
    places = range(len(design.factors))
    yield from ((place,) for place in places)
    yield from itertools.combinations(places, 2)


def _tested(study: Study, factors: tuple[int, ...], confidence: float) -> stats.EffectTest | None:
    filled, _ = stats.fill_missing(study.values)
    if not filled.size or np.isnan(filled).any():
        return None
    others = tuple(axis + 1 for axis in range(len(study.design.factors)) if axis not in factors)
    scores = filled.mean(axis=others)
    # A generator of its own for each test: a p-value must not depend on the tests before it.
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    n_resamples = 9_999 if scores.size <= _MANY_NUMBERS else 1_999
    test = stats.main_effect if len(factors) == 1 else stats.interaction
    return test(scores, rng, confidence=confidence, n_resamples=n_resamples)


def _share(study: Study, test: stats.EffectTest | None) -> float:
    if test is None or math.isnan(test.variance):
        return math.nan
    filled, _ = stats.fill_missing(study.values)
    runs = filled.reshape(filled.shape[0], -1)
    total = float(((runs - runs.mean(axis=1, keepdims=True)) ** 2).mean())
    return max(0.0, test.variance) / total if total > 0.0 else 0.0


def effects_table(effects: Sequence[Effect], statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each environment, measure and effect: its test, its size, and what would show it.

    difference: of the means of the levels `highest` and `lowest`; of an interaction the largest departure from the sum
    of the main effects, which the combination `highest` has. supported: levels that may be the best.
    """
    return pd.DataFrame([_effect_row(effect, 1.0 - statistics.confidence) for effect in effects])


def _effect_row(effect: Effect, alpha: float) -> dict[str, Any]:
    study, test = effect.study, effect.test
    difference = None if test is None else test.difference
    is_main = len(effect.factors) == 1
    texts = study.design.factors[effect.factors[0]].texts
    return {
        "sweep": study.design.name,
        "env": study.env,
        "measure": study.metric.title,
        "effect": effect.name,
        "n_seeds": 0 if test is None else test.n_seeds,
        "n_failed": study.n_failed,
        "n_missing": study.n_missing,
        "p": math.nan if test is None else test.p_value,
        "p_holm": effect.p_holm,
        "smallest_p": math.nan if test is None else test.smallest_p,
        "share": effect.share,
        "difference": math.nan if difference is None else difference.estimate,
        "difference_low": math.nan if difference is None else difference.low,
        "difference_high": math.nan if difference is None else difference.high,
        "highest": "" if test is None else effect.level(test.high),
        "lowest": "" if test is None or not is_main else effect.level(test.low),
        "supported": ", ".join(texts[place] for place in effect.supported),
        "seeds_needed": effect.seeds_needed,
        "verdict": verdict_of(effect, alpha),
    }


def verdict_of(effect: Effect, alpha: float) -> str:
    """Return "matters", "inconclusive", or "not tested"."""
    if math.isnan(effect.p_holm):
        return "not tested"
    return "matters" if effect.p_holm < alpha else "inconclusive"


def cells_table(found: Sequence[Study], statistics: StatisticsConfig) -> pd.DataFrame:
    """Return a row for each environment, measure and combination: mean, t interval, seeds, and two marks.

    may_be_best: no other combination is shown to be better; default: its levels are the usual ones.
    """
    rows = []
    for study in found:
        factors = study.design.factors
        land = study.landscape(range(len(factors)), statistics.confidence)
        for label, places in study.design.points.items():
            rows.append(
                {
                    "sweep": study.design.name,
                    "env": study.env,
                    "measure": study.metric.title,
                    "algo": label,
                    **{factor.name: factor.texts[place] for factor, place in zip(factors, places, strict=True)},
                    "mean": float(land.mean[places]),
                    "mean_low": float(land.low[places]),
                    "mean_high": float(land.high[places]),
                    "n_seeds": int(land.n_seeds[places]),
                    "may_be_best": bool(land.candidates[places]),
                    "default": label == study.design.default,
                }
            )
    return pd.DataFrame(rows)
