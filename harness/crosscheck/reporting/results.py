"""The answer of a cross-check as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.crosscheck.comparing.source_lines import SourceLine
from harness.crosscheck.explaining.search import Explanation
from harness.crosscheck.reporting.findings import Finding

__all__ = ["Crosscheck", "RunResult", "Verdict"]

Verdict = Literal["identical", "rounding", "different"]


@dataclass(frozen=True)
class RunResult:
    """The subject in one environment with one seed."""

    env: str
    seed: int
    verdict: Verdict
    first: Finding | None
    """The first difference of any size."""
    first_beyond_rounding: Finding | None
    our_line: SourceLine | None
    """Where the subject's update first computes what the reference's never does."""
    their_line: SourceLine | None
    """The same with the roles exchanged."""
    faults: tuple[Finding, ...]
    """What differs even when everything before it is put right; empty if that was not asked for."""
    largest: tuple[tuple[int, int, float], ...]
    """(iteration, minibatch, largest difference as a share): minibatch 0 is the rollout; see `Comparison.largest`."""
    n_compared: int
    """Arrays that both show."""
    n_minibatches: int
    optimizers: tuple[str, str] | None
    """The subject's and the reference's, where they are set differently."""
    notes: tuple[str, ...]
    harmless: bool = False
    """Whether all that differs is remembered without consequence; the first of it is `first`."""


@dataclass(frozen=True)
class Crosscheck:
    """The answer for one subject."""

    subject: str
    reference: str
    profile: str
    verdict: Verdict
    runs: tuple[RunResult, ...]
    explanation: Explanation | None
    verified: tuple[int, int] | None
    """Of all runs, how many the explanation reproduces."""
    seconds: float
    from_same_weights: Crosscheck | None = None
    """The same question with the reference's first weights copied: asked where nothing but the first weights could be
    explained, or not even these."""
    trouble: str = ""
    """Why it could not be asked."""

    @property
    def identical(self) -> bool:
        """Whether every bit of every run agrees."""
        return self.verdict == "identical"
