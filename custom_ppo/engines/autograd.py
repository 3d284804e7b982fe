"""Update as the paper reads: the loss of a minibatch, differentiated by PyTorch's autograd."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom_ppo.config import UpdateConfig
from custom_ppo.engines.engine import LossTerms, UpdateReport
from custom_ppo.losses import approx_kl, clip_fraction
from custom_ppo.memory import Batch
from custom_ppo.networks import Policy
from custom_ppo.recipe import Recipe

__all__ = ["AutogradEngine"]


class AutogradEngine:
    """Engine for every recipe and policy; the equations are those of Schulman et al. 2017, arXiv 1707.06347.

    loss = policy_loss + ent_coef * entropy_loss + vf_coef * value_loss, which is minus eq. 9.
    """

    def __init__(self, policy: Policy, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.recipe = recipe

    def start(self) -> None:
        """Do nothing: autograd needs no preparation."""

    def finish(self) -> None:
        """Do nothing: the optimiser holds its state already."""

    def learn_epoch(self, batch: Batch, order: NDArray[np.int64], report: UpdateReport) -> bool:
        """Return False: this engine makes minibatches one by one."""
        return False

    def forward(self, batch: Batch, config: UpdateConfig) -> LossTerms:
        """Return the loss of a minibatch of B transitions, term by term."""
        recipe = self.recipe
        values, log_prob, entropy = self.policy.evaluate_actions(batch.observations, batch.actions)
        values = values.flatten()  # [B, 1] -> [B]: against returns [B] it would broadcast to [B, B]
        advantages = batch.advantages
        # Per minibatch, so one transition has another advantage in every epoch. The paper does not normalise; SB3 does.
        if config.normalize_advantage:
            advantages = recipe.normalize_advantages(advantages)

        # log_prob depends on the weights, old_log_prob and advantages are data: no gradient may flow into them.
        policy_loss = recipe.policy_loss(log_prob, batch.old_log_prob, advantages, config)
        if config.clip_range_vf is not None:
            values = recipe.clip_values(values, batch, config.clip_range_vf)
        value_loss = recipe.value_loss(batch.returns, values)
        entropy_loss = recipe.entropy_loss(entropy, log_prob)
        loss = policy_loss + config.ent_coef * entropy_loss + config.vf_coef * value_loss
        with torch.no_grad():  # no gradient flows through the two diagnostics
            return LossTerms(
                loss,
                policy_loss,
                value_loss,
                entropy_loss,
                clip_fraction(log_prob, batch.old_log_prob, config.clip_range),
                approx_kl(log_prob, batch.old_log_prob),
            )

    def backward(self, terms: LossTerms, config: UpdateConfig) -> None:
        """Leave the gradient of the loss in the parameters."""
        self.optimizer.zero_grad()
        # One backward pass for both networks: where they share features, the two gradients add up there.
        assert isinstance(terms.loss, Tensor)
        terms.loss.backward()  # type: ignore[no-untyped-call]

    def descend(self, config: UpdateConfig) -> None:
        """Clip the gradient, and make one step of the optimiser."""
        self.recipe.clip_gradients(self.policy.parameters(), config.max_grad_norm)
        self.optimizer.step()
