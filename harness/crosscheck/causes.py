"""Which deviations of CustomPPO reproduce the numbers of a PPO that nobody knows.

CustomPPO trains to the bits of SB3, so with the same mistake made in it, it trains to the bits of whoever made it. The
search goes from one divergence to the next: the deviation that pushes the first difference farthest back is kept, and
what is left is explained from there. Where no single one does, pairs and triples of those that touch the number are
tried.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.compare import Comparison, Moment, Watched, divergences_at
from harness.crosscheck.deviations.deviation import Deviation
from harness.crosscheck.profiles import Case
from harness.crosscheck.quantities import QUANTITIES, Place
from harness.crosscheck.tracing.record import Watching, record
from harness.crosscheck.tracing.recorder import EnoughSeen
from harness.crosscheck.tracing.trace import Trace

__all__ = ["END", "Explanation", "Run", "Score", "explain_runs", "score_of"]

Array = NDArray[Any]
Chosen = tuple[Deviation, ...]

END = Place(10**9, 0, 0)
"""Behind the last place: nothing differs."""

START = Place(0, 0, 0)

_WIDTH = 6
"""Equally good explanations that are followed up."""

_LOOK_BACK = 64
"""Moments that may come about between two looks."""

Score = tuple[Place, Place]
"""First place that differs beyond rounding, and first that differs at all; the later, the better."""


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
    """Of the subject with the baseline, and so with the reference where `same` holds."""
    copy_weights: bool = False
    watched: Watched = field(init=False)

    def __post_init__(self) -> None:
        self.watched = Watched(self.subject)


@dataclass(frozen=True)
class Explanation:
    """What the search has found."""

    verdict: Literal["explained exactly", "explained up to rounding", "partly explained", "not explained"]
    deviations: tuple[tuple[str, ...], ...]
    """Each deviation that was found; several ids where they cannot be told apart in these runs."""
    scores: tuple[Score, ...]
    """For each run, where the explained numbers still part from the subject's."""
    early: tuple[str, ...]
    """Deviations that are ruled out because they would have shown before the difference that remains."""
    touching: tuple[str, ...]
    """Deviations that change the number that differs, but not to what the subject has."""
    silent: tuple[str, ...]
    """Deviations that do not show until then in the runs: nothing can be said of them."""
    n_candidates: int
    """Runs of CustomPPO that were made."""
    seconds: float
    exhausted: bool = True
    """False when time was up before everything was tried."""


@dataclass(frozen=True)
class _Try:
    """What became of one candidate on one run."""

    chosen: Chosen
    score: Score
    at: Array | None
    """Its number where the one before it parted from the subject."""


@dataclass(frozen=True)
class _Solution:
    """Deviations, and how far CustomPPO with them goes along with the subject in every run."""

    chosen: Chosen
    scores: tuple[Score, ...]


