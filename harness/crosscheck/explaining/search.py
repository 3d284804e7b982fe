"""Search for the deviations of CustomPPO that reproduce the values computed by an unknown implementation.

CustomPPO equals SB3's PPO bit for bit; with an implementation's mistake added, it equals that implementation bit for
bit. The search explains one divergence after the other: it keeps the deviation after which the first divergence comes
latest, and continues from there. Where no single deviation helps, pairs and triples of those that change the diverging
value are tried.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.catalogue import ENDINGS, Deviation
from harness.crosscheck.explaining.explanation import Explanation, RuledOut
from harness.crosscheck.explaining.hypotheses import ScoredHypothesis, best_of, interchangeable, latest
from harness.crosscheck.explaining.scores import score_of
from harness.crosscheck.explaining.trials import Hypothesis, RecordedRun, Trial, run_trial
from harness.crosscheck.quantities import Place

__all__ = ["explain_runs"]

Array = NDArray[Any]

_STEPS_BACK = 2
"""Number of earlier beams that are extended by several deviations when the current one cannot be extended."""


def explain_runs(
    deviant: type[Any],
    runs: Sequence[RecordedRun],
    catalogue: Sequence[Deviation],
    *,
    seconds: float = 120.0,
    most_deviations: int = 12,
) -> Explanation:
    """Search for deviations that reproduce the subject's values in all runs.

    deviant: class that trains like the reference, and takes `deviations=`.
    seconds: time limit of the search. most_deviations: largest number of deviations in one hypothesis.
    """
    started = time.monotonic()
    search = _Search(deviant, runs, catalogue, deadline=started + seconds)
    # A beam, because deviations that give equal values up to one divergence may give different ones after it: only some
    # of them can be extended to the whole explanation, and it shows only later which.
    beam = [ScoredHypothesis((), tuple(score_of(run.comparison) for run in runs))]
    past: list[list[ScoredHypothesis]] = []
    ruled_out = RuledOut()
    while len(beam[0].deviations) < most_deviations and not search.out_of_time and not beam[0].exact:
        better = search.improve(beam, past)
        if not better:
            ruled_out = search.rule_out(beam[0])
            break
        past.append(beam)
        beam = better
    beam = _without_moves_of_rounding([*past, beam])
    return Explanation(
        verdict=beam[0].verdict,
        deviations=interchangeable(beam),
        scores=beam[0].scores,
        ruled_out=ruled_out,
        n_trials=search.n_trials,
        seconds=time.monotonic() - started,
        exhausted=not search.out_of_time,
    )


def _without_moves_of_rounding(beams: Sequence[list[ScoredHypothesis]]) -> list[ScoredHypothesis]:
    """Return the first beam that explains as much as the last, rounding aside.

    Any deviation that rounds differently moves the first rounding difference, and among many deviations some delay it
    by chance. A step of the search that achieved no more than that explained nothing.
    """
    return next(beam for beam in beams if beam[0].explains == beams[-1][0].explains)


class _Search:
    """Extends hypotheses by further deviations, and remembers what trials showed about each deviation."""

    def __init__(
        self, deviant: type[Any], runs: Sequence[RecordedRun], catalogue: Sequence[Deviation], *, deadline: float
    ) -> None:
        self.n_trials = 0
        self.out_of_time = False
        self._deviant = deviant
        self._runs = list(runs)
        self._catalogue = list(catalogue)
        self._endings = [deviation for deviation in ENDINGS if deviation in self._catalogue]
        self._deadline = deadline
        self._singles: dict[tuple[tuple[str, ...], int], list[Trial]] = {}
        self._contradicted: dict[int, set[str]] = {}

    def improve(
        self, beam: Sequence[ScoredHypothesis], past: Sequence[Sequence[ScoredHypothesis]]
    ) -> list[ScoredHypothesis]:
        """Return the best extensions of a beam, if they explain more than it does; else none."""
        better = best_of([longer for hypothesis in beam for longer in self._with_one_more(hypothesis)], beam)
        # No single deviation helps: either two mistakes change the same value, or an earlier step took the wrong one of
        # two deviations that agreed until here. So several at once are tried, on this beam and on earlier ones.
        for hypotheses in (beam, *reversed(past[-_STEPS_BACK:])):
            if better or self.out_of_time:
                break
            better = best_of([longer for one in hypotheses for longer in self._with_several_more(one)], beam)
        return better

    def rule_out(self, hypothesis: ScoredHypothesis) -> RuledOut:
        """Return what the trials of single deviations showed about the divergence that a hypothesis leaves."""
        run, place = hypothesis.earliest_divergence()
        trials = self._trials_of_singles(hypothesis, run, place)
        earlier = {_added(trial).id for trial in trials if trial.score.beyond_rounding < place}
        earlier |= self._contradicted[run]
        here = {deviation.id for deviation in self._changing(hypothesis, run, place)}
        tested = {*earlier, *here, *hypothesis.ids}
        ids = [deviation.id for deviation in self._catalogue]
        return RuledOut(
            earlier=tuple(name for name in ids if name in earlier),
            here=tuple(name for name in ids if name in here),
            untestable=tuple(name for name in ids if name not in tested),
        )

    def _with_one_more(self, hypothesis: ScoredHypothesis) -> list[ScoredHypothesis]:
        """Return the extensions by one deviation that delay the divergence most in the run that diverges first."""
        if hypothesis.exact:
            return [hypothesis]
        run, place = hypothesis.earliest_divergence()
        # Trials on all runs cost the most: only the best of this run get them.
        return self._scored(latest(self._trials_of_singles(hypothesis, run, place), hypothesis.scores[run]))

    def _with_several_more(self, hypothesis: ScoredHypothesis) -> list[ScoredHypothesis]:
        """Return the best extensions by two or three deviations at once, for mistakes that change the same value."""
        if hypothesis.exact:
            return []
        run, place = hypothesis.earliest_divergence()
        for groups in self._groups(hypothesis, run, place):
            candidates = ((*hypothesis.deviations, *group) for group in groups)
            trials = self._trials(candidates, self._runs[run], place)
            # A group that helps in this run may harm another one: it must not end the search for other groups.
            better = best_of(self._scored(latest(trials, hypothesis.scores[run])), [hypothesis])
            if better or self.out_of_time:
                return better
        return []

    def _groups(self, hypothesis: ScoredHypothesis, run: int, place: Place) -> Iterator[Iterable[Hypothesis]]:
        """Yield pairs of deviations that change the diverging value, pairs with one that does, and then triples.

        All pairs of the catalogue would be 20,000 trials. Nearly always each of two mistakes changes the value on its
        own, or one has an effect only together with the other: a wrong limit, say, that only the other one reaches.
        """
        changing = self._changing(hypothesis, run, place)
        trials = self._trials_of_singles(hypothesis, run, place)
        possible = [_added(trial) for trial in trials if trial.score.beyond_rounding >= place]
        unchanging = [deviation for deviation in possible if deviation not in changing]
        mixed: list[Hypothesis] = list(itertools.product(changing, unchanging))
        if place.minibatch and self._runs[run].subject.arrays.get(place) is None:
            # One side's update has ended here. Two wrong rules about the end of an update may cancel for a while,
            # so that each alone diverges earlier: pairs of them are tried although each alone is ruled out.
            mixed += itertools.combinations([entry for entry in self._endings if entry.id not in hypothesis.ids], 2)
        yield itertools.combinations(changing, 2)
        yield mixed
        yield itertools.combinations(changing, 3)

    def _trials_of_singles(self, hypothesis: ScoredHypothesis, run: int, place: Place) -> list[Trial]:
        """Return a trial in one run for each extension of a hypothesis by one deviation; trials are made once."""
        key = hypothesis.ids, run
        if key not in self._singles:
            # A deviation that changes a value on which both sides agree changes it in longer hypotheses too, so it is
            # not tried in this run again. Rules that end an update are the exception: one may undo another.
            contradicted = self._contradicted.setdefault(run, set())
            skipped = {*hypothesis.ids, *contradicted}
            candidates = ((*hypothesis.deviations, entry) for entry in self._catalogue if entry.id not in skipped)
            trials = self._singles[key] = self._trials(candidates, self._runs[run], place)
            wrong = {_added(trial).id for trial in trials if trial.score.beyond_rounding < place}
            contradicted.update(wrong - {ending.id for ending in self._endings})
        return self._singles[key]

    def _changing(self, hypothesis: ScoredHypothesis, run: int, place: Place) -> list[Deviation]:
        """Return the deviations that change the array at a place, and nothing before it."""
        # Compared with the hypothesis, not with the subject: with several mistakes no single deviation gives its array.
        without = self._trial(hypothesis.deviations, self._runs[run], place)
        return [
            _added(trial)
            for trial in self._trials_of_singles(hypothesis, run, place)
            if trial.score.beyond_rounding >= place
            and trial.value is not None
            and not _equal(trial.value, without.value)
        ]

    def _scored(self, candidates: Sequence[Hypothesis]) -> list[ScoredHypothesis]:
        """Return the candidates with their scores in all runs, without those that fail `_keeps_agreement`."""
        scored = [
            ScoredHypothesis(candidate, tuple(self._trial(candidate, run).score for run in self._runs))
            for candidate in candidates
        ]
        return [hypothesis for hypothesis in scored if self._keeps_agreement(hypothesis)]

    def _keeps_agreement(self, hypothesis: ScoredHypothesis) -> bool:
        """Return True if, in every run, the first difference of any size is not earlier than without deviations.

        Rounding grows from step to step until it passes the threshold. A hypothesis that only rounds differently, from
        an earlier place on, may delay this by chance, but explains nothing.
        """
        without = (score_of(run.comparison) for run in self._runs)
        return all(score.any_size >= agreed.any_size for score, agreed in zip(hypothesis.scores, without, strict=True))

    def _trials(self, candidates: Iterable[Hypothesis], run: RecordedRun, place: Place) -> list[Trial]:
        """Return the trials of all candidates, or of the first ones when time runs out."""
        trials = []
        for candidate in candidates:
            if time.monotonic() > self._deadline:
                self.out_of_time = True
                break
            trials.append(self._trial(candidate, run, place))
        return trials

    def _trial(self, candidate: Hypothesis, run: RecordedRun, place: Place | None = None) -> Trial:
        self.n_trials += 1
        return run_trial(self._deviant, candidate, run, place)


def _added(trial: Trial) -> Deviation:
    """Return the deviation by which the hypothesis of a trial was extended."""
    return trial.hypothesis[-1]


def _equal(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.size == b.size and np.array_equal(a.reshape(-1), b.reshape(-1), equal_nan=a.dtype.kind == "f")
