"""Interfaces of the engines: how the loss of a minibatch is computed and descended, and how to act fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from custom_ppo.config import UpdateConfig
from custom_ppo.memory import Batch, Observation, TrajectoryMemory

if TYPE_CHECKING:
    from custom_ppo.agent import UpdateReport

__all__ = ["Actor", "Engine", "LossTerms"]


@dataclass(frozen=True)
class LossTerms:
    """Loss of one minibatch, term by term, and two diagnostics; float32 numbers, or tensors of no dimensions."""

    loss: Tensor | np.float32
    """policy_loss + ent_coef * entropy_loss + vf_coef * value_loss"""
    policy_loss: Tensor | np.float32
    value_loss: Tensor | np.float32
    entropy_loss: Tensor | np.float32
    clip_fraction: Tensor | np.float32
    approx_kl: Tensor | np.float32


class Engine(Protocol):
    """Way to compute and descend the loss.

    `start`; then for every epoch `learn_epoch`, or for every minibatch `forward`, `backward`, `descend`; then `finish`.
    """

    def start(self) -> None:
        """Prepare an update."""

    def learn_epoch(self, batch: Batch, order: NDArray[np.int64], report: UpdateReport) -> bool:
        """Make a whole epoch over the transitions in this order, and report its minibatches.

        Returns False, without having done anything, if this engine makes minibatches one by one only.
        """
        ...

    def forward(self, batch: Batch, config: UpdateConfig) -> LossTerms:
        """Return the loss of a minibatch of B transitions, term by term."""
        ...

    def backward(self, terms: LossTerms, config: UpdateConfig) -> None:
        """Leave the gradient of the last loss in the parameters."""

    def descend(self, config: UpdateConfig) -> None:
        """Clip the gradient, and make one step of the optimiser."""

    def finish(self) -> None:
        """End an update, also one that failed."""


class Actor(Protocol):
    """Policy that acts in N environments without modules or distribution objects, in the rows of a memory.

    Actions, values and log-probabilities have the bits of the policy's `forward`, and torch's global generator is
    left where `forward` would have left it.
    """

    def begin(self, memory: TrajectoryMemory) -> None:
        """Prepare a rollout: bind to the arrays of the memory, which `reset` makes anew, and take the weights."""

    def act(self, step: int, observations: Observation) -> NDArray[Any]:
        """Sample actions in N states; write their values and log-probabilities in the memory's row of this step.

        Returns a new array: int64 [N] for Discrete actions, else [N, A] in the type that the policy returns.
        New noise of gSDE is drawn by the caller, as `PPOAgent.act` draws it: with `policy.reset_noise`.
        """
        ...

    def values(self, observations: Observation) -> NDArray[np.float32]:
        """Return V(s), [N], of observations [N, ...], to bootstrap from after the last step."""
        ...