class _Search:
    """Candidates against the runs of one subject."""

    def __init__(self, deviant: type[Any], runs: Sequence[Run], catalogue: Sequence[Deviation], seconds: float) -> None:
        self.deviant = deviant
        self.runs = list(runs)
        self.catalogue = list(catalogue)
        self.n_candidates = 0
        self.deadline = time.monotonic() + seconds
        self.late = False
        self.early: tuple[str, ...] = ()
        self.touching: tuple[str, ...] = ()
        self.silent: tuple[str, ...] = ()

    def attempt(self, chosen: Chosen, run: Run, at: Place | None = None) -> _Try:
        """Train with these deviations beside a run, until they part beyond rounding."""
        self.n_candidates += 1
        live = _Live(run.watched, run.baseline.sees)
        watching = Watching(like=run.baseline, copy_weights=run.copy_weights, operations=False, check=live.check)
        try:
            trace = record(self.deviant, run.case, run.seed, watching, deviations=chosen)
        except Exception:  # a combination that cannot train explains nothing
            return _Try(chosen, (START, START), None)
        if live.beyond is None:
            live.finish(trace)
        return _Try(chosen, live.score, None if at is None else trace.numbers.get(at))

    def attempts(self, candidates: Iterable[Chosen], run: Run, at: Place) -> list[_Try]:
        """All of them, or as many as there is time for."""
        tries = []
        for chosen in candidates:
            if time.monotonic() > self.deadline:
                self.late = True
                break
            tries.append(self.attempt(chosen, run, at))
        return tries

    def on_all(self, chosen: Chosen) -> tuple[Score, ...]:
        """The scores on all runs."""
        return tuple(self.attempt(chosen, run).score for run in self.runs)

    def longer(self, solution: _Solution) -> list[_Solution]:
        """The solution with what explains more of the run that parts first."""
        if _all_explained(solution.scores):
            return [solution]
        run = _first_unexplained(solution.scores)
        options = self.next_step(solution.chosen, self.runs[run], solution.scores[run])
        return [_Solution(option, self.on_all(option)) for option in options]

    def next_step(self, chosen: Chosen, run: Run, score: Score) -> list[Chosen]:
        """What explains more of a run than `chosen` does: the best of one more deviation, or else of two, or three.

        Several where they do equally well.
        """
        at = score[0] if score[0] != END else score[1]
        before = self.attempt(chosen, run, at)
        taken = {deviation.id for deviation in chosen}
        free = [deviation for deviation in self.catalogue if deviation.id not in taken]
        tries = self.attempts(((*chosen, deviation) for deviation in free), run, at)
        best = _best(tries, score)
        if best:
            return best
        # Two mistakes in one number: neither alone helps, but each that matters changes this number and none before.
        touching = [
            attempt.chosen[-1]
            for attempt in tries
            if attempt.score[0] >= at and not _equal(attempt.at, before.at) and attempt.at is not None
        ]
        self.early = tuple(attempt.chosen[-1].id for attempt in tries if attempt.score[0] < at)
        self.touching = tuple(deviation.id for deviation in touching)
        known = {*self.early, *self.touching}
        self.silent = tuple(deviation.id for deviation in free if deviation.id not in known)
        for size in (2, 3):
            groups = ((*chosen, *group) for group in itertools.combinations(touching, size))
            best = _best(self.attempts(groups, run, at), score)
            if best or self.late:
                return best
        return []


def _best(tries: Sequence[_Try], score: Score) -> list[Chosen]:
    """Those with the best score, if it is better than this one."""
    best = max((attempt.score for attempt in tries), default=score)
    return [attempt.chosen for attempt in tries if attempt.score == best] if best > score else []


