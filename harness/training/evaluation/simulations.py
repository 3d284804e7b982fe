"""Several environments stepped side by side without the copies and conversions of SB3's vector environments."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor

__all__ = ["PlainSimulation", "Simulation", "inside_of_wrappers"]

Env = gym.Env[Any, Any]


class Simulation(ABC):
    """N environments in the middle of their episodes; an episode that ends is followed by a new one at once.

    envs: environments, already reset, with their wrappers.
    observations: their observations [N, D] in the dtype of the space, which `step` replaces in place.
    """

    may_pause: bool
    """True if an environment that is not stepped cannot affect the others."""

    def __init__(self, envs: Sequence[Env], observations: NDArray[Any]) -> None:
        self.envs = envs
        self.observations = observations
        self.infos: list[dict[str, Any]] = [{} for _ in envs]
        """Dictionary `info` of the latest step of each environment."""

    @abstractmethod
    def step(self, actions: NDArray[Any], active: Sequence[int]) -> tuple[list[float], list[bool]]:
        """Step the environments with these indices; return the rewards, and True where an episode has ended.

        actions: [N, ...], for all environments.
        """


class PlainSimulation(Simulation):
    """Environments stepped one by one by their own code, in the order of SB3's DummyVecEnv."""

    may_pause = False  # environments of a user may share a generator

    def __init__(self, envs: Sequence[Env], observations: NDArray[Any]) -> None:
        super().__init__(envs, observations)
        insides = [inside_of_wrappers(env) for env in envs]
        self._steps = [env.step for env, _ in insides]
        self._limits = [limit for _, limit in insides]
        self._lengths = [0 for _ in envs]

    def step(self, actions: NDArray[Any], active: Sequence[int]) -> tuple[list[float], list[bool]]:
        """See `Simulation.step`."""
        rewards, ended = [], []
        for i in active:
            observation, reward, terminated, truncated, self.infos[i] = self._steps[i](actions[i])
            self._lengths[i] += 1
            end = bool(terminated or truncated or self._lengths[i] >= self._limits[i])
            if end:
                # Of the outermost environment, since wrappers may do more at a reset than at a step.
                observation, _ = self.envs[i].reset()
                self._lengths[i] = 0
            self.observations[i] = observation
            rewards.append(float(reward))
            ended.append(end)
        return rewards, ended


def inside_of_wrappers(env: Env) -> tuple[Env, int]:
    """Return the environment without the wrappers that only count, record or check, and its time limit in steps."""
    limit = sys.maxsize
    while type(env) in (Monitor, TimeLimit, OrderEnforcing, PassiveEnvChecker):
        if isinstance(env, TimeLimit):
            limit = min(limit, env._max_episode_steps)
        if isinstance(env, PassiveEnvChecker) and not env.checked_step:
            break  # its only check is that of the first step
        env = env.env  # type: ignore[attr-defined]
    return env, limit
