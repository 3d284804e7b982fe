from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from custom_ppo.config import PPOConfig
from custom_ppo.diagnostics import TrainingDivergedError
from custom_ppo.networks import ActorCritic
from tests.custom_ppo.loops import Loop, agent_in_broken_world, make_agent
from tests.probe_envs import RandomWorld

SMALL = PPOConfig(n_steps=8, batch_size=4, n_epochs=2, learning_rate=1e-3)


def test_a_nan_reward_is_found_before_it_is_learnt_from() -> None:
    agent, loop = agent_in_broken_world(SMALL, nan_reward_at=3)
    with pytest.raises(TrainingDivergedError) as error:
        loop.collect(agent)
    assert (
        str(error.value) == "iteration 1: the reward of step 3 of 8, environment 0, is nan: the environment returned it"
    )


def test_a_nan_observation_is_found_when_it_is_met() -> None:
    agent, loop = agent_in_broken_world(SMALL, nan_observation_at=3)
    with pytest.raises(TrainingDivergedError) as error:
        loop.collect(agent)
    assert str(error.value) == (
        "iteration 1: no action can be drawn at step 4 of 8: "
        "the observation of environment 0 holds a number that is not finite"
    )


def test_a_nan_in_one_entry_of_a_dict_is_found_in_its_environment() -> None:
    space = spaces.Dict({"a": spaces.Box(-1, 1, (1,)), "b": spaces.Box(-1, 1, (1,))})

    class RefusesNaN(ActorCritic):
        def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
            raise ValueError("a policy of SB3 refuses NaN like this")

    agent = make_agent(RandomWorld(spaces.Box(-1, 1, (1,)), spaces.Discrete(2)), SMALL)
    agent.policy = RefusesNaN(space.spaces["a"], spaces.Discrete(2))
    agent.start_rollout()
    observations: dict[str, Any] = {"a": np.zeros((2, 1), np.float32), "b": np.array([[0.0], [np.inf]], np.float32)}
    with pytest.raises(TrainingDivergedError) as error:
        agent.act(observations)
    assert str(error.value) == (
        "iteration 1: no action can be drawn at step 1 of 8: "
        "the observation 'b' of environment 1 holds a number that is not finite"
    )


def test_other_errors_of_the_policy_are_raised_unchanged() -> None:
    agent, _ = agent_in_broken_world(SMALL)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        agent.act(np.zeros((1, 99), np.float32))


def test_a_nan_observation_of_a_box_policy_is_found_after_the_rollout() -> None:
    torch.manual_seed(0)
    world = RandomWorld(spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (1,)))
    world.reward = lambda action: 0.0  # type: ignore[method-assign]  # the NaN shall not come back in the reward
    agent, loop = make_agent(world, SMALL), Loop(lambda: world)
    loop.observations[0, 1] = np.nan
    with pytest.raises(TrainingDivergedError) as error:
        loop.collect(agent)
    assert str(error.value) == (
        "iteration 1: the value of step 1 of 8, environment 0, is nan: "
        "the observation holds such a number, or the weights have diverged"
    )


def test_a_nan_observation_after_the_last_step_is_found_too() -> None:
    agent, loop = agent_in_broken_world(SMALL, nan_observation_at=8)
    with pytest.raises(TrainingDivergedError) as error:
        loop.collect(agent)
    assert str(error.value) == (
        "iteration 1: the advantage of step 1 of 8, environment 0, is nan: "
        "rewards or values are too large for float32, or the observation after the last step is not finite"
    )


def test_diverged_weights_are_named() -> None:
    agent, loop = agent_in_broken_world(SMALL)
    with torch.no_grad():
        next(iter(agent.policy.parameters())).fill_(torch.nan)
    with pytest.raises(TrainingDivergedError) as error:
        loop.collect(agent)
    assert str(error.value) == (
        "iteration 1: no action can be drawn at step 1 of 8: the weights have diverged; try a smaller learning_rate"
    )
