"""Small environments that test one part of an agent each, and environments with random or NaN observations.

The probes are from A. Jones, "Debugging reinforcement learning systems" (2021): each requires one more part than the
one before, so that the first that is not solved points at the faulty part.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

__all__ = [
    "ActionReward",
    "BrokenWorld",
    "ConstantReward",
    "ContextReward",
    "DelayedReward",
    "ObservedReward",
    "RandomWorld",
]

Transition = tuple[Any, float, bool, bool, dict[str, Any]]


class Probe(gym.Env[Any, Any]):
    """Base class: observe one number, take one of n_actions, and the episode ends after its first step."""

    n_actions = 1

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Discrete(self.n_actions)
        self.state = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = self.first_state()
        return self.observe(), {}

    def step(self, action: Any) -> Transition:
        return self.observe(), self.reward(int(action)), True, False, {}

    def observe(self) -> Any:
        return np.array([self.state], dtype=np.float32)

    def first_state(self) -> float:
        return 0.0

    def reward(self, action: int) -> float:
        raise NotImplementedError


class ConstantReward(Probe):
    """Reward is always 1. If V is not learnt, the value loss or the critic's optimiser is faulty."""

    def reward(self, action: int) -> float:
        return 1.0


class ObservedReward(Probe):
    """Reward is the observation, -1 or 1. If V is not learnt, backpropagation through the critic is faulty."""

    def first_state(self) -> float:
        return float(self.np_random.choice([-1.0, 1.0]))

    def reward(self, action: int) -> float:
        return self.state


class DelayedReward(Probe):
    """Observations are 0, then 1, with reward 1 at the end. If V(0) is not gamma, discount or bootstrap is faulty."""

    def step(self, action: Any) -> Transition:
        last, self.state = self.state == 1.0, 1.0
        return self.observe(), float(last), last, False, {}


class ActionReward(Probe):
    """Action 1 is rewarded. If it is not learnt, the advantages or the policy loss are faulty."""

    n_actions = 2

    def reward(self, action: int) -> float:
        return 1.0 if action == 1 else -1.0


class ContextReward(ObservedReward):
    """The rewarded action depends on the observation. If not learnt, observations and actions are misaligned."""

    n_actions = 2

    def reward(self, action: int) -> float:
        return 1.0 if (action == 1) == (self.state > 0) else -1.0


class RandomWorld(gym.Env[Any, Any]):
    """Random observations and action-dependent rewards in any spaces, with terminations and truncations.

    An episode terminates with probability 0.1 at each step, and is truncated after `time_limit` steps.
    """

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], time_limit: int = 5
    ) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
        self.time_limit = time_limit
        self.n_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.n_steps = 0
        return self.observe(), {}

    def observe(self) -> Any:
        return self.observation_space.sample()

    def reward(self, action: Any) -> float:
        return float(np.mean(np.asarray(action, dtype=np.float64))) + float(self.np_random.normal())

    def step(self, action: Any) -> Transition:
        self.n_steps += 1
        terminated = bool(self.np_random.random() < 0.1)
        truncated = not terminated and self.n_steps == self.time_limit
        return self.observe(), self.reward(action), terminated, truncated, {}


class BrokenWorld(RandomWorld):
    """A RandomWorld with a NaN reward or a NaN observation at its n-th step, counted over all episodes."""

    def __init__(self, *, nan_reward_at: int = 0, nan_observation_at: int = 0) -> None:
        super().__init__(spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Discrete(2))
        self.nan_reward_at = nan_reward_at
        self.nan_observation_at = nan_observation_at
        self.n_steps_ever = 0

    def step(self, action: Any) -> Transition:
        self.n_steps_ever += 1
        observation, reward, terminated, truncated, info = super().step(action)
        if self.n_steps_ever == self.nan_observation_at:
            # Continue the episode: otherwise the agent would see the observation of the reset instead of this one.
            observation, terminated, truncated = np.full(3, np.nan, np.float32), False, False
        return observation, np.nan if self.n_steps_ever == self.nan_reward_at else reward, terminated, truncated, info
