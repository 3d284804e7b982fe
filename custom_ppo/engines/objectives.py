"""Terms of the loss on NumPy vectors, with their gradients written out.

A minibatch holds too few numbers to keep a kernel of PyTorch busy, and a call of NumPy costs half as much. Both round
sums, products and quotients of float32 alike; means and exponentials, which they round differently, are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from custom_ppo import losses
from custom_ppo.memory import Batch
from custom_ppo.recipe import PolicyLoss, Recipe, clip_around_old_values, clip_improvements_only, log_prob_objective

__all__ = ["Ratio", "ValueTerm", "make_objective", "mean", "reason_against_losses"]

Float32 = NDArray[np.float32]


def mean(numbers: Float32) -> np.float32:
    """Return the mean of a vector as PyTorch sums it."""
    return np.float32(torch.from_numpy(numbers).mean().item())


class Ratio:
    """Probability ratio of B actions between the current policy and the behaviour policy."""

    def __init__(self, log_prob: Tensor, old_log_prob: Tensor) -> None:
        log_ratio = log_prob - old_log_prob
        self.log_prob: Float32 = log_prob.numpy()
        self.log: Float32 = log_ratio.numpy()
        self.value: Float32 = torch.exp(log_ratio).numpy()
        self.excess = self.value - np.float32(1)

    def approx_kl(self) -> np.float32:
        """Return `losses.approx_kl`."""
        return mean(self.excess - self.log)

    def clip_fraction(self, clip_range: float) -> np.float32:
        """Return `losses.clip_fraction`."""
        outside = np.count_nonzero(np.abs(self.excess) > np.float32(clip_range))
        return np.float32(outside) / np.float32(len(self.value))


class Objective(Protocol):
    """Objective of the policy for B transitions, and its gradient."""

    def forward(self, ratio: Ratio, advantages: Float32, limit: float) -> Float32:
        """Return the objective of each transition, [B]."""
        ...

    def backward(self, grad: np.float32) -> Float32:
        """Return the gradient by the log-probabilities, [B], given the same one by each objective."""
        ...


class _Clipped:
    """`losses.clipped_surrogate`: min(ratio * A, clip(ratio, 1 - limit, 1 + limit) * A)."""

    def forward(self, ratio: Ratio, advantages: Float32, limit: float) -> Float32:
        self.ratio, self.advantages = ratio.value, advantages
        self.bounds = np.float32(1 - limit), np.float32(1 + limit)
        self.unclipped = advantages * ratio.value
        self.clipped = advantages * np.minimum(np.maximum(ratio.value, self.bounds[0]), self.bounds[1])
        smaller: Float32 = np.minimum(self.unclipped, self.clipped)
        return smaller

    def backward(self, grad: np.float32) -> Float32:
        # If both branches of the minimum are equal, autograd gives half of the gradient to each, and the clipped branch
        # passes its half on only inside the bounds, the bounds themselves included.
        low, high = self.bounds
        half, inside = np.float32(0.5), (self.ratio >= low) & (self.ratio <= high)
        share = (self.unclipped < self.clipped) + (self.unclipped == self.clipped) * (half + half * inside)
        by_log_prob: Float32 = ((share * grad) * self.advantages) * self.ratio
        return by_log_prob


class _Penalised:
    """`losses.kl_penalty`: ratio * A - limit * ((ratio - 1) - log ratio)."""

    def forward(self, ratio: Ratio, advantages: Float32, limit: float) -> Float32:
        self.ratio, self.advantages, self.beta = ratio.value, advantages, np.float32(limit)
        return advantages * ratio.value - self.beta * (ratio.excess - ratio.log)

    def backward(self, grad: np.float32) -> Float32:
        by_penalty = -grad * self.beta
        return (by_penalty + grad * self.advantages) * self.ratio - by_penalty


class _LogProb:
    """`recipe.log_prob_objective`: A * log pi(a|s)."""

    def forward(self, ratio: Ratio, advantages: Float32, limit: float) -> Float32:
        self.advantages = advantages
        return advantages * ratio.log_prob

    def backward(self, grad: np.float32) -> Float32:
        return grad * self.advantages


_OBJECTIVES: Mapping[Any, Callable[[], Objective]] = {
    losses.clipped_surrogate: _Clipped,
    losses.kl_penalty: _Penalised,
    log_prob_objective: _LogProb,
}
_VALUE_LOSSES: Mapping[Any, float] = {losses.value_loss: 1.0, losses.half_value_loss: 0.5}
"""Loss of the critic -> its factor before the mean squared error."""
_CLIPS = (clip_around_old_values, clip_improvements_only)


def make_objective(recipe: Recipe) -> Objective:
    """Return the objective of a recipe against which `reason_against_losses` finds no reason."""
    return _OBJECTIVES[recipe.policy_loss.objective]()


def reason_against_losses(recipe: Recipe) -> str | None:
    """Return the reason why no gradient is written out for the losses of a recipe, or None if there is one."""
    policy_loss = recipe.policy_loss
    known = {
        "policy_loss": type(policy_loss) is PolicyLoss
        and policy_loss.objective in _OBJECTIVES
        and policy_loss.reduction is losses.policy_loss,
        "value_loss": recipe.value_loss in _VALUE_LOSSES,
        "clip_values": recipe.clip_values in _CLIPS,
        "entropy_loss": recipe.entropy_loss is losses.entropy_loss,
    }
    unknown = [part for part, is_known in known.items() if not is_known]
    return f"the recipe has its own {', '.join(unknown)}" if unknown else None


class ValueTerm:
    """Loss of the critic for a minibatch, factor * mean((returns - V)^2), with V clipped as the recipe clips it."""

    def __init__(self, recipe: Recipe) -> None:
        self.factor = np.float32(_VALUE_LOSSES[recipe.value_loss])
        self.pessimistic = recipe.clip_values is clip_improvements_only

    def forward(self, values: Tensor, batch: Batch, clip_range_vf: float | None) -> np.float32:
        """Return the loss; values: [B]."""
        self.returns = batch.returns.numpy()
        self.passed: NDArray[np.bool_] | None = None
        self.values = values.numpy()
        if clip_range_vf is not None:
            self._clip(batch.old_values.numpy(), np.float32(clip_range_vf))
        error = functional.mse_loss(batch.returns, torch.from_numpy(self.values))
        return self.factor * np.float32(error.item())

    def _clip(self, old_values: Float32, limit: np.float32) -> None:
        """Clip the values, and note through which of them the gradient passes."""
        change = self.values - old_values
        clipped = old_values + np.minimum(np.maximum(change, -limit), limit)
        self.passed = (change >= -limit) & (change <= limit)  # at the bounds too, as PyTorch's clamp
        if self.pessimistic:
            free = np.abs(self.returns - self.values) >= np.abs(self.returns - clipped)
            clipped = np.where(free, self.values, clipped)
            self.passed |= free
        self.values = clipped

    def backward(self, vf_coef: float) -> Float32:
        """Return the gradient of vf_coef * loss by the values before they were clipped, [B]."""
        # The order of mse_loss_backward: 2 / B * (V - return) * the gradient by the loss.
        grad: Float32 = np.float32(2 / len(self.values)) * (self.values - self.returns)
        grad = grad * (np.float32(vf_coef) * self.factor)
        return grad if self.passed is None else grad * self.passed
