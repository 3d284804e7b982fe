from __future__ import annotations

import functools

import numpy as np
import pytest
from stable_baselines3 import PPO

from harness.training.algorithms import load_algorithm
from tests.planted.subjects.equivalents import EQUIVALENTS, MODULE
from tests.planted.subjects.training import CASES, trained, weights


@functools.cache
def sb3_weights(env: str) -> list[bytes]:
    return weights(trained(PPO, env))


def sorted_numbers(learnt: list[bytes]) -> list[np.ndarray]:
    """Return parameters as sorted floats, in an order that rounding does not change."""
    return sorted((np.sort(np.frombuffer(one, np.float32)) for one in learnt), key=lambda one: (len(one), one.tolist()))


@pytest.mark.parametrize("name", EQUIVALENTS)
def test_a_correct_implementation_learns_sb3s_weights_to_the_bit_or_rounding(name: str) -> None:
    equivalent = EQUIVALENTS[name]
    subject = load_algorithm(f"{MODULE}:{name}")

    learnt = {env: weights(trained(subject, env)) for env in CASES}

    equal = [learnt[env] == sb3_weights(env) for env in CASES]
    if equivalent.verdict != "rounding":
        assert equal == [True] * len(CASES)
        return
    assert not all(equal)
    for env in CASES:
        for ours, theirs in zip(sorted_numbers(learnt[env]), sorted_numbers(sb3_weights(env)), strict=True):
            # Three updates at a learning rate of 1e-2 move weights by 1e-1; float32 rounds those to 1e-8.
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_the_subject_with_two_optimisers_has_two() -> None:
    model = trained(load_algorithm(f"{MODULE}:two_optimizers_and_one_clip"), "TightBounds", n_updates=1)

    assert len(model.critic_optimizer.state) == 6
    assert len(model.optimizer.state) == 7  # the actor's six, and log_std
