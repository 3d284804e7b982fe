"""A from-scratch PPO that trains to the same bits as Stable-Baselines3's.

Reading order, ten minutes:

    minimal              a whole training script, without SB3
    rollout              act -> step -> bootstrap at time limits -> remember
    agent                act -> remember -> advantages -> update
    gae                  A_t        Schulman et al. 2016, arXiv 1506.02438, eq. 16
    losses               L^CLIP, L^KLPEN, L^VF, S        Schulman et al. 2017, arXiv 1707.06347, eq. 7 to 9
    engines.autograd     the loss of a minibatch and its gradient step

then `recipe` (the parts by name, and the presets), `config`, `memory`, `networks`, `distributions`, `extractors`,
`diagnostics`, `engines.fused` (the same bits in less time), and `sb3` (SB3's interface: callbacks, logger, files).
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
