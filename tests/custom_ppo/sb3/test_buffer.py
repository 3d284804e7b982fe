"""RolloutMemory answers as SB3's RolloutBuffer does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env

from custom_ppo import CustomPPO
from tests.custom_ppo.sb3.models import trained
from tests.probe_envs import RandomWorld


class DictWorld(RandomWorld):
    def __init__(self) -> None:
        space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
        super().__init__(space, spaces.Discrete(2))


WORLDS: dict[str, Any] = {
    "box": lambda: RandomWorld(spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (3,))),
    "discrete": lambda: RandomWorld(spaces.Discrete(4), spaces.Discrete(2)),
    "dict": DictWorld,
}


def buffers(world: str) -> list[Any]:
    """Our buffer and SB3's after the same rollout."""
    envs = [make_vec_env(WORLDS[world], n_envs=2, seed=0) for _ in range(2)]
    return [trained(cls, env).rollout_buffer for cls, env in zip((CustomPPO, PPO), envs, strict=True)]


def as_arrays(samples: Any) -> list[Any]:
    observations = samples.observations
    parts = list(observations.values()) if isinstance(observations, dict) else [observations]
    return [tensor.numpy() for tensor in (*parts, *samples[1:])]


@pytest.mark.parametrize("world", list(WORLDS))
@pytest.mark.parametrize("batch_size", [None, 5])
def test_get_yields_sb3s_samples_in_sb3s_order(world: str, batch_size: int | None) -> None:
    seen = []
    for buffer in buffers(world):
        np.random.seed(1)  # noqa: NPY002
        seen.append([as_arrays(samples) for samples in buffer.get(batch_size)])
    ours, theirs = seen
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        for a, b in zip(our, their, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("world", list(WORLDS))
def test_the_numbers_that_describe_the_buffer_are_sb3s(world: str) -> None:
    ours, theirs = buffers(world)
    for name in ("buffer_size", "n_envs", "pos", "full", "obs_shape", "action_dim", "device", "gamma", "gae_lambda"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.size() == theirs.size() == 16
    ours.reset()
    theirs.reset()
    assert (ours.pos, ours.full, ours.size()) == (theirs.pos, theirs.full, theirs.size()) == (0, False, 0)


def test_get_leaves_the_arrays_as_they_are() -> None:
    ours, _ = buffers("box")
    next(ours.get(4))
    assert ours.advantages.shape == (16, 2)
    assert ours.generator_ready is False


def test_advantages_can_be_computed_again_as_by_sb3() -> None:
    ours, _ = buffers("box")
    theirs = RolloutBuffer(16, ours.observation_space, ours.action_space, "cpu", gae_lambda=0.5, gamma=0.9, n_envs=2)
    for name in ("rewards", "values", "episode_starts"):
        setattr(theirs, name, getattr(ours, name).copy())
    ours.gae_lambda, ours.gamma = 0.5, 0.9
    for buffer in (ours, theirs):
        buffer.compute_returns_and_advantage(torch.tensor([[1.0], [2.0]]), np.array([True, False]))
    np.testing.assert_array_equal(ours.advantages, theirs.advantages)
    np.testing.assert_array_equal(ours.returns, theirs.returns)


def test_a_discount_set_on_the_buffer_is_that_of_the_model() -> None:
    model = trained(CustomPPO)
    model.rollout_buffer.gamma, model.rollout_buffer.gae_lambda = 0.5, 0.25
    assert (model.gamma, model.gae_lambda) == (0.5, 0.25)


def test_sampled_transitions_belong_together() -> None:
    ours, _ = buffers("box")
    flat = ours.swap_and_flatten(ours.observations)
    returns = ours.swap_and_flatten(ours.returns).flatten()
    samples = ours.sample(20)
    for observation, found in zip(samples.observations.numpy(), samples.returns.numpy(), strict=True):
        (row,) = np.flatnonzero((flat == observation).all(axis=1))
        assert returns[row] == found


def test_steps_can_be_added_under_sb3s_names() -> None:
    ours, theirs = buffers("box")
    for buffer in (ours, theirs):
        buffer.reset()
        step = {
            "obs": np.ones((2, 2), np.float32),
            "action": np.full((2, 3), 0.5, np.float32),
            "reward": np.array([1.0, 2.0]),
            "episode_start": np.array([True, False]),
            "value": torch.tensor([[3.0], [4.0]]),
            "log_prob": torch.tensor([-1.0, -2.0]),
        }
        buffer.add(**step)
        buffer.extend(*([value, value] for value in step.values()))
    for name in ("observations", "actions", "rewards", "episode_starts", "values", "log_probs"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.pos == theirs.pos == 3


def test_it_passes_for_sb3s_class() -> None:
    assert isinstance(trained(CustomPPO).rollout_buffer, RolloutBuffer)


@pytest.mark.parametrize("buffer_class", [RolloutBuffer, DictRolloutBuffer])
def test_sb3s_own_buffer_classes_are_accepted(buffer_class: Any) -> None:
    assert trained(CustomPPO, rollout_buffer_class=buffer_class).num_timesteps == 32
