from __future__ import annotations

import random

import numpy as np
import torch

from harness.crosscheck.tracing.randomness import random_states, randomness_digest, restore_random_states


def test_the_random_states_are_those_of_all_three_generators() -> None:
    states = random_states()

    def drawn() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002

    first = drawn()
    assert drawn() != first
    restore_random_states(states)
    assert drawn() == first


def test_a_draw_shows_in_the_digest_of_its_generator_only() -> None:
    states, before = random_states(), randomness_digest()
    torch.rand(1)
    after_torch = randomness_digest()
    np.random.rand()  # noqa: NPY002
    after_numpy = randomness_digest()
    restore_random_states(states)

    assert before.shape == (2, 16)
    assert [(a != b).any() for a, b in zip(before, after_torch, strict=True)] == [True, False]
    assert [(a != b).any() for a, b in zip(after_torch, after_numpy, strict=True)] == [False, True]
    assert np.array_equal(randomness_digest(), before)
