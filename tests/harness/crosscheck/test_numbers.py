from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from custom_ppo import CustomPPO
from harness.crosscheck.differences import QUANTITIES, Differences
from harness.crosscheck.numbers import SETTINGS, compare_numbers, record
from harness.errors import HarnessError, UnknownNameError
from tests.harness.worlds import MODULE


def compared(subject: str, env: str = "CartPole-v1", n_updates: int = 2, reference: str = "ppo") -> Differences:
    (differences,) = compare_numbers(subject, reference, [env], [3], n_updates)
    return differences


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_custom_ppo_equals_ppo_in_every_number(env: str) -> None:
    differences = compared("custom_ppo", env)

    assert differences.largest == dict.fromkeys(QUANTITIES, 0.0)
    assert differences.identical
    # 2 updates of 4 epochs of ceil(128 / 48) minibatches
    assert differences.n_gradients == 2 * 4 * 3


@pytest.mark.parametrize(
    ("fault", "equal", "different"),
    [
        ("NoValueLoss", ["advantages", "returns"], ["gradients", "parameters"]),
        ("NoAdvantageNormalisation", ["advantages", "returns"], ["policy loss", "gradients", "parameters"]),
        ("Undiscounted", [], ["advantages", "returns", "policy loss", "value loss", "gradients"]),
        ("UnclippedValues", ["advantages", "returns"], ["value loss", "gradients", "parameters"]),
    ],
)
def test_a_planted_fault_shows_where_it_is_and_not_before(fault: str, equal: list[str], different: list[str]) -> None:
    # One update: what comes before the fault cannot have suffered from it yet.
    largest = compared(f"{MODULE}:{fault}", n_updates=1).largest

    assert {name: largest[name] for name in equal} == dict.fromkeys(equal, 0.0)
    assert [name for name in different if not largest[name] > 0.0] == []


def test_a_fault_is_found_in_a_custom_ppo_of_another_recipe() -> None:
    largest = compared(f"{MODULE}:OtherValueLoss", n_updates=1).largest

    assert largest["advantages"] == largest["returns"] == 0.0
    assert largest["value loss"] > 0.0
    assert largest["gradients"] > 0.0


def test_what_is_recorded_is_what_sb3_did() -> None:
    recording = record("ppo", "CartPole-v1", 0, 2)

    counts = {name: len(arrays) for name, arrays in recording.arrays.items()}
    assert counts == {
        "advantages": 2,
        "returns": 2,
        "policy loss": 2,
        "value loss": 2,
        "gradients": 24,
        "parameters": 25,  # and those before the first step
    }
    norms = [float(np.linalg.norm(gradient.astype(np.float64))) for gradient in recording.arrays["gradients"]]
    assert max(norms) <= 0.5 + 1e-6  # SB3's max_grad_norm
    assert all(array.shape == (64, 2) for array in recording.arrays["returns"])


def test_the_global_random_state_is_left_as_it_was() -> None:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  it is what is tested

    record("custom_ppo", "CartPole-v1", 0, 1)

    assert random.getstate() == before[0]
    now = np.random.get_state()  # noqa: NPY002
    assert isinstance(now, tuple)
    assert isinstance(before[1], tuple)
    assert now[2:] == before[1][2:]
    np.testing.assert_array_equal(now[1], before[1][1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_the_state_is_restored_even_when_the_subject_raises() -> None:
    before = torch.get_rng_state()

    with pytest.raises(RuntimeError, match="the rotor"):
        record(f"{MODULE}:Explosive", "CartPole-v1", 0, 1)

    assert torch.equal(torch.get_rng_state(), before)


def test_an_algorithm_that_is_no_ppo_is_turned_away() -> None:
    with pytest.raises(HarnessError) as error:
        compared("a2c")

    assert str(error.value) == (
        "a2c: takes no batch_size, n_epochs, clip_range, clip_range_vf; only PPOs can be held against each other"
    )


def test_names_that_do_not_exist_are_said_before_anything_is_trained() -> None:
    with pytest.raises(UnknownNameError, match=r"^environment 'CartPol-v1' is not registered with gymnasium, did"):
        compared("ppo", "CartPol-v1")
    with pytest.raises(UnknownNameError, match=r"^algorithm 'pp0' is not known, did you mean ppo\?"):
        compared("pp0")


def test_the_settings_put_every_term_of_the_loss_to_work() -> None:
    accepted = CustomPPO.__init__.__code__.co_varnames

    assert set(SETTINGS) <= set(accepted) | {"kwargs"}
    assert (2 * SETTINGS["n_steps"]) % SETTINGS["batch_size"] != 0
    assert min(SETTINGS["clip_range_vf"], SETTINGS["ent_coef"], SETTINGS["clip_range"]) > 0
