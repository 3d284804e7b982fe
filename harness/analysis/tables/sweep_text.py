"""Findings of a sweep in words: a sentence for each environment, and the table of effects for readers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.formats import Cell, interval, number, p_value, plain
from harness.analysis.tables.notes import FAILED_RUNS
from harness.analysis.tables.sweep import Effect, Study, verdict_of
from harness.analysis.tables.text import markdown
from harness.config import StatisticsConfig

__all__ = ["findings", "short_verdict", "sweep_cells", "sweep_markdown", "sweep_note"]

MOST_LISTED = 6
"""Largest number of levels or combinations that a sentence lists."""

_COLUMNS: dict[str, Cell] = {
    "environment": plain("env"),
    "measure": plain("measure"),
    "effect": plain("effect"),
    "seeds": plain("n_seeds"),
    "p": p_value("p"),
    "p (Holm)": p_value("p_holm"),
    "share of variance": lambda row: "–" if math.isnan(row["share"]) else f"{row['share']:.0%}",
    "largest difference": interval("difference"),
    "highest": plain("highest"),
    "lowest": plain("lowest"),
    "may be best": plain("supported"),
    "seeds needed": lambda row: "" if row["verdict"] == "matters" else stats.seeds_text(row["seeds_needed"]),
    "verdict": plain("verdict"),
}


def findings(found: Sequence[Study], effects: Sequence[Effect], statistics: StatisticsConfig) -> dict[str, str]:
    """Return for each environment what matters, which values may be best, and what is inconclusive, as sentences.

    Keys: the environment, with the names of the factors if there are several sweeps.
    """
    several = len({id(study.design) for study in found}) > 1
    told: dict[str, str] = {}
    for study in found:
        if study.metric.compared != "pairwise":
            continue
        key = f"{study.env}, {study.design.name}" if several else study.env
        mine = [effect for effect in effects if effect.study.env == study.env and effect.study.design is study.design]
        steady = [effect for effect in mine if effect.study.metric.compared == "stability"]
        parts = [
            _measure_in_words(study, [effect for effect in mine if effect.study is study], statistics),
            _steadiness_in_words(steady, statistics),
        ]
        told[key] = " ".join(part for part in parts if part)
    return told


def _measure_in_words(study: Study, effects: Sequence[Effect], statistics: StatisticsConfig) -> str:
    alpha = 1.0 - statistics.confidence
    parts = [_effect_in_words(effect, alpha) for effect in effects]
    parts.append(_candidates_in_words(study, statistics))
    if study.n_failed:
        parts.append(f"{study.n_failed} failed runs count as {FAILED_RUNS[statistics.failed_runs]}")
    sentence = "; ".join(part for part in parts if part)
    return f"{study.metric.title[0].upper()}{study.metric.title[1:]}: {sentence}."


def _effect_in_words(effect: Effect, alpha: float) -> str:
    test = effect.test
    subject = f"the interaction {effect.name}" if len(effect.factors) > 1 else effect.name
    verdict = verdict_of(effect, alpha)
    if test is None:
        return f"{subject} was not tested, as a combination has no result"
    if verdict == "not tested":
        return f"{subject} was not tested, as one seed shows no spread" if test.n_seeds < 2 else f"{subject}: no test"
    p = _p_text(effect)
    difference = test.difference
    limits = f"{number(difference.low)} to {number(difference.high)}"
    if verdict == "matters":
        if len(effect.factors) > 1:
            size = f"up to {number(abs(difference.estimate))} return off the sum of both, at {effect.level(test.high)}"
            return f"{subject} matters ({p}: {size}), so that the effect of one depends on the level of the other"
        size = (
            f"{effect.level(test.high)} scores {number(difference.estimate)} ({limits}) more than "
            f"{effect.level(test.low)}"
        )
        return f"{subject} matters ({p}: {size})"
    if test.smallest_p >= alpha:
        return f"{subject} is inconclusive ({p}; with {test.n_seeds} seeds p cannot fall below {test.smallest_p:.2g})"
    return f"{subject} is inconclusive ({p}; {_needed(effect)})"


def short_verdict(effect: Effect, alpha: float) -> str:
    """Return the verdict in few words, for a figure: "gae_lambda inconclusive (p = 0.078)"."""
    verdict = verdict_of(effect, alpha)
    name = effect.name if len(effect.factors) == 1 else "interaction"
    return f"{name} {verdict}" if verdict == "not tested" else f"{name} {verdict} ({_p_text(effect)})"


def _p_text(effect: Effect) -> str:
    return f"p = {effect.p_holm:.2g}" if effect.p_holm >= 1e-3 else "p < 0.001"


def _needed(effect: Effect) -> str:
    if math.isinf(effect.seeds_needed) and effect.test is not None and effect.test.variance <= 0.0:
        return "noise alone explains what was seen"
    if effect.test is not None and effect.seeds_needed <= effect.test.n_seeds:
        return "an effect of this size usually shows at this number of seeds"
    about = "more than 1000" if math.isinf(effect.seeds_needed) else f"about {stats.seeds_text(effect.seeds_needed)}"
    return f"{about} seeds would show an effect of the size seen"


def _candidates_in_words(study: Study, statistics: StatisticsConfig) -> str:
    design = study.design
    land = study.landscape(range(len(design.factors)), statistics.confidence)
    marked = [label for label, places in design.points.items() if land.candidates[places]]
    if not marked:
        return ""
    best = max(marked, key=lambda label: _rank(study, float(land.mean[design.points[label]])))
    total = len(design.points)
    what = "levels" if len(design.factors) == 1 else "combinations"
    names = [_combination(study, label) for label in marked]
    listed = f": {'; '.join(names)}" if len(names) <= MOST_LISTED and len(names) < total else ""
    default = design.default
    usual = "" if default is None else f", {'with' if default in marked else 'without'} the default"
    seen = f"highest mean: {_combination(study, best)}"
    if land.n_seeds.max() < 2:
        return seen
    return f"{len(marked)} of {total} {what} may be the best{usual}{listed} ({seen})"


def _rank(study: Study, mean: float) -> float:
    return mean if study.higher_is_better else -mean


def _combination(study: Study, label: str) -> str:
    places = study.design.points[label]
    return ", ".join(
        f"{factor.name} {factor.texts[place]}" for factor, place in zip(study.design.factors, places, strict=True)
    )


def _steadiness_in_words(effects: Sequence[Effect], statistics: StatisticsConfig) -> str:
    """Return which factors change which measures of stability, and between which levels."""
    alpha = 1.0 - statistics.confidence
    clauses = []
    for effect in effects:
        if verdict_of(effect, alpha) != "matters" or effect.test is None:
            continue
        measure = effect.study.metric.title
        if len(effect.factors) > 1:
            clauses.append(f"{measure} on the combination {effect.name}")
            continue
        means = effect.test.means
        worst, best = (
            (effect.test.high, effect.test.low)
            if effect.study.metric.better == "lower"
            else (
                effect.test.low,
                effect.test.high,
            )
        )
        clauses.append(
            f"{measure} on {effect.name} ({number(float(means[best[0]]))} at {effect.level(best)}, "
            f"{number(float(means[worst[0]]))} at {effect.level(worst)})"
        )
    n_tests = sum(not math.isnan(effect.p_holm) for effect in effects)
    if not n_tests:
        return ""
    if not clauses:
        return f"Stability: no factor changes any measure visibly, of {n_tests} tests."
    return f"Stability depends: {'; '.join(clauses)}."


def sweep_markdown(told: dict[str, str], table: pd.DataFrame, statistics: StatisticsConfig) -> str:
    """Return the page for readers: sentences, the table of effects, and the methods."""
    sentences = "\n".join(f"- **{place}**: {text}" for place, text in told.items())
    cells = markdown(*sweep_cells(table))
    return f"{sentences}\n\n{cells}\n{sweep_note(statistics, table)}\n"


def sweep_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of effects as it is shown to readers."""
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    columns = {"sweep": plain("sweep"), **_COLUMNS} if len(set(table["sweep"])) > 1 else _COLUMNS
    return list(columns), [[show(row) for show in columns.values()] for row in rows]


def sweep_note(statistics: StatisticsConfig, table: pd.DataFrame) -> str:
    """Return the methods behind the table of effects, in sentences."""
    percent = f"{100 * statistics.confidence:g}%"
    few = np.nanmax(table["smallest_p"].to_numpy(float), initial=0.0) >= 1.0 - statistics.confidence
    return (
        "The unit is a seed; its scores are averaged over the factors that a test is not about. Main effect: the "
        "levels of a factor are exchanged within each seed, exact if the factor changes nothing. Interaction: wild "
        "bootstrap. p (Holm): adjusted over the effects on the score in all environments, or over those on all "
        f"measures of stability. Largest difference: highest minus lowest level, {percent} simultaneous over all pairs "
        "of levels (Games and Howell); of an interaction the largest departure from the sum of both effects, "
        "simultaneous over all combinations. Share of variance: of single runs within a seed, without the part that "
        "noise explains. May be best: levels that are not shown to be worse than another one, all if the effect is "
        f"inconclusive; the best is among them with {percent} confidence. Seeds needed: for 80% power at Holm's "
        "strictest level, if the effect is as large as estimated."
        + (" With few seeds a test of two or three levels cannot reach its level at all." if few else "")
    )
