from __future__ import annotations

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from harness.training.envs.contacts import skip_impossible_contacts

CONTACT = int(mujoco.mjtDisableBit.mjDSBL_CONTACT)


def flags(env: gym.Env[Any, Any]) -> int:
    model: Any = env.unwrapped.model  # type: ignore[attr-defined]
    return int(model.opt.disableflags)


def test_steps_have_the_same_bits_without_the_search_for_contacts() -> None:
    usual, spared = (gym.make("InvertedDoublePendulum-v5") for _ in range(2))
    skip_impossible_contacts(spared)
    assert (flags(usual) & CONTACT, flags(spared) & CONTACT) == (0, CONTACT)
    generator = np.random.default_rng(0)
    for env in (usual, spared):
        env.reset(seed=0)

    for _ in range(2000):
        action = generator.uniform(-1, 1, 1).astype(np.float32)
        ours, theirs = usual.step(action), spared.step(action)
        assert (ours[0].tobytes(), *ours[1:4]) == (theirs[0].tobytes(), *theirs[1:4])
        if ours[2] or ours[3]:
            assert usual.reset()[0].tobytes() == spared.reset()[0].tobytes()


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "Hopper-v5"])
def test_models_whose_bodies_can_touch_keep_their_contacts(env_id: str) -> None:
    env = gym.make(env_id)

    skip_impossible_contacts(env)

    assert flags(env) & CONTACT == 0


def test_environments_without_mujoco_stay_as_they_are() -> None:
    skip_impossible_contacts(gym.make("CartPole-v1"))
