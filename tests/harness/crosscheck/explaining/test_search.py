from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from harness.catalogue.deviant import DeviantPPO
from harness.crosscheck.explaining.scores import NO_DIVERGENCE
from harness.crosscheck.explaining.search import explain_runs
from harness.crosscheck.explaining.trials import run_trial
from tests.harness.crosscheck.explaining.small_catalogue import (
    CATALOGUE,
    MOVED,
    MOVED_AND_NUDGED,
    NUDGED_ONCE,
    UNCLIPPED_TOO,
    Moved,
    Noisy,
    Nudged,
    Rounding,
    explained,
    run_of,
    sb3_with,
)
from tests.harness.crosscheck.tracing.cases import CASE


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"gae_lambda": 1.0}, "lambda_1"),
        ({"gamma": 1.0}, "gamma_1"),
        ({"ent_coef": 0.0}, "no_entropy"),
        ({"vf_coef": 1.0}, "vf_coef_1"),
        ({"max_grad_norm": 1e9}, "unclipped"),
    ],
)
def test_a_mistake_made_in_sb3s_own_code_is_named(changes: dict[str, Any], cause: str) -> None:
    found = explained(sb3_with(**changes))

    assert (found.verdict, found.deviations) == ("explained exactly", ((cause,),))
    assert found.scores == ((NO_DIVERGENCE, NO_DIVERGENCE),)


def test_two_mistakes_one_after_the_other_are_both_named() -> None:
    found = explained(sb3_with(gae_lambda=1.0, max_grad_norm=1e9))

    assert found.verdict == "explained exactly"
    assert sorted(found.deviations) == [("lambda_1",), ("unclipped",)]


@pytest.mark.parametrize("changes", [{"gae_lambda": 1.0, "gamma": 1.0}, {"ent_coef": 0.0, "vf_coef": 1.0}])
def test_two_mistakes_in_one_number_are_both_named(changes: dict[str, Any]) -> None:
    found = explained(sb3_with(**changes))

    assert found.verdict == "explained exactly"
    assert len(found.deviations) == 2


def test_deviations_that_give_the_same_numbers_are_named_together() -> None:
    found = explained(sb3_with(max_grad_norm=1e9), (*CATALOGUE, UNCLIPPED_TOO))

    assert [sorted(names) for names in found.deviations] == [["unclipped", "unclipped_too"]]


def test_a_mistake_that_is_not_in_the_catalogue_is_not_explained() -> None:
    found = explained(Noisy)

    assert (found.verdict, found.deviations) == ("not explained", ())
    assert not found.scores[0].exact
    judged = {*found.ruled_out.earlier, *found.ruled_out.here, *found.ruled_out.untestable}
    assert judged == {deviation.id for deviation in CATALOGUE}
    assert "never_reached" in found.ruled_out.untestable
    assert "lambda_1" in found.ruled_out.earlier


def test_a_known_mistake_is_named_although_another_is_unknown() -> None:
    class Both(Noisy):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "gae_lambda": 1.0})

    found = explained(Both)

    assert (found.verdict, found.deviations) == ("partly explained", (("lambda_1",),))


def test_rounding_does_not_hide_a_mistake() -> None:
    found = explained(Rounding)

    assert found.deviations == (("no_entropy",),)
    assert found.verdict in ("explained up to rounding", "partly explained")
    assert found.scores[0].beyond_rounding.step >= 32


def test_a_deviation_that_only_delays_rounding_is_no_explanation() -> None:
    longer = replace(CASE, n_updates=3)
    found = explain_runs(DeviantPPO, [run_of(Nudged, case=longer)], (NUDGED_ONCE,))

    assert (found.verdict, found.deviations) == ("not explained", ())


def test_an_explanation_keeps_every_bit_that_agrees_without_it() -> None:
    assert explained(Moved, (MOVED,)).verdict == "explained exactly"
    run = run_of(Moved)
    without, breaking = (run_trial(DeviantPPO, tried, run).score for tried in ((), (MOVED_AND_NUDGED,)))
    assert breaking.beyond_rounding > without.beyond_rounding
    assert explained(Moved, (MOVED_AND_NUDGED,)).deviations == ()


def test_an_explanation_must_hold_in_every_run() -> None:
    runs = [run_of(sb3_with(gae_lambda=1.0), seed) for seed in (0, 1)]

    assert [score.exact for score in explain_runs(DeviantPPO, runs, CATALOGUE).scores] == [True, True]
    mixed = [run_of(sb3_with(gae_lambda=1.0), 0), run_of(Noisy, 1)]
    assert explain_runs(DeviantPPO, mixed, CATALOGUE).verdict in ("partly explained", "not explained")


def test_an_identical_subject_is_explained_by_no_deviation() -> None:
    found = explained(PPO)

    assert (found.verdict, found.deviations, found.n_trials) == ("explained exactly", (), 0)


def test_an_empty_catalogue_explains_nothing() -> None:
    assert explained(sb3_with(gamma=1.0), ()).verdict == "not explained"


def test_a_search_that_ran_out_of_time_is_not_exhausted() -> None:
    found = explained(Noisy, seconds=0)

    assert (found.verdict, found.exhausted) == ("not explained", False)
    assert explained(sb3_with(gamma=1.0)).exhausted


def test_a_subject_that_fails_is_not_explained_by_runs_that_succeed() -> None:
    class Failing(PPO):
        def train(self) -> None:
            raise RuntimeError("no")

    run = run_of(Failing)

    assert not run_trial(DeviantPPO, (), run).score.up_to_rounding
    assert explain_runs(DeviantPPO, [run], CATALOGUE).verdict == "not explained"


def test_a_search_leaves_the_global_random_state_as_it_was() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002

    explained(sb3_with(gamma=1.0))

    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index, arg-type]  # noqa: NPY002
