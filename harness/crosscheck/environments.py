"""Small environments that expose mistakes: tight bounds, several action dimensions, frequent terminations and timeouts.

A step takes a few microseconds. All randomness comes from the environment's own generator, so that only the
implementation advances the global generators, whose states are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

__all__ = ["ENVIRONMENTS", "ManySwitches", "TightBounds", "make_environment"]

Transition = tuple[Any, float, bool, bool, dict[str, Any]]


class TightBounds(gym.Env[Any, Any]):
    """Point in the plane, moved by a force whose two components have different, tight bounds.

    Most Gaussian samples lie outside the bounds, so clipping the action matters at once. Observation: position and
    velocity, float32 [4]. Reward: minus the distance to the origin, minus a cost of force. An episode terminates when
    the point leaves the square [-1, 1]^2.
    """

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
        self.action_space = spaces.Box(np.array([-0.3, -0.5], np.float32), np.array([0.4, 0.2], np.float32))
        self.position: Any = np.zeros(2)
        self.velocity: Any = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-0.5, 0.5, 2)
        self.velocity = self.np_random.uniform(-0.1, 0.1, 2)
        return self._observation(), {}

    def step(self, action: Any) -> Transition:
        # Never clipped here, so that an action out of bounds changes the reward.
        force = np.asarray(action, dtype=np.float64)
        self.velocity = 0.9 * self.velocity + force + self.np_random.normal(0, 0.02, 2)
        self.position = self.position + 0.3 * self.velocity
        distance = float(np.hypot(*self.position))
        terminated = bool(np.abs(self.position).max() > 1)
        return self._observation(), -distance - 0.1 * float(force @ force), terminated, False, {}

    def _observation(self) -> Any:
        return np.concatenate([self.position, self.velocity]).astype(np.float32)


class ManySwitches(gym.Env[Any, Any]):
    """Three simultaneous choices (MultiDiscrete [3, 2, 4]), rewarded if they fit the observation, float32 [3].

    Each step ends the episode with probability 1/12.
    """

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.action_space = spaces.MultiDiscrete([3, 2, 4])
        self.state: Any = np.zeros(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 3)
        return self.state.astype(np.float32), {}

    def step(self, action: Any) -> Transition:
        targets = np.array([1.0, 0.5, 1.5]) * (1 + self.state)
        reward = 2.0 - float(np.abs(np.asarray(action) - targets).sum())
        self.state = np.clip(self.state + self.np_random.normal(0, 0.3, 3), -1, 1)
        return self.state.astype(np.float32), reward, bool(self.np_random.random() < 1 / 12), False, {}


def _limited(make: Callable[[], gym.Env[Any, Any]], n_steps: int) -> gym.Env[Any, Any]:
    return TimeLimit(make(), n_steps)


def _unlimited(env_id: str) -> gym.Env[Any, Any]:
    """Return the environment of this id without the time limit registered for it."""
    return gym.make(env_id).unwrapped


ENVIRONMENTS: Mapping[str, Callable[[], gym.Env[Any, Any]]] = {
    "TightBounds": partial(_limited, TightBounds, 9),
    "ManySwitches": partial(_limited, ManySwitches, 7),
    "CartPole15": partial(_limited, partial(_unlimited, "CartPole-v1"), 15),
    "Pendulum20": partial(_limited, partial(_unlimited, "Pendulum-v1"), 20),
}
"""Name -> constructor, with a time limit that is reached several times in a rollout. CartPole15's episodes terminate or
are truncated, Pendulum20's are always truncated."""


def make_environment(name: str) -> gym.Env[Any, Any]:
    """Return the environment of this name in `ENVIRONMENTS`, or Gymnasium's of this id."""
    return ENVIRONMENTS[name]() if name in ENVIRONMENTS else gym.make(name)
