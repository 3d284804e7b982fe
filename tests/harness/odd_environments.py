"""Environments with mistakes of the kinds that a trial must name; worker processes import them by name."""

from __future__ import annotations

import itertools
import os
import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

__all__ = ["MODULE", "NAMES"]

MODULE = "tests.harness.odd_environments"

_COUNTER = itertools.count()


class Plain(gym.Env[Any, Any]):
    """Random observations, ten steps, and no mistake."""

    def __init__(self, size: int = 2) -> None:
        self.observation_space: Any = spaces.Box(-1.0, 1.0, (size,), np.float32)
        self.action_space: Any = spaces.Discrete(2)

    def observe(self) -> Any:
        return self.np_random.uniform(-1, 1, self.observation_space.shape).astype(np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action: Any) -> Any:
        return self.observe(), 1.0, False, False, {}


class OldStep(Plain):
    def step(self, action: Any) -> Any:
        return self.observe(), 1.0, False, {}


class OldReset(Plain):
    def reset(self) -> Any:  # type: ignore[override]
        return np.zeros(2, np.float32)


class NoInfo(Plain):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return np.zeros(2, np.float32)


class NanReward(Plain):
    def step(self, action: Any) -> Any:
        return self.observe(), float("nan"), False, False, {}


class InfiniteObservation(Plain):
    def observe(self) -> Any:
        return np.array([0.0, np.inf], np.float32)


class Unseeded(Plain):
    def observe(self) -> Any:
        return np.full(2, next(_COUNTER) % 1000 / 1000, np.float32)


class Outside(Plain):
    def observe(self) -> Any:
        return np.full(2, 3.0, np.float32)


class Unbounded(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)


class Wide(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Box(0, 255, (1,), np.float32)


class Raises(Plain):
    def __init__(self) -> None:
        raise RuntimeError("no\nrotor")


class Exits(Plain):
    def __init__(self) -> None:
        sys.exit(3)


class Dies(Plain):
    def __init__(self) -> None:
        os._exit(7)


class Crashes(Plain):
    def __init__(self) -> None:
        os.kill(os.getpid(), 11)


class Hangs(Plain):
    def __init__(self) -> None:
        time.sleep(1000)


NAMES = {
    kind.__name__: f"{MODULE}:{kind.__name__}-v0"
    for kind in (
        Plain, OldStep, OldReset, NoInfo, NanReward, InfiniteObservation, Unseeded, Outside, Unbounded, Wide, Raises,
        Exits, Dies, Crashes, Hangs,
    )
}  # fmt: skip
"""Class -> id with which its environment can be made."""

for _name in NAMES:
    if f"{_name}-v0" not in gym.registry:
        gym.register(f"{_name}-v0", f"{MODULE}:{_name}", max_episode_steps=10)