def _equal(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.size == b.size and np.array_equal(a.reshape(-1), b.reshape(-1), equal_nan=a.dtype.kind == "f")


class _Live:
    """Compares a run with a finished one while it goes on, moment by moment."""

    def __init__(self, subject: Watched, shown: frozenset[int]) -> None:
        self.subject = subject
        self.visible = shown & subject.sees
        self.left = deque(subject.moments)
        self.position: Moment = (-1, -1)
        self.first: Place | None = None
        self.beyond: Place | None = None

    @property
    def score(self) -> Score:
        """Of what was compared so far."""
        return self.beyond or END, self.first or END

    def check(self, trace: Trace, step: int, minibatch: int) -> None:
        """Compare all that is complete; raises EnoughSeen where they part beyond rounding."""
        self.advance(trace, (step, minibatch))
        if self.beyond is not None:
            raise EnoughSeen

    def advance(self, trace: Trace, until: Moment) -> None:
        """Compare the moments up to this one."""
        own = (moment for moment in reversed(trace.moments) if moment > self.position)
        new = {moment for moment in itertools.islice(own, _LOOK_BACK) if moment <= until}
        while self.left and self.left[0] <= until:
            new.add(self.left.popleft())
        for moment in sorted(new):
            for divergence in divergences_at(trace, self.subject, moment, self.visible):
                self.first = self.first or divergence.place
                if divergence.beyond_rounding:
                    self.beyond = divergence.place
                    return
            self.position = moment

    def finish(self, trace: Trace) -> None:
        """Compare what is left, and how it ended."""
        self.advance(trace, (END.step, 0))
        if self.beyond is None and self.subject.trace.error is not None:
            self.beyond = Place(*self.subject.moments[-1], len(QUANTITIES) - 1)
            self.first = self.first or self.beyond


def explain_runs(
    deviant: type[Any],
    runs: Sequence[Run],
    catalogue: Sequence[Deviation],
    *,
    seconds: float = 120.0,
    most: int = 4,
) -> Explanation:
    """Search for deviations that reproduce the subject's numbers in all runs.

    deviant: the class that takes `deviations=`; it trains like the reference when there are none.
    seconds: when to stop searching; most: how many deviations to put together.
    """
    started = time.monotonic()
    search = _Search(deviant, runs, catalogue, seconds)
    beam: list[_Solution] = [_Solution((), tuple(_score(run.comparison) for run in runs))]
    for _ in range(most):
        if search.late or _all_explained(beam[0].scores):
            break
        grown = [longer for solution in beam for longer in search.longer(solution)]
        best = max((_total(solution.scores) for solution in grown), default=_total(beam[0].scores))
        if best <= _total(beam[0].scores):
            break
        beam = [solution for solution in grown if _total(solution.scores) == best][:_WIDTH]
    return _explanation(search, beam, started)


def _score(comparison: Comparison) -> Score:
    first, beyond = comparison.first, comparison.first_beyond_rounding
    return END if beyond is None else beyond.place, END if first is None else first.place


def _total(scores: Sequence[Score]) -> tuple[Any, ...]:
    """How much is explained: runs without a difference beyond rounding, without any, and then how far they agree."""
    beyond = [score[0] for score in scores]
    return (
        sum(place == END for place in beyond),
        sum(score[1] == END for score in scores),
        sorted(beyond, reverse=True),
        sorted((score[1] for score in scores), reverse=True),
    )


def _all_explained(scores: Sequence[Score]) -> bool:
    return all(score == (END, END) for score in scores)


def _first_unexplained(scores: Sequence[Score]) -> int:
    """The run that parts first: it is the shortest to try candidates on."""
    return min((index for index, score in enumerate(scores) if score != (END, END)), key=lambda i: scores[i])


def _explanation(search: _Search, beam: Sequence[_Solution], started: float) -> Explanation:
    chosen, scores = beam[0].chosen, beam[0].scores
    verdict: Literal["explained exactly", "explained up to rounding", "partly explained", "not explained"]
    if _all_explained(scores):
        verdict = "explained exactly"
    elif all(score[0] == END for score in scores) and chosen:
        verdict = "explained up to rounding"
    else:
        verdict = "partly explained" if chosen else "not explained"
    return Explanation(
        verdict=verdict,
        deviations=_alike(beam),
        scores=tuple(scores),
        early=search.early,
        touching=search.touching,
        silent=search.silent,
        n_candidates=search.n_candidates,
        seconds=time.monotonic() - started,
        exhausted=not search.late,
    )


def _alike(beam: Sequence[_Solution]) -> tuple[tuple[str, ...], ...]:
    """The deviations of the first solution, each with those that stand in its place in an equally good one."""
    first = [deviation.id for deviation in beam[0].chosen]
    names = [[name] for name in first]
    for solution in beam[1:]:
        other = [deviation.id for deviation in solution.chosen]
        new, gone = [name for name in other if name not in first], [name for name in first if name not in other]
        if len(new) == 1 and len(gone) == 1 and new[0] not in names[first.index(gone[0])]:
            names[first.index(gone[0])].append(new[0])
    return tuple(map(tuple, names))


def score_of(deviant: type[Any], chosen: Chosen, run: Run) -> Score:
    """Where CustomPPO with these deviations parts from the subject of one run."""
    return _Search(deviant, [run], (), math.inf).attempt(chosen, run).score
