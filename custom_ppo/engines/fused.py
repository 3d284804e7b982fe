"""Update with the backward pass written out: the bits of autograd in a fraction of its time.

Networks of this size spend most of an update on bookkeeping: recording a graph, walking it, and stepping the optimiser
parameter by parameter. Here the same tensor operations run in the order in which autograd would run them, and the
optimiser works on one vector that all parameters, gradients and moments are views of.

`FusedEngine` replaces `AutogradEngine` for what it understands: MLPs with tanh or ReLU, Discrete and Box actions,
the clipped objective and the optimisers of `flat`, on the CPU. `fusible` says when it does not apply; autograd then
does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from custom_ppo.config import UpdateConfig
from custom_ppo.distributions import GAUSSIAN_ENTROPY, LOG_SQRT_2PI
from custom_ppo.engines.engine import LossTerms
from custom_ppo.engines.flat import flat_optimizer
from custom_ppo.memory import Batch
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import Recipe

if TYPE_CHECKING:
    from custom_ppo.agent import UpdateReport

__all__ = ["FusedEngine"]

_aten = torch.ops.aten


class FusedEngine:
    """Update of one policy by its optimiser; use it only if `fusible.reason_against` finds no reason."""

    def __init__(self, policy: ActorCritic, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
        self.policy = policy
        self.recipe = recipe
        self.flat = flat_optimizer(optimizer)
        self.actor_stack = _Stack([*policy.mlp_extractor.policy_net, policy.action_net])
        self.critic = _Stack([*policy.mlp_extractor.value_net, policy.value_net])
        self.head: _CategoricalHead | _GaussianHead = (
            _CategoricalHead() if isinstance(policy.action_space, spaces.Discrete) else _GaussianHead(policy.log_std)
        )

    def serves(self, policy: Any, optimizer: torch.optim.Optimizer) -> bool:
        """Return True if this engine was made for these very objects: a user may exchange a layer, or the optimiser."""
        return policy is self.policy and self.flat.serves(optimizer)

    def start(self) -> None:
        """Take over the optimiser's state, which may have been loaded from a file since the last update."""
        self.flat.bind()

    def finish(self) -> None:
        """Leave the optimiser's state as PyTorch would have left it."""
        self.flat.write_steps()

    def learn_epoch(self, batch: Batch, order: NDArray[np.int64], report: UpdateReport) -> bool:
        """Return False: this engine makes minibatches one by one."""
        return False

    @torch.no_grad()
    def forward(self, batch: Batch, config: UpdateConfig) -> LossTerms:
        """Return the loss of a minibatch of B transitions, and keep what its gradient will need."""
        clip_range, clip_range_vf = config.clip_range, config.clip_range_vf
        # Everything that `backward` needs is kept on self; the graph that autograd would record is what takes its time.
        features = self.policy._encode(batch.observations)
        assert isinstance(features, Tensor)
        features = features.flatten(1)  # [B, ...] -> [B, features], the same for actor and critic
        self.head.forward(self.actor_stack.forward(features), batch.actions)
        log_prob, entropy = self.head.log_prob, self.head.entropy
        values = self.critic.forward(features).flatten()  # [B, 1] -> [B]

        advantages = batch.advantages
        if config.normalize_advantage:
            advantages = self.recipe.normalize_advantages(advantages)
        self.advantages = advantages
        log_ratio = log_prob - batch.old_log_prob
        self.ratio = ratio = torch.exp(log_ratio)
        self.bounds = (1 - clip_range, 1 + clip_range)
        self.unclipped = advantages * ratio
        self.clipped = advantages * torch.clamp(ratio, *self.bounds)
        policy_loss = -torch.min(self.unclipped, self.clipped).mean()

        self.value_change = None if clip_range_vf is None else values - batch.old_values
        self.clip_range_vf = clip_range_vf
        if self.value_change is not None and clip_range_vf is not None:
            values = batch.old_values + torch.clamp(self.value_change, -clip_range_vf, clip_range_vf)
        self.values, self.returns = values, batch.returns
        value_loss = nn.functional.mse_loss(batch.returns, values)

        entropy_loss = -torch.mean(entropy)
        return LossTerms(
            policy_loss + config.ent_coef * entropy_loss + config.vf_coef * value_loss,
            policy_loss,
            value_loss,
            entropy_loss,
            clip_fraction=torch.mean((torch.abs(ratio - 1) > clip_range).float()),
            approx_kl=torch.mean((ratio - 1) - log_ratio),
        )

    @torch.no_grad()
    def backward(self, terms: LossTerms, config: UpdateConfig) -> None:
        """Leave the gradient of the loss of the last `forward` in the parameters."""
        n = len(self.ratio)
        # d policy_loss / d log_prob. If both branches of the minimum are equal, autograd gives half of the gradient to
        # each, and the clipped branch passes its half on only inside the bounds.
        low, high = self.bounds
        inside = (self.ratio >= low) & (self.ratio <= high)
        share = (self.unclipped < self.clipped) + (self.unclipped == self.clipped) * (0.5 + 0.5 * inside)
        grad_log_prob = (share * (-1.0 / n)) * self.advantages * self.ratio
        # Each of the B entropies: d loss = -ent_coef / B. The heads form it, as they must add it in autograd's order.
        self.actor_stack.backward(self.head.backward(grad_log_prob, config.ent_coef, n))

        # d (vf_coef * value_loss) / d V = vf_coef * 2 / B * (V - return); the 1 stands for the mean. PyTorch's clamp
        # passes the gradient at its bounds too, so both comparisons below include them.
        grad_values = _aten.mse_loss_backward(torch.tensor(config.vf_coef), self.values, self.returns, 1)
        if self.value_change is not None and self.clip_range_vf is not None:
            grad_values = grad_values * (
                (self.value_change >= -self.clip_range_vf) & (self.value_change <= self.clip_range_vf)
            )
        self.critic.backward(grad_values.unsqueeze(1))

    @torch.no_grad()
    def descend(self, config: UpdateConfig) -> None:
        """Clip the gradient, and make one step of the optimiser."""
        self.flat.step(config.max_grad_norm)


