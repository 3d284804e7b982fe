"""Trial of a hypothesis: train CustomPPO with its deviations, and see where it first diverges from the subject.

A trial stops at its first divergence beyond rounding. Most hypotheses are wrong within the first minibatches, so that
hundreds of them can be tried in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from harness.catalogue import Deviation
from harness.crosscheck.comparing.comparison import Comparison
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.explaining.live_comparison import LiveComparison
from harness.crosscheck.explaining.scores import AT_ONCE, Score
from harness.crosscheck.profiles import Case
from harness.crosscheck.quantities import Place
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.traced_run import trace_run

__all__ = ["Hypothesis", "RecordedRun", "Trial", "run_trial"]

Array = NDArray[Any]
Hypothesis = tuple[Deviation, ...]
"""Deviations that together may explain the subject's values."""


@dataclass(frozen=True)
class RecordedRun:
    """Traces of subject, reference and baseline in one case with one seed."""

    case: Case
    seed: int
    reference: Trace
    baseline: Trace
    """Trace of CustomPPO, which equals the reference and names every quantity; else the reference's own trace."""
    subject: Trace
    comparison: Comparison
    """Comparison of the subject with the baseline."""
    copy_weights: bool = False
    """True if the subject started from the reference's initial weights and random state."""

    @cached_property
    def searchable_subject(self) -> SearchableTrace:
        """Trace of the subject, indexed for comparisons, without stored values that nothing reads."""
        unused = frozenset(self.baseline.buffer_row(found.place) for found in self.comparison.dead_values)
        return SearchableTrace(self.subject, ignored=unused)


@dataclass(frozen=True)
class Trial:
    """Result of training CustomPPO under a hypothesis."""

    hypothesis: Hypothesis
    score: Score
    value: Array | None
    """Array at the requested place; None if the trial did not reach it."""


def run_trial(deviant: type[Any], hypothesis: Hypothesis, run: RecordedRun, place: Place | None = None) -> Trial:
    """Train CustomPPO with these deviations until it diverges from the subject of a run beyond rounding.

    deviant: class that trains like the reference and takes `deviations=`. place: where to read `Trial.value`.
    """
    live = LiveComparison(run.searchable_subject, run.baseline.recorded_ranks)
    mode = TracingMode.trial(run.baseline, live.stop_if_diverged, copy_weights=run.copy_weights)
    try:
        trace = trace_run(deviant, run.case, run.seed, mode, deviations=hypothesis)
    except Exception:  # some deviations exclude each other: a hypothesis that cannot be trained explains nothing
        return Trial(hypothesis, Score(AT_ONCE, AT_ONCE), None)
    # A trial that was not stopped may still have another length than the subject's run, or lack its exception.
    if not live.diverged:
        live.finish(trace)
    return Trial(hypothesis, live.score, None if place is None else trace.arrays.get(place))
