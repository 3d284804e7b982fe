"""Agents without Stable-Baselines3, and environments for them to act in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from custom_ppo.agent import PPOAgent
from custom_ppo.config import PPOConfig
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO, Recipe
from custom_ppo.rollout import interact
from tests.probe_envs import BrokenWorld

__all__ = ["Loop", "agent_in_broken_world", "learned_state", "make_agent"]


def make_agent(
    env: gym.Env[Any, Any], config: PPOConfig, *, n_envs: int = 1, recipe: Recipe = SB3_PPO, **network: Any
) -> PPOAgent:
    policy = ActorCritic(env.observation_space, env.action_space, **network)
    memory = TrajectoryMemory(config.n_steps, n_envs, env.observation_space, env.action_space)
    optimizer = recipe.optimizer(policy.parameters(), 0.0)
    return PPOAgent(policy, optimizer, memory, config, recipe, torch.device("cpu"))


def learned_state(agent: PPOAgent) -> list[torch.Tensor]:
    """Return copies of the weights, and of the optimiser's steps and moments."""
    states = agent.optimizer.state
    kept = [states[p][name] for p in agent.policy.parameters() for name in ("step", "exp_avg", "exp_avg_sq")]
    return [tensor.detach().clone() for tensor in (*agent.policy.parameters(), *kept)]


class Loop:
    """Environments and their current states; two loops with equal seeds differ only if their agents do."""

    def __init__(self, make_env: Callable[[], gym.Env[Any, Any]], n_envs: int = 1, seed: int = 0) -> None:
        self.envs: Sequence[gym.Env[Any, Any]] = [make_env() for _ in range(n_envs)]
        self.observations = np.stack([env.reset(seed=seed + i)[0] for i, env in enumerate(self.envs)])
        self.episode_starts: NDArray[np.bool_] = np.ones(n_envs, dtype=bool)

    def collect(self, agent: PPOAgent) -> None:
        """Fill the agent's memory."""
        agent.start_rollout()
        for transition in interact(agent, self, self.observations, self.episode_starts):
            self.observations, self.episode_starts = transition.next_observations, transition.dones
        agent.finish_rollout(self.observations, self.episode_starts)

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[np.bool_], Sequence[dict[str, Any]]]:
        """Make a step in every environment; a time limit counts as a termination."""
        results = [step_and_reset(env, action) for env, action in zip(self.envs, actions, strict=True)]
        observations, rewards, dones = (np.stack(column) for column in zip(*results, strict=True))
        return observations, rewards, dones, [{} for _ in self.envs]


def step_and_reset(env: gym.Env[Any, Any], action: Any) -> tuple[Any, float, bool]:
    observation, reward, terminated, truncated, _ = env.step(action)
    done = terminated or truncated
    return env.reset()[0] if done else observation, float(reward), done


def agent_in_broken_world(config: PPOConfig, **broken: int) -> tuple[PPOAgent, Loop]:
    """Return an agent and the loop over one environment that returns NaN at the step that `broken` gives."""
    torch.manual_seed(0)
    world = BrokenWorld(**broken)
    return make_agent(world, config), Loop(lambda: world)
