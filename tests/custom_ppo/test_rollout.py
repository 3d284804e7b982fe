from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from torch import Tensor

from custom_ppo.agent import PPOAgent
from custom_ppo.config import PPOConfig
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO
from custom_ppo.rollout import GymnasiumEnvironments, bootstrap_timeouts, interact
from tests.custom_ppo.loops import make_agent
from tests.probe_envs import RandomWorld

VECTOR = spaces.Box(-1, 1, (3,))
CONFIG = PPOConfig(n_steps=6, batch_size=4, gamma=0.5)


class CountingEnvironments:
    """Two environments whose observations are 3 * step + environment; one of them ends at every third step."""

    def __init__(self, infos: Any = None) -> None:
        self.n_steps = 0
        self.actions: list[Any] = []
        self.infos = infos or (lambda dones: [{} for _ in dones])

    def observations(self) -> Any:
        return np.full((2, 3), 3 * self.n_steps, np.float32) + np.array([[0], [1]], np.float32)

    def step(self, actions: Any) -> Any:
        self.n_steps += 1
        self.actions.append(actions)
        dones = np.array([self.n_steps % 3 == 0, False])
        return self.observations(), np.array([1.0, 2.0], np.float32), dones, self.infos(dones)


@pytest.fixture
def agent() -> PPOAgent:
    torch.manual_seed(0)
    return make_agent(RandomWorld(VECTOR, spaces.Discrete(2)), CONFIG, n_envs=2)


def value_of(agent: PPOAgent, observation: Any) -> float:
    assert isinstance(agent.policy, ActorCritic)
    with torch.no_grad():
        return float(agent.policy.predict_values(torch.as_tensor(observation)[None]))


def fill(agent: PPOAgent, env: Any, n_steps: int | None = None) -> list[Any]:
    agent.start_rollout()
    return list(interact(agent, env, env.observations(), np.array([True, True]), n_steps))


def test_a_rollout_fills_the_memory_with_what_was_seen_done_and_earned(agent: PPOAgent) -> None:
    env = CountingEnvironments()
    transitions = fill(agent, env)
    memory = agent.memory
    assert memory.full
    assert isinstance(memory.observations, np.ndarray)
    assert memory.observations[:, :, 0].tolist() == [[3 * t, 3 * t + 1] for t in range(6)]
    np.testing.assert_array_equal(memory.actions[..., 0], np.stack(env.actions))
    assert memory.rewards.tolist() == [[1.0, 2.0]] * 6
    np.testing.assert_array_equal(transitions[-1].next_observations, env.observations())


def test_an_episode_starts_in_the_step_after_a_done(agent: PPOAgent) -> None:
    fill(agent, CountingEnvironments())
    assert agent.memory.episode_starts.tolist() == [[1, 1], [0, 0], [0, 0], [1, 0], [0, 0], [0, 0]]


def test_a_step_is_yielded_before_it_is_remembered(agent: PPOAgent) -> None:
    env = CountingEnvironments()
    agent.start_rollout()
    for n_seen, _ in enumerate(interact(agent, env, env.observations(), np.array([True, True]))):
        assert agent.memory.position == n_seen
        if n_seen == 3:
            break
    assert agent.memory.position == 3, "the step at which the caller stopped is not remembered"


def test_a_number_of_steps_may_be_given(agent: PPOAgent) -> None:
    fill(agent, CountingEnvironments(), n_steps=2)
    assert agent.memory.position == 2


TERMINAL = np.array([0.5, -0.5, 0.25], np.float32)


def test_at_a_time_limit_the_value_of_the_terminal_state_is_added_to_the_reward(agent: PPOAgent) -> None:
    fill(
        agent, CountingEnvironments(lambda dones: [{"TimeLimit.truncated": True, "terminal_observation": TERMINAL}, {}])
    )
    expected = np.float32(1.0 + 0.5 * value_of(agent, TERMINAL))
    assert agent.memory.rewards[:, 0].tolist() == pytest.approx([1, 1, expected, 1, 1, expected])
    assert agent.memory.rewards[:, 1].tolist() == [2.0] * 6


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"TimeLimit.truncated": False, "terminal_observation": TERMINAL},
        {"terminal_observation": TERMINAL},
        {"TimeLimit.truncated": True},
        {"TimeLimit.truncated": True, "terminal_observation": None},
    ],
    ids=str,
)
def test_a_termination_adds_nothing_to_the_reward(agent: PPOAgent, info: dict[str, Any]) -> None:
    rewards = np.array([1.0, 2.0], np.float32)
    bootstrap_timeouts(agent, rewards, np.array([True, True]), [info, info])
    assert rewards.tolist() == [1.0, 2.0]


