"""Tiny environments, each of which can be solved only by an agent that has one certain part right.

The probes are those of A. Jones, "Debugging reinforcement learning systems" (2021): because each adds one demand to the
one before, the first that fails points at the part that is broken.
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
    """One number is observed, one of n_actions is done, and the episode ends after its first step."""

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
    """Always reward 1. If V is not learnt: the value loss, or the critic's optimiser."""

    def reward(self, action: int) -> float:
        return 1.0


class ObservedReward(Probe):
    """The reward is what was observed, -1 or 1. If V is not learnt: backpropagation through the critic."""

    def first_state(self) -> float:
        return float(self.np_random.choice([-1.0, 1.0]))

    def reward(self, action: int) -> float:
        return self.state


class DelayedReward(Probe):
    """Observes 0, then 1, and only then gets reward 1. If V(0) is not gamma: discounting and bootstrapping."""

    def step(self, action: Any) -> Transition:
        last, self.state = self.state == 1.0, 1.0
        return self.observe(), float(last), last, False, {}


class ActionReward(Probe):
    """Action 1 is right, action 0 is wrong. If it is not learnt: the advantages, or the policy's loss."""

    n_actions = 2

    def reward(self, action: int) -> float:
        return 1.0 if action == 1 else -1.0


class ContextReward(ObservedReward):
    """The right action depends on the observation. If it is not learnt: old observations meet other actions."""

    n_actions = 2

    def reward(self, action: int) -> float:
        return 1.0 if (action == 1) == (self.state > 0) else -1.0


class RandomWorld(gym.Env[Any, Any]):
    """Random observations and action-dependent rewards in any spaces; episodes end in both ways.

    An episode is truncated after `time_limit` steps, and terminates before that with probability 0.1 at each step.
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
    """A RandomWorld that says NaN, as its reward or in its observation, at its n-th step ever."""

    def __init__(self, *, nan_reward_at: int = 0, nan_observation_at: int = 0) -> None:
        super().__init__(spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Discrete(2))
        self.nan_reward_at = nan_reward_at
        self.nan_observation_at = nan_observation_at
        self.n_steps_ever = 0

    def step(self, action: Any) -> Transition:
        self.n_steps_ever += 1
        observation, reward, terminated, truncated, info = super().step(action)
        if self.n_steps_ever == self.nan_observation_at:
            # In the middle of an episode, so that it is this observation, and no reset, which the agent sees next.
            observation, terminated, truncated = np.full(3, np.nan, np.float32), False, False
        return observation, np.nan if self.n_steps_ever == self.nan_reward_at else reward, terminated, truncated, info
