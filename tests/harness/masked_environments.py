"""Environments whose action masks rule most actions out; worker processes import them by name."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from sb3_contrib.common.envs import InvalidActionEnvDiscrete

__all__ = ["IDENTITY", "MASKED", "METHOD_OF_ANOTHER_NAME", "MODULE", "Masked", "OffersMasks"]

MODULE = "tests.harness.masked_environments"
MASKED = f"{MODULE}:Masked-v0"
METHOD_OF_ANOTHER_NAME = f"{MODULE}:OtherName-v0"
IDENTITY = f"{MODULE}:Identity-v0"


class InvalidActionError(Exception):
    """An action was chosen that the masks rule out."""


class Masked(gym.Env[Any, Any]):
    """Random observations, episodes of ten steps, reward 1, and one valid action in each step."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  declared as in gymnasium.Env

    def __init__(self, render_mode: str | None = None, kind: str = "discrete") -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.action_space: Any = {
            "discrete": spaces.Discrete(50),
            "multidiscrete": spaces.MultiDiscrete([20, 30]),
            "binary": spaces.MultiBinary(10),
        }[kind]
        self.render_mode = render_mode
        self.valid: Any = 0
        self.n_steps = 0

    def action_masks(self) -> Any:
        match self.action_space:
            case spaces.Discrete():
                sizes, values = [50], [self.valid]
            case spaces.MultiDiscrete():
                sizes, values = [20, 30], list(self.valid)
            case _:
                sizes, values = [2] * 10, list(self.valid)
        return np.concatenate([np.arange(size) == value for size, value in zip(sizes, values, strict=True)])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.n_steps = 0
        return self.observe(), {}

    def observe(self) -> Any:
        if isinstance(self.action_space, spaces.Discrete):
            self.valid = int(self.np_random.integers(50))
        elif isinstance(self.action_space, spaces.MultiDiscrete):
            self.valid = self.np_random.integers([20, 30])
        else:
            self.valid = self.np_random.integers(2, size=10)
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if not np.array_equal(action, self.valid):
            raise InvalidActionError(f"{action} was chosen, {self.valid} is valid")
        self.n_steps += 1
        return self.observe(), 1.0, self.n_steps == 10, False, {}

    def render(self) -> Any:
        return np.zeros((32, 32, 3), np.uint8)


class OtherName(Masked):
    """Its masks have another name, so that a wrapper must offer them."""

    def __getattribute__(self, name: str) -> Any:
        if name == "action_masks":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def valid_moves(self) -> Any:
        return np.arange(50) == self.valid


class OffersMasks(gym.Wrapper[Any, Any, Any, Any]):
    """Wrapper that offers the masks under the name that sb3_contrib expects."""

    def action_masks(self) -> Any:
        return self.get_wrapper_attr("valid_moves")()


def make_identity() -> Any:
    return InvalidActionEnvDiscrete(dim=20, n_invalid_actions=10)


if "Masked-v0" not in gym.registry:
    gym.register("Masked-v0", f"{MODULE}:Masked")
    gym.register("OtherName-v0", f"{MODULE}:OtherName")
    gym.register("Identity-v0", f"{MODULE}:make_identity")
