"""Optimisers of the compiled kernels: their numbers and settings, in the order of `kernels/optimizers.c`."""

from __future__ import annotations

from torch import Tensor

from custom_ppo.engines.flat import FlatAdam, FlatOptimizer

__all__ = ["kernel_options", "reason_against_flat"]


def reason_against_flat(flat: FlatOptimizer) -> str | None:
    """Return the reason why the kernels cannot make the steps of an optimiser, or None if they can."""
    group = flat.optimizer.param_groups[0]
    if type(flat) is not FlatAdam or group["amsgrad"] or group["weight_decay"]:
        return f"no kernel makes the steps of {type(flat.optimizer).__name__} with these settings"
    return None


def kernel_options(flat: FlatOptimizer) -> tuple[int, tuple[float, ...], list[Tensor]]:
    """Return the number of an optimiser in the kernels, its settings, and its state."""
    group = flat.optimizer.param_groups[0]
    return 0, (*group["betas"], group["eps"]), list(flat.state.values())
