"""A from-scratch PPO that trains to the same bits as Stable-Baselines3's.

Reading order: `agent` (act -> remember -> advantages -> update), then what it calls: `memory`, `gae`, `losses`,
`distributions`, `networks`; `recipe` names which function plays which part; `sb3` puts it behind SB3's interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from custom_ppo.config import PPOConfig
from custom_ppo.recipe import Recipe

if TYPE_CHECKING:
    from custom_ppo.sb3 import CustomA2C, CustomPPO

__all__ = ["CustomA2C", "CustomPPO", "PPOConfig", "Recipe"]


def __getattr__(name: str) -> Any:
    # These names need stable_baselines3, so they are imported on first use: the paper's part of the package can be
    # read, tested and used without it.
    if name in ("CustomA2C", "CustomPPO"):
        from custom_ppo import sb3

        return getattr(sb3, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
