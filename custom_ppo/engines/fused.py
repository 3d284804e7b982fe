"""Update with the backward pass written out: the bits of autograd in a fraction of its time.

Networks of this size spend most of an update on bookkeeping: recording a graph, walking it, and stepping the optimiser
parameter by parameter. Here the same tensor operations run in the order in which autograd would run them, and the
optimiser works on one vector that all parameters, gradients and moments are views of.

    features    flattened observations, or the output of an extractor, which alone is differentiated by autograd
    layers      actor and critic
    heads       output of the actor -> log-probability and entropy
    objectives  terms of the loss
    flat        optimisers

`FusedEngine` replaces `AutogradEngine` for what these know, on the CPU. `fusible` says when it does not apply; autograd
then does.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from custom_ppo.config import UpdateConfig
from custom_ppo.engines.acting import FusedActor, torch_is_watched
from custom_ppo.engines.autograd import AutogradEngine
from custom_ppo.engines.engine import Actor, LossTerms, UpdateReport
from custom_ppo.engines.features import extractors, make_features
from custom_ppo.engines.fingerprint import Fingerprint
from custom_ppo.engines.flat import flat_optimizer
from custom_ppo.engines.heads import make_head
from custom_ppo.engines.layers import Stack
from custom_ppo.engines.objectives import Ratio, ValueTerm, make_objective, mean
from custom_ppo.memory import Batch
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import Recipe

__all__ = ["FusedEngine"]


class FusedEngine:
    """Update of one policy by its optimiser; use it only if `fusible.reason_against` finds no reason."""

    _chosen_for: tuple[str, Fingerprint] | None = None
    _layers_are_bound = False
    """True if the layers have the tensors of this update, which are looked up before its first minibatch."""

    def __init__(self, policy: ActorCritic, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
        self.policy = policy
        self.recipe = recipe
        self.flat = flat_optimizer(optimizer)
        self.features = make_features(policy)
        self.parts = _parts(policy)
        self.actor_stack = Stack([*policy.mlp_extractor.policy_net, policy.action_net])
        self.critic_stack = Stack([*policy.mlp_extractor.value_net, policy.value_net])
        self.head = make_head(policy)
        self.objective = make_objective(recipe)
        self.value_term = ValueTerm(recipe)
        self.steps_differ = False
        self.substitute: AutogradEngine | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew where a model is copied or pickled: addresses of arrays must not be taken over by a copy.
        return type(self), (self.policy, self.flat.optimizer, self.recipe)

    def choose_for(self, wanted: str) -> None:
        """Remember that this engine was chosen where `wanted` was asked for, with policy and optimiser as they are."""
        self._chosen_for = wanted, Fingerprint(self.policy, self.flat.optimizer, self.recipe)

    def was_chosen_for(self, wanted: str, policy: Any, optimizer: torch.optim.Optimizer, recipe: Recipe) -> bool:
        """Return True if this engine was chosen before, and nothing has changed since that decides on it."""
        if self._chosen_for is None or self._chosen_for[0] != wanted:
            return False
        return self._chosen_for[1].unchanged(policy, optimizer, recipe)

    def serves(self, policy: Any, optimizer: torch.optim.Optimizer, recipe: Recipe) -> bool:
        """Return True if this engine was made for these very objects: a user may exchange a layer, or the optimiser."""
        if policy is not self.policy or recipe != self.recipe or not self.flat.serves(optimizer):
            return False
        parts = _parts(self.policy)
        return len(parts) == len(self.parts) and all(map(operator.is_, parts, self.parts))

    def start(self) -> None:
        """Take over weights and the optimiser's state, which may have been loaded from a file since the last update."""
        self.steps_differ = not self.flat.bind()
        self._layers_are_bound = False
        self.substitute = None

    def finish(self) -> None:
        """Leave the optimiser's state as PyTorch would have left it."""
        if not self.steps_differ:
            self.flat.write_steps()

    def actor(self, policy: Any, n_envs: int) -> Actor | None:
        """Return what acts in N environments, or None if actions must be computed by the policy's own methods."""
        if policy is not self.policy or torch_is_watched():
            return None
        return FusedActor(self.policy, self.features, self.actor_stack, self.critic_stack)

    def learn_epoch(self, batch: Batch, order: NDArray[np.int64], report: UpdateReport) -> bool:
        """Return False: this engine makes minibatches one by one."""
        return False

    def forward(self, batch: Batch, config: UpdateConfig) -> LossTerms:
        """Return the loss of a minibatch of B transitions, and keep what its gradient will need."""
        if self.substitute is None and not _has_numbers_of_float32(batch):
            self._let_steps_differ()
            self.substitute = AutogradEngine(self.policy, self.flat.optimizer, self.recipe)
        if self.substitute is not None:
            return self.substitute.forward(batch, config)
        if not self._layers_are_bound:
            self.features.bind()
            self.actor_stack.bind()
            self.critic_stack.bind()
            self._layers_are_bound = True
        return self._forward(batch, config)

    @torch.inference_mode()
    def _forward(self, batch: Batch, config: UpdateConfig) -> LossTerms:
        # Everything that `backward` needs is kept on self; the graph that autograd would record is what takes its time.
        by_actor, by_critic = self.features.forward(batch.observations)
        output, head = self.actor_stack.forward(by_actor), self.head
        head.forward(output, batch.actions, self.actor_stack.inputs[-1])
        values = self.critic_stack.forward(by_critic).flatten()  # [B, 1] -> [B]
        advantages = batch.advantages
        if config.normalize_advantage:
            advantages = self.recipe.normalize_advantages(advantages)

        with np.errstate(all="ignore"):  # silent, like PyTorch: the agent checks the loss
            ratio = Ratio(head.log_prob, batch.old_log_prob)
            limit = getattr(config, self.recipe.policy_loss.limited_by)
            policy_loss = -mean(self.objective.forward(ratio, advantages.numpy(), limit))
            value_loss = self.value_term.forward(values, batch, config.clip_range_vf)
            entropy = -head.log_prob if head.entropy is None else head.entropy
            entropy_loss = -np.float32(entropy.mean().item())
            return LossTerms(
                policy_loss + np.float32(config.ent_coef) * entropy_loss + np.float32(config.vf_coef) * value_loss,
                policy_loss,
                value_loss,
                entropy_loss,
                ratio.clip_fraction(config.clip_range),
                ratio.approx_kl(),
            )

    def backward(self, terms: LossTerms, config: UpdateConfig) -> None:
        """Leave the gradient of the loss of the last `forward` in the parameters."""
        if self.substitute is not None:
            self.substitute.backward(terms, config)
        else:
            self._backward(config)

    @torch.inference_mode()
    def _backward(self, config: UpdateConfig) -> None:
        n, features = len(self.value_term.values), self.features
        with np.errstate(all="ignore"):
            grad_log_prob = self.objective.backward(np.float32(-1 / n))
            if self.head.entropy is None:  # estimated by minus the log-probability
                grad_log_prob = grad_log_prob + np.float32(config.ent_coef) / np.float32(n)
            grad_values = self.value_term.backward(config.vf_coef)
        grad_output = self.head.backward(torch.from_numpy(grad_log_prob), config.ent_coef)
        by_actor = self.actor_stack.backward(grad_output, to_input=features.needs_gradient)
        # A copy, as NumPy aligns to 16 bytes and PyTorch to 64, on which the last bits of a matrix product may depend.
        grad_output = torch.from_numpy(grad_values).unsqueeze(1).clone()  # [B] -> [B, 1]
        by_critic = self.critic_stack.backward(grad_output, to_input=features.needs_gradient)
        if by_actor is not None and by_critic is not None and not features.backward(by_actor, by_critic):
            self._let_steps_differ()

    def _let_steps_differ(self) -> None:
        """Leave the remaining steps of this update to PyTorch's optimiser.

        It skips a weight of an extractor that was not used, so not all weights make the same number of steps.
        """
        if not self.steps_differ:
            self.flat.write_steps()
            self.steps_differ = True

    def descend(self, config: UpdateConfig) -> None:
        """Clip the gradient, and make one step of the optimiser."""
        if self.steps_differ:
            self.recipe.clip_gradients(self.policy.parameters(), config.max_grad_norm)
            self.flat.optimizer.step()
        else:
            with torch.inference_mode():
                self.flat.step(config.max_grad_norm)


def _has_numbers_of_float32(batch: Batch) -> bool:
    """Return False if a user put other numbers into a rollout; PyTorch then computes parts of the loss in float64."""
    columns = batch.advantages, batch.returns, batch.old_values, batch.old_log_prob
    return all(column.dtype == torch.float32 for column in columns)


def _parts(policy: ActorCritic) -> list[Any]:
    """Return all objects of a policy that an engine keeps."""
    twins = policy.mlp_extractor
    extracting = [module for extractor in extractors(policy) for module in extractor.modules()]
    rest = policy.action_space, policy.sde, *extracting
    return [*twins.policy_net, policy.action_net, *twins.value_net, policy.value_net, *rest]
