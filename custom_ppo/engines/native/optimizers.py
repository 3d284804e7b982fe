"""Optimisers of the compiled kernels: their numbers and settings, in the order of `kernels/optimizers.c`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from custom_ppo.engines.flat import (
    FlatAdam,
    FlatAdamW,
    FlatOptimizer,
    FlatRMSprop,
    FlatRMSpropTFLike,
    FlatSGD,
)

__all__ = ["kernel_options"]

_NUMBERS: Mapping[type[FlatOptimizer], int] = {
    FlatAdam: 0,
    FlatAdamW: 1,
    FlatRMSprop: 2,
    FlatRMSpropTFLike: 3,
    FlatSGD: 4,
}
"""Class of an optimiser -> its number in kernels/kernels.h; the kernels make the steps of every flat optimiser."""

_ADAM = ("eps", "weight_decay", "amsgrad"), ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
_RMSPROP = ("alpha", "eps", "weight_decay", "momentum", "centered"), ("square_avg", "momentum_buffer", "grad_avg")
_SGD = ("momentum", "dampening", "weight_decay", "nesterov"), ("momentum_buffer",)
"""Names of settings and of states, in the order of the functions in kernels/optimizers.c; Adam's begin with betas."""


def kernel_options(flat: FlatOptimizer) -> tuple[int, tuple[float, ...], list[Tensor | None]]:
    """Return the number of an optimiser in the kernels, its settings, and its states, None for one that is not kept.

    The learning rate is none of the settings: it comes with the numbers of every update.
    """
    group = flat.optimizer.param_groups[0]
    adam, sgd = isinstance(flat, FlatAdam), isinstance(flat, FlatSGD)
    settings, states = _ADAM if adam else _SGD if sgd else _RMSPROP
    options = (*(group["betas"] if adam else ()), *(group[name] for name in settings))
    return _NUMBERS[type(flat)], tuple(map(float, options)), [flat.state.get(name) for name in states]
