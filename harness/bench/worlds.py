"""Small environments with spaces that Gymnasium's own do not have: MultiDiscrete, MultiBinary and Dict.

They cost little time, so that a measurement shows the algorithm and not the environment. They are registered on import,
with a time limit of 100 steps: "harness.bench.worlds:BenchDict-v0".
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

__all__ = ["DictWorld", "MultiBinaryWorld", "MultiDiscreteWorld"]

_N_FEATURES = 8


class _World(gymnasium.Env[Any, Any]):
    """Random walk in 8 dimensions that each action pushes; an episode ends when the walk leaves a box."""

    action_size: ClassVar[int]

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-4.0, 4.0, (_N_FEATURES,), np.float32)
        self.state: NDArray[np.float64] = np.zeros(_N_FEATURES)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return the first observation, and no info."""
        super().reset(seed=seed)
        self.state = self.np_random.normal(size=_N_FEATURES) * 0.1
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Push the first components by the action, and the whole walk by noise."""
        self.state = self.state + self.np_random.normal(size=_N_FEATURES) * 0.1
        self.state[: self.action_size] += 0.1 * (np.asarray(action, dtype=np.float64) - 0.5)
        distance = float(np.abs(self.state).max())
        return self._observation(), 1.0 - distance, distance > 3.0, False, {}

    def _observation(self) -> Any:
        return self.state.astype(np.float32)


class MultiDiscreteWorld(_World):
    """World with three actions at once, of 3, 3 and 2 choices."""

    action_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.MultiDiscrete([3, 3, 2])


class MultiBinaryWorld(_World):
    """World with four switches as its action."""

    action_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.MultiBinary(4)


class DictWorld(_World):
    """World whose observation is a Dict of two vectors and a category."""

    action_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Discrete(3)
        self.observation_space = spaces.Dict(
            {
                "near": spaces.Box(-4.0, 4.0, (4,), np.float32),
                "far": spaces.Box(-4.0, 4.0, (4,), np.float32),
                "quadrant": spaces.Discrete(4),
            }
        )

    def _observation(self) -> Any:
        state = self.state.astype(np.float32)
        quadrant = np.int64(2 * (self.state[0] > 0) + (self.state[1] > 0))
        return {"near": state[:4], "far": state[4:], "quadrant": quadrant}


for _name in ("MultiDiscrete", "MultiBinary", "Dict"):
    gymnasium.register(f"Bench{_name}-v0", entry_point=f"{__name__}:{_name}World", max_episode_steps=100)
