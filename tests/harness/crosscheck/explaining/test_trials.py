from __future__ import annotations

from harness.catalogue.deviant import DeviantPPO
from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.explaining.trials import END, START, score, try_out
from harness.crosscheck.quantities import ORDER
from tests.harness.crosscheck.explaining.small_catalogue import BROKEN, ENTROPY, LAMBDA, run_of, sb3_with


def test_a_score_is_where_a_candidate_parts_from_the_subject() -> None:
    run = run_of(sb3_with(gae_lambda=1.0, ent_coef=0.0))

    none, first, both = (try_out(DeviantPPO, chosen, run).score for chosen in ((), (LAMBDA,), (LAMBDA, ENTROPY)))

    assert (none[0].quantity, first[0].quantity, both) == ("advantage", "loss", (END, END))
    assert none < first < both


def test_a_trial_that_cannot_train_goes_along_not_at_all() -> None:
    trial = try_out(DeviantPPO, (BROKEN,), run_of(sb3_with(gae_lambda=1.0)))

    assert trial.score == (START, START)


def test_a_trial_parts_where_finished_traces_do() -> None:
    run = run_of(sb3_with(gae_lambda=1.0))

    assert try_out(DeviantPPO, (), run).score == score(compare(run.baseline, run.subject))


def test_a_trial_brings_the_number_that_is_asked_for() -> None:
    run = run_of(sb3_with(gae_lambda=1.0))
    at = score(run.comparison)[0]

    without, right = (try_out(DeviantPPO, chosen, run, at) for chosen in ((), (LAMBDA,)))

    assert at.rank == ORDER["advantage"]
    assert right.score == (END, END)
    assert (right.at == run.subject.arrays[at]).all()  # type: ignore[union-attr]
    assert not (without.at == run.subject.arrays[at]).all()  # type: ignore[union-attr]
