"""Spaces of observations and actions for which an update can be fused."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces

VECTOR = spaces.Box(-1, 1, (3,))

ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(3),
    "one choice": spaces.Discrete(1),
    "box": spaces.Box(-1, 1, (2,)),
    "matrix": spaces.Box(-1, 1, (2, 3)),
    "choices": spaces.MultiDiscrete([3, 2, 4]),
    "single choice of many": spaces.MultiDiscrete([5]),
    "switches": spaces.MultiBinary(3),
}
