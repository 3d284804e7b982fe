"""Results of a cross-check, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.crosscheck.comparing.source_lines import SourceLine
from harness.crosscheck.explaining.explanation import Explanation
from harness.crosscheck.reporting.findings import Finding

__all__ = ["VERDICTS", "Crosscheck", "RunResult", "Verdict"]

Verdict = Literal["identical", "rounding", "different"]
"""Verdict of a run or of a whole cross-check."""

VERDICTS: tuple[Verdict, ...] = ("identical", "rounding", "different")
"""Verdicts from best to worst; a cross-check has the worst verdict of its runs."""


@dataclass(frozen=True)
class RunResult:
    """Comparison of the subject with the reference in one environment with one seed."""

    env: str
    seed: int
    verdict: Verdict
    first: Finding | None
    """First divergence of any size."""
    first_beyond_rounding: Finding | None
    subject_line: SourceLine | None
    """First line of the subject's update whose result the reference never computes."""
    reference_line: SourceLine | None
    """First line of the reference's update whose result the subject never computes."""
    faults: tuple[Finding, ...]
    """Divergences that remain when every stage gets the reference's inputs; empty if there was no fed run."""
    largest: tuple[tuple[int, int, float], ...]
    """(iteration, minibatch, largest relative difference), minibatch 0 being the rollout; see `Comparison.largest`."""
    n_compared: int
    """Number of arrays that both traces have."""
    n_minibatches: int
    """Number of optimiser steps that both sides make."""
    optimizers: tuple[str, str] | None
    """Settings of the subject's and the reference's optimiser, if they are unequal."""
    notes: tuple[str, ...]
    """Sentences on what limits the comparison."""
    harmless: bool = False
    """True if nothing differs but stored values that nothing reads; `first` is the first of these."""


@dataclass(frozen=True)
class Crosscheck:
    """Result of comparing one subject with one reference, in all environments and seeds."""

    subject: str
    reference: str
    profile: str
    verdict: Verdict
    runs: tuple[RunResult, ...]
    explanation: Explanation | None
    """Deviations that explain the difference; None if they were not searched for, or if there is none to explain."""
    reproduced: tuple[int, int] | None
    """Number of runs that the explanation reproduces, and number of all runs."""
    seconds: float
    from_same_weights: Crosscheck | None = None
    """Second cross-check, from the reference's initial weights, if the subject's hide everything that comes later."""
    from_same_weights_error: str = ""
    """Reason why the second cross-check failed; "" if it did not."""

    @property
    def identical(self) -> bool:
        """True if every bit of every run agrees."""
        return self.verdict == "identical"
