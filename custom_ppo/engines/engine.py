"""Interface of the engines: how the loss of a minibatch is computed and descended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from custom_ppo.config import UpdateConfig
from custom_ppo.memory import Batch

__all__ = ["Engine", "LossTerms"]


@dataclass(frozen=True)
class LossTerms:
    """Loss of one minibatch, term by term, and two diagnostics; tensors of no dimensions."""

    loss: Tensor
    """policy_loss + ent_coef * entropy_loss + vf_coef * value_loss"""
    policy_loss: Tensor
    value_loss: Tensor
    entropy_loss: Tensor
    clip_fraction: Tensor
    approx_kl: Tensor


class Engine(Protocol):
    """Way to compute and descend the loss: `start`, then for every minibatch the next three, then `finish`."""

    def start(self) -> None:
        """Prepare an update."""

    def forward(self, batch: Batch, config: UpdateConfig) -> LossTerms:
        """Return the loss of a minibatch of B transitions, term by term."""
        ...

    def backward(self, terms: LossTerms, config: UpdateConfig) -> None:
        """Leave the gradient of the last loss in the parameters."""

    def descend(self, config: UpdateConfig) -> None:
        """Clip the gradient, and make one step of the optimiser."""

    def finish(self) -> None:
        """End an update, also one that failed."""
