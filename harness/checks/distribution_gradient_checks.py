"""Gradients of log-probabilities and entropies, against SB3's distributions differentiated by PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from harness.checks.case import Array, FunctionCheck, Inputs
from harness.checks.cases.action_distributions import distribution_cases
from harness.checks.differentiation import gradient_check
from harness.checks.distribution_checks import (
    ARGUMENTS,
    PARAMETERS,
    log_prob_size,
    sb3_entropy,
    sb3_log_prob,
)
from harness.checks.known_mistakes import entropy_gradient_mistakes, log_prob_gradient_mistakes

__all__ = ["entropy_gradient", "log_prob_gradient"]


def _leaves(distribution: str) -> tuple[str, ...]:
    # SB3 detaches the features: gSDE's noise must not train the layers that compute them.
    return tuple(name for name in PARAMETERS[distribution] if name not in ("nvec", "features"))


def _autograd(function: Callable[[str, Inputs], Tensor], distribution: str) -> Callable[[Inputs], Mapping[str, Array]]:
    """Return a function from inputs to the gradients of SB3's distribution, computed by PyTorch."""
    leaves = _leaves(distribution)

    def expected(inputs: Inputs) -> Mapping[str, Array]:
        tensors = {name: torch.from_numpy(inputs[name].copy()).requires_grad_() for name in leaves}
        total = function(distribution, {**inputs, **tensors}).sum()
        found = torch.autograd.grad(total, list(tensors.values()), allow_unused=True)
        return {
            name: np.zeros(inputs[name].shape, np.float32) if gradient is None else gradient.numpy()
            for name, gradient in zip(leaves, found, strict=True)
        }

    return expected


def _sizes(distribution: str) -> Callable[[Inputs, str], Array]:
    """Return the size of a gradient's terms: the size of the log-probability's terms, times 1 / std if std < 1."""

    def size(inputs: Inputs, name: str) -> Array:
        total = float(log_prob_size(distribution, inputs).sum())
        spread = np.exp(-float(inputs["log_std"].min())) if "log_std" in inputs else 1.0
        return np.asarray(total * max(spread, 1.0))

    return size


def log_prob_gradient(distribution: str, seed: int) -> FunctionCheck:
    """Return the check of a log-probability's gradients."""
    return gradient_check(
        f"fn({', '.join(PARAMETERS[distribution])}, actions) -> log-probabilities [B]",
        ARGUMENTS[distribution],
        distribution_cases(distribution, seed),
        _leaves(distribution),
        _autograd(sb3_log_prob, distribution),
        _sizes(distribution),
        log_prob_gradient_mistakes(distribution),
        one_number=False,
    )


def entropy_gradient(distribution: str, seed: int) -> FunctionCheck:
    """Return the check of an entropy's gradients."""
    names = PARAMETERS[distribution]
    return gradient_check(
        f"fn({', '.join(names)}) -> entropies [B]",
        ARGUMENTS[distribution],
        distribution_cases(distribution, seed),
        _leaves(distribution),
        _autograd(sb3_entropy, distribution),
        lambda inputs, name: _sizes(distribution)({**inputs, "actions": inputs.get("mean", inputs["actions"])}, name),
        entropy_gradient_mistakes(distribution),
        one_number=False,
        arrange=lambda inputs: {name: inputs[name] for name in names},
    )
