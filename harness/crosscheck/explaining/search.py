"""Which deviations of CustomPPO reproduce the numbers of a PPO that nobody knows.

CustomPPO trains to the bits of SB3, so with the same mistake made in it, it trains to the bits of whoever made it. The
search goes from one divergence to the next: the deviation that pushes the first difference farthest back is kept, and
what is left is explained from there. Where no single one does, pairs and triples of those that touch the number are
tried.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.catalogue import ENDINGS, Deviation
from harness.crosscheck.explaining.trials import END, Chosen, Run, Score, Trial, score, try_out
from harness.crosscheck.quantities import Place

__all__ = ["Explanation", "explain_runs"]

Array = NDArray[Any]
_WIDTH = 6
"""Equally good explanations that are followed up."""

_OPTIONS = 12
"""Explanations of one run that are tried on the others."""

_STEPS_BACK = 2
"""Steps of the search that may be taken back."""


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
        self.endings = [deviation for deviation in ENDINGS if deviation in self.catalogue]
        self.n_candidates = 0
        self.deadline = time.monotonic() + seconds
        self.late = False
        self._spoiling: dict[int, set[str]] = {}
        self._singles: dict[tuple[tuple[str, ...], int], list[Trial]] = {}
        self.early: tuple[str, ...] = ()
        self.touched: tuple[str, ...] = ()
        self.silent: tuple[str, ...] = ()

    def attempt(self, chosen: Chosen, run: Run, at: Place | None = None) -> Trial:
        """See `try_out`."""
        self.n_candidates += 1
        return try_out(self.deviant, chosen, run, at)

    def attempts(self, candidates: Iterable[Chosen], run: Run, at: Place) -> list[Trial]:
        """All of them, or as many as there is time for."""
        tries = []
        for chosen in candidates:
            if time.monotonic() > self.deadline:
                self.late = True
                break
            tries.append(self.attempt(chosen, run, at))
        return tries

    def with_one_more(self, solution: _Solution) -> list[_Solution]:
        """The solution with the deviation that explains most of what is left of the run that parts first.

        Several where they do equally well.
        """
        if _all_explained(solution.scores):
            return [solution]
        run, at = self._next(solution)
        return self._on_all(_best(self.singles(solution, run, at), solution.scores[run]))

    def with_several_more(self, solution: _Solution) -> list[_Solution]:
        """The solution with two or three more deviations at once, where several mistakes touch one number.

        One of two may show only together with the other, such as the way in which a limit is applied that is never met.
        """
        if _all_explained(solution.scores):
            return []
        run, at = self._next(solution)
        touching = self.touching(solution, run, at)
        late = [attempt.chosen[-1] for attempt in self.singles(solution, run, at) if attempt.score[0] >= at]
        beside = [other for other in late if other not in touching]
        mixed = list(itertools.product(touching, beside))
        if self.runs[run].subject.arrays.get(at) is None and at.minibatch:  # its update ends sooner, or theirs does
            taken = {deviation.id for deviation in solution.chosen}
            mixed += itertools.combinations([entry for entry in self.endings if entry.id not in taken], 2)
        for groups in (itertools.combinations(touching, 2), mixed, itertools.combinations(touching, 3)):
            candidates = ((*solution.chosen, *group) for group in groups)
            best = _best(self.attempts(candidates, self.runs[run], at), solution.scores[run])
            found = _better(self._on_all(best), [solution])  # what helps in one run may do harm in the others
            if found or self.late:
                return found
        return []

    def singles(self, solution: _Solution, run: int, at: Place) -> list[Trial]:
        """Each deviation that is not in the solution yet, together with it."""
        key = tuple(deviation.id for deviation in solution.chosen), run
        if key not in self._singles:
            # What changed a number that agreed, beside a part of this solution, changes it beside all of it, too.
            spoilt = self._spoiling.setdefault(run, set())
            free = [entry for entry in self.catalogue if entry.id not in key[0] and entry.id not in spoilt]
            candidates = ((*solution.chosen, deviation) for deviation in free)
            tries = self._singles[key] = self.attempts(candidates, self.runs[run], at)
            spoiling = {attempt.chosen[-1].id for attempt in tries if attempt.score[0] < at}
            spoilt |= spoiling - {deviation.id for deviation in self.endings}  # but two of these may undo each other
        return self._singles[key]

    def touching(self, solution: _Solution, run: int, at: Place) -> list[Deviation]:
        """The deviations that change the number at a place, and nothing before it."""
        before = self.attempt(solution.chosen, self.runs[run], at)
        return [
            attempt.chosen[-1]
            for attempt in self.singles(solution, run, at)
            if attempt.score[0] >= at and attempt.at is not None and not _equal(attempt.at, before.at)
        ]

    def remember_failure(self, solution: _Solution) -> None:
        """What the deviations that did not help have shown."""
        if _all_explained(solution.scores):
            return
        run, at = self._next(solution)
        tries = self.singles(solution, run, at)
        early = {attempt.chosen[-1].id for attempt in tries if attempt.score[0] < at} | self._spoiling[run]
        self.early = tuple(deviation.id for deviation in self.catalogue if deviation.id in early)
        self.touched = tuple(deviation.id for deviation in self.touching(solution, run, at))
        known = {*self.early, *self.touched, *(deviation.id for deviation in solution.chosen)}
        self.silent = tuple(deviation.id for deviation in self.catalogue if deviation.id not in known)

    def _next(self, solution: _Solution) -> tuple[int, Place]:
        """The run that parts first, as it is the shortest to try candidates on, and where it does."""
        open_runs = [index for index, score in enumerate(solution.scores) if score != (END, END)]
        run = min(open_runs, key=lambda index: solution.scores[index])
        beyond, first = solution.scores[run]
        return run, beyond if beyond != END else first

    def _on_all(self, options: Sequence[Chosen]) -> list[_Solution]:
        found = [_Solution(option, tuple(self.attempt(option, run).score for run in self.runs)) for option in options]
        return [solution for solution in found if self._keeps_what_agrees(solution)]

    def _keeps_what_agrees(self, solution: _Solution) -> bool:
        """Whether no bit differs before it does without deviations.

        Rounding grows, by chance beyond what counts as rounding; another rounding, before it, is no explanation of it.
        """
        agreed = (score(run.comparison)[1] for run in self.runs)
        return all(found[1] >= place for found, place in zip(solution.scores, agreed, strict=True))


def _best(tries: Sequence[Trial], score: Score) -> list[Chosen]:
    """Those that go along with the subject the farthest, if it is farther than this score, and the nearest to it first.

    What is exact may be so by chance in one run, so those that agree but for rounding are kept as well.
    """
    better = sorted(
        (attempt for attempt in tries if attempt.score > score), key=lambda found: found.score, reverse=True
    )
    return [attempt.chosen for attempt in better[:_OPTIONS] if attempt.score[0] == better[0].score[0]]


def _equal(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.size == b.size and np.array_equal(a.reshape(-1), b.reshape(-1), equal_nan=a.dtype.kind == "f")


def explain_runs(
    deviant: type[Any],
    runs: Sequence[Run],
    catalogue: Sequence[Deviation],
    *,
    seconds: float = 120.0,
    most: int = 12,
) -> Explanation:
    """Search for deviations that reproduce the subject's numbers in all runs.

    deviant: the class that takes `deviations=`; it trains like the reference when there are none.
    seconds: when to stop searching; most: how many deviations to put together.
    """
    started = time.monotonic()
    search = _Search(deviant, runs, catalogue, seconds)
    beam = [_Solution((), tuple(score(run.comparison) for run in runs))]
    past: list[list[_Solution]] = []
    while len(beam[0].chosen) < most and not search.late and not _all_explained(beam[0].scores):
        better = _better([longer for solution in beam for longer in search.with_one_more(solution)], beam)
        # Stuck: two mistakes in one number, or the last step was the wrong one of two that looked alike for a while.
        for solutions in (beam, *reversed(past[-_STEPS_BACK:])):
            if better or search.late:
                break
            better = _better([longer for solution in solutions for longer in search.with_several_more(solution)], beam)
        if not better:
            search.remember_failure(beam[0])
            break
        past.append(beam)
        beam = better
    # What only moves rounding to a later place has explained nothing: any other rounding does so by chance.
    beam = next(solutions for solutions in (*past, beam) if _explained(solutions[0]) == _explained(beam[0]))
    return _explanation(search, beam, started)


def _better(found: Sequence[_Solution], beam: Sequence[_Solution]) -> list[_Solution]:
    """The best of those that were found, if they are better than what there is."""
    best = max((_total(solution.scores) for solution in found), default=_total(beam[0].scores))
    if best <= _total(beam[0].scores):
        return []
    return [solution for solution in found if _total(solution.scores) == best][:_WIDTH]


def _total(scores: Sequence[Score]) -> tuple[Any, ...]:
    """How much is explained: runs without a difference beyond rounding, without any, and then how far they agree."""
    beyond = [score[0] for score in scores]
    return (
        sum(place == END for place in beyond),
        sum(score[1] == END for score in scores),
        sorted(beyond, reverse=True),
        sorted((score[1] for score in scores), reverse=True),
    )


def _explained(solution: _Solution) -> tuple[Any, ...]:
    """How much is explained, but for where rounding begins."""
    return _total(solution.scores)[:3]


def _all_explained(scores: Sequence[Score]) -> bool:
    return all(score == (END, END) for score in scores)


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
        touching=search.touched,
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
