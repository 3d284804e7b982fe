"""Interfaces of the engines: how the loss of a minibatch is computed and descended, and how to act fast."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from custom_ppo.config import UpdateConfig
from custom_ppo.memory import Batch, Observation, TrajectoryMemory

__all__ = ["Actor", "Engine", "LossTerms", "UpdateReport"]


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


@dataclass
class UpdateReport:
    """Course of one update: one number per minibatch, in order."""

    config: UpdateConfig
    policy_losses: list[float] = field(default_factory=list)
    value_losses: list[float] = field(default_factory=list)
    entropy_losses: list[float] = field(default_factory=list)
    clip_fractions: list[float] = field(default_factory=list)
    approx_kls: list[NDArray[np.float32]] = field(default_factory=list)
    """KL estimates of the last epoch only."""
    loss: float = math.nan
    """Loss of the last minibatch."""
    n_epochs: int = 0
    """Epochs that were begun."""
    stopped_early: bool = False
    """True if KL ended the update before its last epoch was over."""

    def record(self, terms: LossTerms) -> None:
        """Add the numbers of the next minibatch."""
        self.policy_losses.append(terms.policy_loss.item())
        self.value_losses.append(terms.value_loss.item())
        self.entropy_losses.append(terms.entropy_loss.item())
        self.clip_fractions.append(terms.clip_fraction.item())
        self.approx_kls.append(np.array(terms.approx_kl.item(), np.float32))
        self.loss = terms.loss.item()

    def record_epoch(self, terms: NDArray[Any]) -> None:
        """Add the numbers of the minibatches of a whole epoch: an array with a field for each term."""
        self.policy_losses += terms["policy_loss"].tolist()
        self.value_losses += terms["value_loss"].tolist()
        self.entropy_losses += terms["entropy_loss"].tolist()
        self.clip_fractions += terms["clip_fraction"].tolist()
        self.approx_kls = list(terms["approx_kl"])
        self.loss = float(terms["loss"][-1])


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
