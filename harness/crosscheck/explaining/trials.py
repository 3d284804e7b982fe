"""CustomPPO with deviations beside a run of a subject: a guess, and how far it goes along.

It trains, and ends as soon as the two part: most guesses are wrong within milliseconds.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from harness.catalogue import Deviation
from harness.crosscheck.comparing.comparison import Comparison
from harness.crosscheck.comparing.moment_comparison import divergences_at
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.profiles import Case
from harness.crosscheck.quantities import QUANTITIES, Moment, Place
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.recorder import StopTracing
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.traced_run import trace_run

__all__ = ["END", "START", "Chosen", "Run", "Score", "Trial", "score", "try_out"]

Array = NDArray[Any]
Chosen = tuple[Deviation, ...]

END = Place(10**9, 0, 0)
"""Behind the last place: nothing differs."""

START = Place(0, 0, 0)

Score = tuple[Place, Place]
"""First place that differs beyond rounding, and first that differs at all; the later, the better."""


_LOOK_BACK = 64
"""Moments that may come about between two looks."""


@dataclass
class Run:
    """One run of the subject, with all that is needed to run others beside it."""

    case: Case
    seed: int
    reference: Trace
    baseline: Trace
    """Of CustomPPO, which has names for all its numbers."""
    subject: Trace
    comparison: Comparison
    """Of the subject with the baseline."""
    copy_weights: bool = False
    watched: SearchableTrace = field(init=False)

    def __post_init__(self) -> None:
        idle = frozenset(self.baseline.buffer_row(found.place) for found in self.comparison.dead_values)
        self.watched = SearchableTrace(self.subject, ignored=idle)


@dataclass(frozen=True)
class Trial:
    """What became of CustomPPO with some deviations beside one run."""

    chosen: Chosen
    score: Score
    at: Array | None
    """Its number where the one before it parted from the subject."""


def try_out(deviant: type[Any], chosen: Chosen, run: Run, at: Place | None = None) -> Trial:
    """Train with these deviations beside a run, until they part beyond rounding.

    deviant: the class that takes `deviations=`. at: a place whose number is wanted.
    """
    live = _Live(run.watched, run.baseline.recorded_ranks)
    watching = TracingMode.trial(run.baseline, live.check, copy_weights=run.copy_weights)
    try:
        trace = trace_run(deviant, run.case, run.seed, watching, deviations=chosen)
    except Exception:  # a combination that cannot train explains nothing
        return Trial(chosen, (START, START), None)
    if live.beyond is None:
        live.finish(trace)
    return Trial(chosen, live.score, None if at is None else trace.arrays.get(at))


def score(comparison: Comparison) -> Score:
    """The same of two traces that are complete."""
    first, beyond = comparison.first, comparison.first_beyond_rounding
    return END if beyond is None else beyond.place, END if first is None else first.place


class _Live:
    """Compares a run with a finished one while it goes on, moment by moment."""

    def __init__(self, subject: SearchableTrace, shown: frozenset[int]) -> None:
        self.subject = subject
        self.visible = shown & subject.comparable_ranks
        self.left = deque(subject.moments)
        self.position: Moment = (-1, -1)
        self.first: Place | None = None
        self.beyond: Place | None = None
        self.failure: Place | None = None
        if subject.trace.error is not None:
            self.failure = Place(*(subject.moments[-1] if subject.moments else (0, 0)), len(QUANTITIES) - 1)

    @property
    def score(self) -> Score:
        """Of what was compared so far."""
        return self.beyond or END, self.first or END

    def check(self, trace: Trace, step: int, minibatch: int) -> None:
        """Compare all that is complete; raises StopTracing where they part beyond rounding."""
        self.advance(trace, (step, minibatch))
        if self.beyond is not None:
            raise StopTracing

    def advance(self, trace: Trace, until: Moment) -> None:
        """Compare the moments up to this one."""
        own = (moment for moment in reversed(trace.moments) if moment > self.position)
        new = {moment for moment in itertools.islice(own, _LOOK_BACK) if moment <= until}
        while self.left and self.left[0] <= until:
            new.add(self.left.popleft())
        for moment in sorted(new):
            for divergence in divergences_at(trace, self.subject, moment, self.visible):
                # As in `compare`, what is missing after an error follows from the error.
                place = (divergence.kind == "missing" and self.failure) or divergence.place
                self.first = self.first or place
                if divergence.beyond_rounding:
                    self.beyond = place
                    return
            self.position = moment

    def finish(self, trace: Trace) -> None:
        """Compare what is left, and how it ended."""
        self.advance(trace, (END.step, 0))
        if self.beyond is None and self.failure is not None:
            self.beyond = self.failure
            self.first = self.first or self.beyond
