from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from harness.catalogue.deviant import DeviantPPO
from harness.crosscheck.explaining.search import explain_runs
from harness.crosscheck.explaining.trials import END, try_out
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
def test_a_mistake_of_sb3s_own_code_is_named(changes: dict[str, Any], cause: str) -> None:
    found = explained(sb3_with(**changes))

    assert (found.verdict, found.deviations) == ("explained exactly", ((cause,),))
    assert found.scores == ((END, END),)


def test_two_mistakes_one_after_the_other_are_both_named() -> None:
    found = explained(sb3_with(gae_lambda=1.0, max_grad_norm=1e9))

    assert found.verdict == "explained exactly"
    assert sorted(found.deviations) == [("lambda_1",), ("unclipped",)]


@pytest.mark.parametrize("changes", [{"gae_lambda": 1.0, "gamma": 1.0}, {"ent_coef": 0.0, "vf_coef": 1.0}])
def test_two_mistakes_in_one_number_are_both_named(changes: dict[str, Any]) -> None:
    found = explained(sb3_with(**changes))

    assert found.verdict == "explained exactly"
    assert len(found.deviations) == 2


def test_causes_that_give_the_same_numbers_are_named_together() -> None:
    found = explained(sb3_with(max_grad_norm=1e9), (*CATALOGUE, UNCLIPPED_TOO))

    assert [sorted(names) for names in found.deviations] == [["unclipped", "unclipped_too"]]


def test_a_mistake_that_nobody_lists_is_not_explained() -> None:
    found = explained(Noisy)

    assert (found.verdict, found.deviations) == ("not explained", ())
    assert found.scores[0] != (END, END)
    named = {*found.early, *found.touching, *found.silent}
    assert named == {deviation.id for deviation in CATALOGUE}
    assert "never_reached" in found.silent
    assert "lambda_1" in found.early


def test_of_a_mistake_beside_one_that_nobody_lists_the_known_one_is_named() -> None:
    class Both(Noisy):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "gae_lambda": 1.0})

    found = explained(Both)

    assert (found.verdict, found.deviations) == ("partly explained", (("lambda_1",),))


def test_rounding_beside_a_mistake_does_not_hide_it() -> None:
    found = explained(Rounding)

    assert found.deviations == (("no_entropy",),)
    assert found.verdict in ("explained up to rounding", "partly explained")
    assert found.scores[0][0].step >= 32


def test_rounding_that_only_begins_later_is_no_explanation() -> None:
    longer = replace(CASE, n_updates=3)
    found = explain_runs(DeviantPPO, [run_of(Nudged, case=longer)], (NUDGED_ONCE,))

    assert (found.verdict, found.deviations) == ("not explained", ())


def test_a_cause_keeps_every_bit_that_agrees_without_it() -> None:
    assert explained(Moved, (MOVED,)).verdict == "explained exactly"
    spoilt = run_of(Moved)
    assert try_out(DeviantPPO, (MOVED_AND_NUDGED,), spoilt).score[0] > try_out(DeviantPPO, (), spoilt).score[0]
    assert explained(Moved, (MOVED_AND_NUDGED,)).deviations == ()


def test_a_cause_must_hold_in_every_run() -> None:
    runs = [run_of(sb3_with(gae_lambda=1.0), seed) for seed in (0, 1)]

    assert explain_runs(DeviantPPO, runs, CATALOGUE).scores == ((END, END), (END, END))
    mixed = [run_of(sb3_with(gae_lambda=1.0), 0), run_of(Noisy, 1)]
    assert explain_runs(DeviantPPO, mixed, CATALOGUE).verdict in ("partly explained", "not explained")


def test_without_a_difference_there_is_nothing_to_explain() -> None:
    found = explained(PPO)

    assert (found.verdict, found.deviations, found.n_candidates) == ("explained exactly", (), 0)


def test_an_empty_catalogue_explains_nothing() -> None:
    assert explained(sb3_with(gamma=1.0), ()).verdict == "not explained"


def test_when_time_is_up_it_says_so() -> None:
    found = explained(Noisy, seconds=0)

    assert (found.verdict, found.exhausted) == ("not explained", False)
    assert explained(sb3_with(gamma=1.0)).exhausted


def test_who_fails_is_not_explained_by_what_does_not() -> None:
    class Failing(PPO):
        def train(self) -> None:
            raise RuntimeError("no")

    run = run_of(Failing)

    assert try_out(DeviantPPO, (), run).score[0] != END
    assert explain_runs(DeviantPPO, [run], CATALOGUE).verdict == "not explained"


def test_the_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002

    explained(sb3_with(gamma=1.0))

    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index, arg-type]  # noqa: NPY002