class _Stack:
    """Linear layers with activations between them, and their backward pass."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self.layers: list[nn.Module] = layers
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in] to [B, out], and keep the input of every layer."""
        self.inputs = []
        for layer in self.layers:
            self.inputs.append(x)
            if isinstance(layer, nn.Linear):
                x = torch.addmm(layer.bias, x, layer.weight.t())  # as nn.Linear: x @ W.t() + b rounds otherwise
            else:
                x = torch.tanh(x) if isinstance(layer, nn.Tanh) else torch.relu(x)
        return x

    def backward(self, grad: Tensor) -> None:
        """Write the gradients of all weights and biases, given that of the output [B, out]."""
        outputs = [*self.inputs[1:], grad]  # the input of a layer is the output of the one before; the last is not read
        for i in reversed(range(len(self.layers))):
            layer = self.layers[i]
            if isinstance(layer, nn.Linear):
                assert layer.weight.grad is not None
                assert layer.bias.grad is not None
                # Written, not added: no gradient of the last minibatch has to be zeroed.
                torch.sum(grad, 0, out=layer.bias.grad)
                torch.mm(grad.t(), self.inputs[i], out=layer.weight.grad)
                if i > 0:  # observations need no gradient
                    grad = grad.mm(layer.weight)
            elif isinstance(layer, nn.Tanh):
                grad = _aten.tanh_backward(grad, outputs[i])
            else:  # the derivatives of both activations are functions of their outputs
                grad = _aten.threshold_backward(grad, outputs[i], 0)


class _CategoricalHead:
    """Log-probability and entropy of remembered choices from their logits, and the backward pass."""

    def forward(self, logits: Tensor, actions: Tensor) -> None:
        """Compute `log_prob` and `entropy` [B] from logits [B, n] and actions [B]."""
        self.raw = logits
        self.log_sum = logits.logsumexp(dim=-1, keepdim=True)
        self.logits = logits - self.log_sum
        self.index = actions.long().unsqueeze(-1)
        self.log_prob = self.logits.gather(-1, self.index).squeeze(-1)
        self.probs = torch.softmax(self.logits, dim=-1)
        self.bounded = torch.clamp(self.logits, min=torch.finfo(torch.float32).min)
        self.entropy = -(self.bounded * self.probs).sum(-1)

    def backward(self, grad_log_prob: Tensor, ent_coef: float, n: int) -> Tensor:
        """Return the gradient of the loss by the logits, [B, n]; grad_log_prob: that by the log-probabilities, [B]."""
        chosen = torch.zeros_like(self.logits).scatter_add_(-1, self.index, grad_log_prob.unsqueeze(-1))
        if ent_coef == 0:
            grad = chosen
        else:
            # entropy_loss = mean(sum(bounded * probs)). Autograd adds the three gradients in the reverse order of their
            # making: softmax, clamp, gather; another order of the sums gives other last bits.
            unit = torch.tensor(ent_coef) / n
            by_probs = _aten._softmax_backward_data(unit * self.bounded, self.probs, -1, torch.float32)
            by_bounded = (unit * self.probs) * (self.logits >= torch.finfo(torch.float32).min)
            grad = by_probs + by_bounded + chosen
        # logits = raw - log_sum, and d log_sum / d raw = softmax(raw), here in the form in which PyTorch computes it.
        by_log_sum = (-grad).sum(-1, keepdim=True)
        return grad + by_log_sum * (self.raw - self.log_sum).exp()


class _GaussianHead:
    """Log-density and entropy of remembered actions from means and log_std, and the backward pass."""

    def __init__(self, log_std: nn.Parameter) -> None:
        self.log_std = log_std

    def forward(self, mean: Tensor, actions: Tensor) -> None:
        """Compute `log_prob` and `entropy` [B] from means and actions [B, A]."""
        self.ones = torch.ones_like(mean)
        self.exp = self.log_std.exp()
        self.std = self.ones * self.exp
        self.distance = actions - mean
        self.minus_square = -(self.distance**2)
        self.twice_variance = 2 * self.std**2
        log_std = self.std.log()
        self.log_prob = (self.minus_square / self.twice_variance - log_std - LOG_SQRT_2PI).sum(dim=1)
        self.entropy = (GAUSSIAN_ENTROPY + log_std).sum(dim=1)

    def backward(self, grad_log_prob: Tensor, ent_coef: float, n: int) -> Tensor:
        """Return the gradient of the loss by the means, [B, A], and write that by log_std to its parameter."""
        grad = grad_log_prob.unsqueeze(1).expand_as(self.std)
        by_square = -(grad / self.twice_variance)
        by_variance = -grad * ((self.minus_square / self.twice_variance) / self.twice_variance) * 2
        by_std = (-grad) / self.std
        # Left out at zero, where autograd adds nothing but zeros.
        if ent_coef != 0:
            by_std = (torch.tensor(-ent_coef) / n) / self.std + by_std
        by_std = by_std + by_variance * (2 * self.std)
        assert self.log_std.grad is not None
        # [B, A] -> [A]: one log_std serves all states. The product with ones comes from std = ones * exp(log_std).
        torch.mul((by_std * self.ones).sum(0), self.exp, out=self.log_std.grad)
        return -(by_square * (2 * self.distance))
