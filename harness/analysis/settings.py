"""Settings of a report on logs that no experiment file describes: from a file, and from options that override it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.analysis.frames import Reading, Results
from harness.analysis.frames.audit import Budget, ScoreSource
from harness.analysis.frames.pattern import path_pattern
from harness.config import ReferenceScores, StatisticsConfig
from harness.config.statistics_file import load_statistics
from harness.errors import HarnessError, did_you_mean

__all__ = ["check_names", "reading_of", "statistics_of"]


def statistics_of(
    file: Path | None,
    *,
    confidence: float | None = None,
    margin: float | None = None,
    references: Sequence[str] = (),
    baseline: str | None = None,
    base: StatisticsConfig | None = None,
) -> StatisticsConfig:
    """Return the settings of the file, or of `base`, with those options in their place that are given.

    references: "ENV=RANDOM:BEST" for each environment. Raises HarnessError, in one line, for a bad value.
    """
    statistics = load_statistics(file) if file is not None else base or StatisticsConfig()
    if confidence is not None:
        if not 0.5 <= confidence < 1:
            raise HarnessError(f"--confidence: is {confidence:g}, expected a number from 0.5 to below 1, such as 0.95")
        statistics = replace(statistics, confidence=confidence)
    if margin is not None:
        if not (0 < margin < 1):
            raise HarnessError(f"--margin: is {margin:g}, expected a share between 0 and 1, such as 0.1")
        statistics = replace(statistics, equivalence_margin=margin)
    if references:
        given = dict(map(_reference, references))
        statistics = replace(statistics, references={**statistics.references, **given})
    return statistics if baseline is None else replace(statistics, baseline=baseline, pairs=())


def _reference(text: str) -> tuple[str, ReferenceScores]:
    env, _, scores = text.rpartition("=")
    try:
        random, best = map(float, scores.split(":"))
        if not env or not math.isfinite(random) or not random < best < math.inf:
            raise ValueError
    except ValueError:
        raise HarnessError(
            f"--reference: is {text!r}, expected ENV=RANDOM:BEST with RANDOM below BEST, such as CartPole-v1=22:500"
        ) from None
    return env, ReferenceScores(random, best)


def reading_of(pattern: str | None, budget: str | None, score: str | None) -> Reading:
    """Return the choices that three options make; raise HarnessError, in one line, for a bad value."""
    return Reading(
        pattern=None if pattern is None else path_pattern(pattern), budget=_budget(budget), score=_score(score)
    )


def _budget(text: str | None) -> Budget | None:
    if text is None or text == "common":
        return None if text is None else "common"
    try:
        steps = int(text.replace("_", "").replace(",", ""))
        if steps < 1:
            raise ValueError
    except ValueError:
        raise HarnessError(f"--budget: is {text!r}, expected a number of steps, or common") from None
    return steps


def _score(text: str | None) -> ScoreSource | None:
    match text:
        case None | "evaluations" | "episodes":
            return text
    raise HarnessError(f"--score: is {text!r}, expected evaluations or episodes")


def check_names(statistics: StatisticsConfig, results: Results) -> list[str]:
    """Return notes on references and thresholds that no run uses; raise HarnessError for an unknown label."""
    declared = [("baseline", statistics.baseline)] if statistics.baseline is not None else []
    for key, label in declared + [("pairs:", label) for pair in statistics.pairs for label in pair]:
        if label not in results.algos:
            hint = did_you_mean(label, results.algos)
            raise HarnessError(
                f"{key} {label}: is no algorithm of these logs{hint}; there are {', '.join(results.algos)}"
            )
    return [
        f"no run is in {env}, so that its reference scores are not used{did_you_mean(env, results.envs)}"
        for env in statistics.references
        if env not in results.envs
    ]
