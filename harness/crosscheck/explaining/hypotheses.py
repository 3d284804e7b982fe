"""Hypotheses with their scores in every run, and the choice of those that explain most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.crosscheck.explaining.explanation import ExplanationVerdict
from harness.crosscheck.explaining.scores import Score
from harness.crosscheck.explaining.trials import Hypothesis, Trial
from harness.crosscheck.quantities import Place

__all__ = ["ScoredHypothesis", "best_of", "interchangeable", "latest"]

_BEAM_WIDTH = 6
"""Number of equally good hypotheses that are extended further."""

_TRIED_ON_ALL_RUNS = 12
"""Number of hypotheses, the best in one run, that are tried on the other runs too."""


@dataclass(frozen=True)
class ScoredHypothesis:
    """Deviations, and where CustomPPO with them first diverges from the subject, per run."""

    deviations: Hypothesis
    scores: tuple[Score, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the deviations."""
        return tuple(deviation.id for deviation in self.deviations)

    @property
    def exact(self) -> bool:
        """True if every bit of every run is reproduced."""
        return all(score.exact for score in self.scores)

    @property
    def verdict(self) -> ExplanationVerdict:
        """Verdict of an explanation by this hypothesis."""
        if self.exact:
            return "explained exactly"
        if not self.deviations:
            return "not explained"
        up_to_rounding = all(score.up_to_rounding for score in self.scores)
        return "explained up to rounding" if up_to_rounding else "partly explained"

    @property
    def explains(self) -> tuple[Any, ...]:
        """Measure of what is explained: the larger of two explains more.

        Runs reproduced up to rounding come first, then runs reproduced exactly, then the places of the divergences
        beyond rounding, latest first.
        """
        # Sorted, so that two hypotheses are compared run by run of equal rank, not by the order of the cases.
        beyond = [score.beyond_rounding for score in self.scores]
        return (
            sum(score.up_to_rounding for score in self.scores),
            sum(score.exact for score in self.scores),
            sorted(beyond, reverse=True),
        )

    @property
    def rank(self) -> tuple[Any, ...]:
        """Measure of what is explained, with the places where rounding begins as the last criterion."""
        return (*self.explains, sorted((score.any_size for score in self.scores), reverse=True))

    def earliest_divergence(self) -> tuple[int, Place]:
        """Return the index of the run that diverges first, and the place; requires a hypothesis that is not exact.

        Trials are shortest in this run, since they stop where they diverge.
        """
        diverging = [index for index, score in enumerate(self.scores) if not score.exact]
        run = min(diverging, key=lambda index: self.scores[index])
        return run, self.scores[run].place


def latest(trials: Sequence[Trial], score: Score) -> list[Hypothesis]:
    """Return the candidates whose first divergence is latest, if later than `score`; the closest agreement first.

    Bitwise agreement in one run may be chance: a deviation can change the rounding of another run and not of this one.
    So candidates that agree with the best one only up to rounding are returned too.
    """
    better = sorted((trial for trial in trials if trial.score > score), key=lambda trial: trial.score, reverse=True)
    return [
        trial.hypothesis
        for trial in better[:_TRIED_ON_ALL_RUNS]
        if trial.score.beyond_rounding == better[0].score.beyond_rounding
    ]


def best_of(found: Sequence[ScoredHypothesis], beam: Sequence[ScoredHypothesis]) -> list[ScoredHypothesis]:
    """Return the hypotheses of the highest rank, if it is higher than the beam's; else none."""
    best = max((hypothesis.rank for hypothesis in found), default=beam[0].rank)
    if best <= beam[0].rank:
        return []
    return [hypothesis for hypothesis in found if hypothesis.rank == best][:_BEAM_WIDTH]


def interchangeable(beam: Sequence[ScoredHypothesis]) -> tuple[tuple[str, ...], ...]:
    """Return the ids of the first hypothesis, each with those that replace it in an equally good hypothesis."""
    first = beam[0].ids
    groups = {name: [name] for name in first}
    for hypothesis in beam[1:]:
        replaced = [name for name in first if name not in hypothesis.ids]
        new = [name for name in hypothesis.ids if name not in first]
        # If hypotheses differ in several deviations, it is unknown which of them replaces which.
        if len(replaced) == len(new) == 1 and new[0] not in groups[replaced[0]]:
            groups[replaced[0]].append(new[0])
    return tuple(map(tuple, groups.values()))
