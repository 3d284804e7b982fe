"""Engines: ways to compute and descend the loss of a minibatch, all with the same bits.

autograd    readable: the loss of the paper, differentiated by PyTorch, for every recipe and policy
fused       fast: the backward pass written out, for the common case
flat        optimisers on one vector of all parameters
fusible     names why an update must be left to autograd
engine      the interfaces
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from custom_ppo.config import InvalidConfigError
from custom_ppo.engines.autograd import AutogradEngine
from custom_ppo.engines.engine import Actor, Engine, LossTerms
from custom_ppo.engines.fused import FusedEngine
from custom_ppo.engines.fusible import reason_against
from custom_ppo.recipe import Recipe

__all__ = [
    "Actor",
    "AutogradEngine",
    "Engine",
    "EngineName",
    "FusedEngine",
    "LossTerms",
    "make_engine",
    "reason_against",
]

EngineName = Literal["auto", "autograd", "fused"]
"""Name of an engine; "auto" is the fastest one with autograd's bits."""


def make_engine(
    policy: Any,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    wanted: EngineName = "auto",
    last: Engine | None = None,
) -> Engine:
    """Return the engine for the next update of a policy by an optimiser.

    wanted: "auto" is the fused one where it gives autograd's bits, and autograd's elsewhere.
    last: the engine of the update before, which is returned if it still fits.
    Raises InvalidConfigError if "fused" is wanted and not possible.
    """
    reason = "autograd was asked for" if wanted == "autograd" else reason_against(policy, optimizer, recipe)
    if reason is None:
        fits = isinstance(last, FusedEngine) and last.serves(policy, optimizer)
        return last if fits and last is not None else FusedEngine(policy, optimizer, recipe)
    if wanted == "fused":
        raise InvalidConfigError(f"engine='fused' is not possible: {reason}; use engine='auto'")
    return AutogradEngine(policy, optimizer, recipe)