def test_the_info_of_an_environment_that_goes_on_is_not_read(agent: PPOAgent) -> None:
    rewards = np.array([1.0, 2.0], np.float32)
    bootstrap_timeouts(agent, rewards, np.array([False, False]), [])
    assert rewards.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (spaces.Discrete(5), 3),
        (spaces.MultiBinary(3), np.array([1, 0, 1], np.int8)),
        (spaces.Dict({"a": VECTOR, "b": spaces.Discrete(2)}), {"a": TERMINAL, "b": np.int64(1)}),
    ],
    ids=["discrete", "binary", "dict"],
)
def test_the_terminal_state_of_every_kind_of_space_is_judged(space: Any, observation: Any) -> None:
    seen: list[Any] = []

    class Judge(ActorCritic):
        def predict_values(self, obs: Any) -> Tensor:
            seen.append(obs)
            return torch.tensor([[7.0]])

    agent = make_agent(RandomWorld(VECTOR, spaces.Discrete(2)), CONFIG)
    agent.policy = Judge(VECTOR, spaces.Discrete(2))
    assert agent.terminal_value(observation).tolist() == [7.0]
    batch = next(iter(seen))
    parts = batch.items() if isinstance(batch, dict) else [("", batch)]
    for key, tensor in parts:
        one = observation[key] if key else observation
        np.testing.assert_array_equal(tensor, np.asarray(one)[None])


# Gymnasium's vector environments


class ThreeSteps(gym.Env[Any, Any]):
    """Observes the number of its step; ends in the third step, by itself or by a time limit."""

    observation_space = spaces.Box(-10, 10, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, truncates: bool) -> None:
        self.truncates = truncates

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.n_steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.n_steps += 1
        ends = self.n_steps == 3
        observation = np.array([self.n_steps], np.float32)
        return observation, 1.0, ends and not self.truncates, ends and self.truncates, {}


def vector_of(*truncates: bool, mode: AutoresetMode = AutoresetMode.SAME_STEP) -> gym.vector.SyncVectorEnv:
    return gym.vector.SyncVectorEnv([lambda t=t: ThreeSteps(t) for t in truncates], autoreset_mode=mode)  # type: ignore[misc]


def test_gymnasiums_vector_environment_tells_where_and_how_episodes_ended() -> None:
    env = GymnasiumEnvironments(vector_of(False, True))
    assert env.reset(seed=0).tolist() == [[0.0], [0.0]]
    for number in (1, 2):
        observations, rewards, dones, infos = env.step(np.zeros(2, np.int64))
        assert observations.tolist() == [[number], [number]]
        assert rewards.dtype == np.float32
        assert dones.tolist() == [False, False]
    observations, _, dones, infos = env.step(np.zeros(2, np.int64))
    assert observations.tolist() == [[0.0], [0.0]], "the first of the next episode"
    assert dones.tolist() == [True, True]
    assert [info["terminal_observation"].tolist() for info in infos] == [[3.0], [3.0]]
    assert [info["TimeLimit.truncated"] for info in infos] == [False, True]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_environments_that_are_reset_at_another_moment_are_refused(mode: AutoresetMode) -> None:
    with pytest.raises(ValueError, match=f"got autoreset_mode {mode.name}: make them with gymnasium.make_vec"):
        GymnasiumEnvironments(vector_of(True, mode=mode))


def test_recipes_are_followed_at_a_time_limit(agent: PPOAgent) -> None:
    agent.recipe = SB3_PPO.replace(timeout_reward=lambda reward, terminal_value, gamma: -reward)
    rewards = np.array([1.0, 2.0], np.float32)
    info = {"TimeLimit.truncated": True, "terminal_observation": TERMINAL}
    bootstrap_timeouts(agent, rewards, np.array([True, False]), [info, info])
    assert rewards.tolist() == [-1.0, 2.0]
