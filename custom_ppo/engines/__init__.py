"""Engines: ways to compute and descend the loss of a minibatch, all with the same bits.

autograd    readable: the loss of the paper, differentiated by PyTorch, for every recipe and policy
fused       fast: the backward pass written out, for all policies of custom_ppo and all presets
features, layers, heads, objectives, flat
            parts of the fused one
fusible     names why an update must be left to autograd
native      fastest: plain C, compiled at installation, for MLPs on vectors and on Dicts of vectors, on the CPU
engine      the interfaces
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch

from custom_ppo.config import InvalidConfigError
from custom_ppo.engines.autograd import AutogradEngine
from custom_ppo.engines.engine import Actor, Engine, LossTerms
from custom_ppo.engines.fused import FusedEngine
from custom_ppo.engines.fusible import reason_against
from custom_ppo.engines.native.coverage import reason_against as reason_against_native
from custom_ppo.engines.native.engine import NativeEngine
from custom_ppo.recipe import Recipe

__all__ = [
    "Actor",
    "AutogradEngine",
    "Engine",
    "EngineName",
    "FusedEngine",
    "LossTerms",
    "NativeEngine",
    "make_engine",
    "reason_against",
]

EngineName = Literal["auto", "autograd", "fused", "native"]
"""Name of an engine; "auto" is the fastest one that policy, recipe and platform allow. All give the same bits."""


def make_engine(
    policy: Any,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    wanted: EngineName = "auto",
    last: Engine | None = None,
) -> Engine:
    """Return the engine for the next update of a policy by an optimiser.

    wanted: "auto" is the native one where it applies, else the fused one, else autograd's.
    last: the engine of the update before, which is returned if it still fits.
    Raises InvalidConfigError if "native" or "fused" is wanted and not possible, or if no engine has that name.
    """
    if isinstance(last, FusedEngine) and last.was_chosen_for(wanted, policy, optimizer, recipe):
        return last
    fastest: list[tuple[EngineName, type[FusedEngine], Callable[..., str | None]]] = [
        ("native", NativeEngine, reason_against_native),
        ("fused", FusedEngine, reason_against),
    ]
    for name, cls, reason_against_it in fastest:
        if wanted not in (name, "auto"):
            continue
        reason = reason_against_it(policy, optimizer, recipe)
        if reason is None:
            kept = last if isinstance(last, FusedEngine) and type(last) is cls else None
            serves = kept is not None and kept.serves(policy, optimizer, recipe)
            engine = kept if kept is not None and serves else cls(policy, optimizer, recipe)
            engine.choose_for(wanted)
            return engine
        if wanted == name:
            raise InvalidConfigError(f"engine={name!r} is not possible: {reason}; use engine='auto'")
    if wanted not in get_args(EngineName):  # it is an attribute of a model, which users may set
        raise InvalidConfigError(f"`engine` must be one of {', '.join(get_args(EngineName))}, got {wanted!r}")
    return AutogradEngine(policy, optimizer, recipe)
