"""Comparison of a training run with a recorded trace while it trains, so that it can stop at the first divergence."""

from __future__ import annotations

import itertools
from collections import deque

from harness.crosscheck.comparing.moment_comparison import divergences_at
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.explaining.scores import NO_DIVERGENCE, Score
from harness.crosscheck.quantities import QUANTITIES, Moment, Place
from harness.crosscheck.tracing.recorder import StopTracing
from harness.crosscheck.tracing.trace import Trace

__all__ = ["LiveComparison"]


class LiveComparison:
    """Compares the growing trace of a trial with the complete trace of the subject, moment by moment.

    visible: ranks of the quantities that the trial's trace records.
    """

    def __init__(self, subject: SearchableTrace, visible: frozenset[int]) -> None:
        self._subject = subject
        self._visible = visible & subject.comparable_ranks
        self._pending = deque(subject.moments)
        self._compared_until: Moment = (-1, -1)
        self._first: Place | None = None
        self._beyond_rounding: Place | None = None
        self._failure = _place_of_failure(subject)

    @property
    def score(self) -> Score:
        """First divergences among the moments compared so far."""
        return Score(self._beyond_rounding or NO_DIVERGENCE, self._first or NO_DIVERGENCE)

    @property
    def diverged(self) -> bool:
        """True if a value differs beyond rounding."""
        return self._beyond_rounding is not None

    def stop_if_diverged(self, trace: Trace, step: int, minibatch: int) -> None:
        """Compare all moments up to this one; raise StopTracing at a divergence beyond rounding."""
        self._compare_until(trace, (step, minibatch))
        if self.diverged:
            raise StopTracing

    def finish(self, trace: Trace) -> None:
        """Compare the remaining moments of a trace that is complete, and how the two runs ended."""
        self._compare_until(trace, (NO_DIVERGENCE.step, 0))
        if not self.diverged and self._failure is not None:
            self._beyond_rounding = self._failure
            self._first = self._first or self._failure

    def _compare_until(self, trace: Trace, until: Moment) -> None:
        for moment in self._new_moments(trace, until):
            for divergence in divergences_at(trace, self._subject, moment, self._visible):
                # `compare` reports the exception, not the values that are missing because of it. A trial must get the
                # score that `compare` would give it.
                place = (divergence.kind == "missing" and self._failure) or divergence.place
                self._first = self._first or place
                if divergence.beyond_rounding:
                    self._beyond_rounding = place
                    return
            self._compared_until = moment

    def _new_moments(self, trace: Trace, until: Moment) -> list[Moment]:
        """Return the moments of either trace that were not compared yet, up to this one, in order."""
        # Moments are recorded in order. Only the last ones are new, and this is called after each step of a trial.
        latest = itertools.takewhile(lambda moment: moment > self._compared_until, reversed(trace.moments))
        new = {moment for moment in latest if moment <= until}
        # A moment of the subject alone counts too: the trial lacks its arrays, which is a divergence.
        while self._pending and self._pending[0] <= until:
            new.add(self._pending.popleft())
        return sorted(new)


def _place_of_failure(subject: SearchableTrace) -> Place | None:
    """Return the place at which an exception ended the subject's run, after all its arrays; None if none did."""
    if subject.trace.error is None:
        return None
    return Place(*(subject.moments[-1] if subject.moments else (0, 0)), len(QUANTITIES) - 1)
