"""Result of the search for an explanation, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.crosscheck.explaining.scores import Score

__all__ = ["Explanation", "ExplanationVerdict", "RuledOut"]

ExplanationVerdict = Literal["explained exactly", "explained up to rounding", "partly explained", "not explained"]


@dataclass(frozen=True)
class RuledOut:
    """Deviations that do not explain the remaining divergence, by what their trials showed."""

    earlier: tuple[str, ...] = ()
    """Ids of deviations that change an earlier value, where subject and baseline agree."""
    here: tuple[str, ...] = ()
    """Ids of deviations that change the diverging value, but not to the subject's."""
    untestable: tuple[str, ...] = ()
    """Ids of deviations without effect up to the divergence: they are neither ruled out nor confirmed."""


@dataclass(frozen=True)
class Explanation:
    """Deviations that reproduce the subject's values, and what was ruled out if they do not reproduce all."""

    verdict: ExplanationVerdict
    deviations: tuple[tuple[str, ...], ...]
    """Ids of each deviation found, with those that give the same values in every run and cannot be told apart."""
    scores: tuple[Score, ...]
    """First divergence between CustomPPO with these deviations and the subject, per run."""
    ruled_out: RuledOut
    n_trials: int
    """Number of trainings of CustomPPO that the search made."""
    seconds: float
    exhausted: bool = True
    """False if the time limit ended the search before every hypothesis was tried."""
