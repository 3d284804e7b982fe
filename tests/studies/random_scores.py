"""Measure the mean return of uniformly random actions, which stands for 0 in normalised scores.

python -m tests.studies.random_scores [EPISODES] [ENVIRONMENT ...]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import gymnasium as gym
import numpy as np

__all__ = ["ENVIRONMENTS", "main", "random_score"]

ENVIRONMENTS = (
    "Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1",
    "BipedalWalker-v3", "BipedalWalkerHardcore-v3", "LunarLander-v3", "LunarLanderContinuous-v3",
    "Ant-v5", "HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "InvertedDoublePendulum-v5", "InvertedPendulum-v5",
    "Reacher-v5", "Swimmer-v5", "Walker2d-v5",
)  # fmt: skip
"""Environments of harness.analysis.tables.aggregate_references that Gymnasium has."""


def random_score(env_id: str, n_episodes: int) -> tuple[float, float]:
    """Return the mean return of random actions over episodes with the seeds 0, 1, ..., and its standard error."""
    env = gym.make(env_id)
    env.action_space.seed(0)
    returns = np.zeros(n_episodes)
    for episode in range(n_episodes):
        env.reset(seed=episode)
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            returns[episode] += float(reward)
            ended = terminated or truncated
    env.close()
    return float(returns.mean()), float(returns.std(ddof=1)) / math.sqrt(n_episodes)


def main(n_episodes: int, environments: Sequence[str]) -> None:
    """Print a row for each environment."""
    print("| environment | random | standard error |\n|---|---|---|")
    for env_id in environments:
        mean, error = random_score(env_id, n_episodes)
        print(f"| {env_id} | {mean:.5g} | {error:.2g} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, sys.argv[2:] or ENVIRONMENTS)
