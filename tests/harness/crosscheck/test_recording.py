from __future__ import annotations

import pytest
import torch

from harness.crosscheck.profiles import Case
from harness.crosscheck.recording import Pairing, record_fed, record_run, torch_threads
from harness.errors import HarnessError, UnknownNameError
from tests.harness.crosscheck.explaining.small_catalogue import Moved
from tests.harness.crosscheck.tracing.cases import CASE


def test_a_subject_given_as_a_class_is_named_by_its_module() -> None:
    assert Pairing(Moved, "ppo").subject_name == "tests.harness.crosscheck.explaining.small_catalogue:Moved"
    assert Pairing("my_ppo:MyPPO", "ppo").subject_name == "my_ppo:MyPPO"


def test_a_subject_needs_nothing_but_learn() -> None:
    assert Pairing(Moved, "ppo").load_subject() is Moved
    with pytest.raises(UnknownNameError, match=r"it has no method learn$"):
        Pairing("harness.crosscheck.profiles:Case", "ppo").load_subject()


def test_the_thread_count_is_restored_after_an_error() -> None:
    before = torch.get_num_threads()

    @torch_threads(before + 1)
    def fail() -> None:
        raise ValueError(torch.get_num_threads())

    with pytest.raises(ValueError, match=rf"^{before + 1}$"):
        fail()
    assert torch.get_num_threads() == before


def test_a_recorded_run_has_three_traces_of_the_same_case() -> None:
    run = record_run(Pairing(Moved, "ppo"), CASE, 0)

    assert (run.reference.name, run.subject.name) == (
        "ppo",
        "tests.harness.crosscheck.explaining.small_catalogue:Moved",
    )
    assert run.baseline.arrays.keys() >= run.reference.arrays.keys()
    assert run.baseline.reported == run.reference.reported
    assert run.comparison.first_beyond_rounding is not None


def test_an_algorithm_without_a_baseline_is_compared_with_itself() -> None:
    run = record_run(Pairing("trpo", "trpo"), CASE, 0)

    assert run.baseline.arrays is run.reference.arrays
    assert run.comparison.first is None


def test_a_fed_run_does_not_inherit_a_divergence() -> None:
    pairing = Pairing(Moved, "ppo")
    run = record_run(pairing, CASE, 0)
    place = run.comparison.first_beyond_rounding.place  # type: ignore[union-attr]

    fed = record_fed(pairing, run)

    observations = [one for one in run.baseline.arrays if one > place and one.quantity == "observation"]
    assert observations
    assert all((fed.arrays[one] == run.baseline.arrays[one]).all() for one in observations)


def test_a_reference_that_never_learns_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"^the reference dqn makes no optimiser step in CartPole15 \(updates: 1\)"):
        record_run(Pairing("dqn", "dqn"), Case("CartPole15", {"learning_starts": 10_000}, n_updates=1), 0)


@pytest.mark.parametrize(
    ("settings", "unused"),
    [
        ({"ent_coef": 0.0, "clip_range_vf": None}, {"entropy", "entropy_loss", "old_value"}),
        ({"ent_coef": 0.1, "clip_range_vf": 0.2}, set()),
    ],
)
def test_quantities_without_effect_need_not_be_computed(settings: dict[str, float | None], unused: set[str]) -> None:
    case = Case("CartPole15", {**CASE.settings, **settings}, n_updates=1)

    assert record_run(Pairing("ppo", "ppo"), case, 0).baseline.idle == unused
