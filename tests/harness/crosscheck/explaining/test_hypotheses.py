from __future__ import annotations

from harness.crosscheck.explaining.hypotheses import ScoredHypothesis, best_of, interchangeable, latest
from harness.crosscheck.explaining.scores import NO_DIVERGENCE, Score
from harness.crosscheck.explaining.trials import Hypothesis, Trial
from harness.crosscheck.quantities import Place
from tests.harness.crosscheck.explaining.small_catalogue import ENTROPY, GAMMA, LAMBDA, VALUE

EARLY, LATE = Place(1, 0, 3), Place(9, 2, 5)
EXACT = Score(NO_DIVERGENCE, NO_DIVERGENCE)
ROUNDED = Score(NO_DIVERGENCE, LATE)


def scored(*scores: Score, deviations: Hypothesis = (LAMBDA,)) -> ScoredHypothesis:
    return ScoredHypothesis(deviations, scores)


def trial(score: Score, *deviations: str) -> Trial:
    known = {one.id: one for one in (LAMBDA, GAMMA, ENTROPY, VALUE)}
    return Trial(tuple(known[name] for name in deviations), score, None)


def test_a_verdict_is_the_worst_of_all_runs() -> None:
    assert scored(EXACT, EXACT).verdict == "explained exactly"
    assert scored(EXACT, ROUNDED).verdict == "explained up to rounding"
    assert scored(EXACT, Score(LATE, LATE)).verdict == "partly explained"
    assert scored(Score(LATE, LATE), deviations=()).verdict == "not explained"


def test_more_reproduced_runs_explain_more_than_later_divergences() -> None:
    by_rank = [
        scored(Score(EARLY, EARLY), Score(LATE, EARLY)),
        scored(Score(LATE, EARLY), Score(LATE, EARLY)),
        scored(Score(EARLY, EARLY), ROUNDED),
        scored(Score(EARLY, EARLY), EXACT),
        scored(ROUNDED, ROUNDED),
    ]

    assert sorted(by_rank, key=lambda one: one.rank) == by_rank


def test_a_later_begin_of_rounding_ranks_higher_but_explains_no_more() -> None:
    sooner, later = scored(Score(LATE, EARLY)), scored(Score(LATE, LATE))

    assert later.rank > sooner.rank
    assert later.explains == sooner.explains


def test_the_run_that_diverges_first_is_explained_next() -> None:
    assert scored(EXACT, Score(LATE, EARLY), Score(EARLY, EARLY)).earliest_divergence() == (2, EARLY)
    assert scored(EXACT, ROUNDED).earliest_divergence() == (1, LATE)


def test_candidates_that_agree_with_the_best_up_to_rounding_are_kept() -> None:
    trials = [
        trial(Score(EARLY, EARLY), "gamma_1"),
        trial(Score(LATE, EARLY), "no_entropy"),
        trial(Score(LATE, LATE), "lambda_1"),
    ]

    assert latest(trials, Score(EARLY, EARLY)) == [(LAMBDA,), (ENTROPY,)]
    assert latest(trials, Score(LATE, LATE)) == []


def test_only_the_best_that_improve_on_the_beam_are_returned() -> None:
    beam = [scored(Score(EARLY, EARLY))]
    better, best = scored(Score(LATE, EARLY)), scored(EXACT)

    assert best_of([better, best, beam[0]], beam) == [best]
    assert best_of(beam, beam) == []
    assert best_of([], beam) == []


def test_deviations_that_replace_each_other_are_grouped() -> None:
    beam = [
        scored(EXACT, deviations=(LAMBDA, ENTROPY)),
        scored(EXACT, deviations=(LAMBDA, VALUE)),
        scored(EXACT, deviations=(GAMMA, VALUE)),
    ]

    assert interchangeable(beam) == (("lambda_1",), ("no_entropy", "vf_coef_1"))
