"""Training script without Stable-Baselines3: `python -m custom_ppo.minimal` solves CartPole in a minute."""

from __future__ import annotations

import argparse

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from custom_ppo.agent import PPOAgent
from custom_ppo.config import PPOConfig
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO
from custom_ppo.rollout import GymnasiumEnvironments, interact

CONFIG = PPOConfig(
    n_steps=32,
    batch_size=256,
    n_epochs=20,
    gamma=0.98,
    gae_lambda=0.8,
    learning_rate=lambda progress_remaining: 1e-3 * progress_remaining,
    clip_range=lambda progress_remaining: 0.2 * progress_remaining,
)
"""Settings of RL Baselines3 Zoo for CartPole-v1."""


def train(env_id: str = "CartPole-v1", n_updates: int = 390, n_envs: int = 8, seed: int = 0) -> list[float]:
    """Train an agent, print its progress, and return the mean return of the episodes that ended in each tenth."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the stream that minibatches are drawn from, as in SB3
    vector = gym.make_vec(env_id, n_envs, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})
    env = GymnasiumEnvironments(vector)
    observation_space, action_space = vector.single_observation_space, vector.single_action_space
    policy = ActorCritic(observation_space, action_space)
    memory = TrajectoryMemory(CONFIG.n_steps, n_envs, observation_space, action_space)
    optimizer = SB3_PPO.optimizer(policy.parameters(), 0.0)  # every update sets its learning rate
    agent = PPOAgent(policy, optimizer, memory, CONFIG, SB3_PPO, torch.device("cpu"))

    observations, returns = env.reset(seed), np.zeros(n_envs)
    episode_starts = np.ones(n_envs, dtype=bool)
    ended: list[float] = []
    means: list[float] = []
    for update in range(n_updates):
        agent.start_rollout()
        for transition in interact(agent, env, observations, episode_starts):
            # An episode goes on over the end of a rollout, so the next one begins where this one stops.
            observations, episode_starts = transition.next_observations, transition.dones
            returns += transition.rewards
            ended += returns[episode_starts].tolist()
            returns[episode_starts] = 0.0
        agent.finish_rollout(observations, episode_starts)
        # The steps of this rollout count as made, as in SB3: schedules that fall to zero are zero in the last update.
        agent.update(progress_remaining=1 - (update + 1) / n_updates)
        if (update + 1) % (n_updates // 10) == 0:
            means.append(float(np.mean(ended)))
            print(f"update {update + 1} of {n_updates}: mean return {means[-1]:.1f}")  # noqa: T201
            ended.clear()
    return means


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m custom_ppo.minimal", description=__doc__).parse_args()
    torch.set_num_threads(1)
    train()
