from __future__ import annotations

from harness.catalogue.deviant import DeviantPPO
from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.explaining.scores import AT_ONCE, score_of
from harness.crosscheck.explaining.trials import run_trial
from harness.crosscheck.quantities import ORDER
from tests.harness.crosscheck.explaining.small_catalogue import BROKEN, ENTROPY, LAMBDA, run_of, sb3_with


def test_the_score_of_a_trial_is_its_first_divergence_from_the_subject() -> None:
    run = run_of(sb3_with(gae_lambda=1.0, ent_coef=0.0))

    none, one, both = (run_trial(DeviantPPO, tried, run).score for tried in ((), (LAMBDA,), (LAMBDA, ENTROPY)))

    assert (none.place.quantity, one.place.quantity, both.exact) == ("advantage", "loss", True)
    assert none < one < both


def test_a_hypothesis_that_cannot_be_trained_diverges_at_once() -> None:
    trial = run_trial(DeviantPPO, (BROKEN,), run_of(sb3_with(gae_lambda=1.0)))

    assert trial.score == (AT_ONCE, AT_ONCE)


def test_a_trial_has_the_score_of_the_complete_traces() -> None:
    run = run_of(sb3_with(gae_lambda=1.0))

    assert run_trial(DeviantPPO, (), run).score == score_of(compare(run.baseline, run.subject))


def test_a_trial_returns_the_numbers_at_the_requested_place() -> None:
    run = run_of(sb3_with(gae_lambda=1.0))
    place = score_of(run.comparison).place

    without, right = (run_trial(DeviantPPO, tried, run, place) for tried in ((), (LAMBDA,)))

    assert place.rank == ORDER["advantage"]
    assert right.score.exact
    assert (right.value == run.subject.arrays[place]).all()  # type: ignore[union-attr]
    assert not (without.value == run.subject.arrays[place]).all()  # type: ignore[union-attr]
