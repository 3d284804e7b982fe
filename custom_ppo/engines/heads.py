"""Heads: log-probability and entropy of remembered actions from the actor's output, and their backward pass.

    Discrete        CategoricalHead
    MultiDiscrete   MultiCategoricalHead
    MultiBinary     BernoulliHead
    Box             GaussianHead
    Box, gSDE       StateDependentHead

Where a tensor is used more than once, autograd adds the gradients of its uses in the reverse order of their making;
another order of three or more gives other last bits. Every `backward` here adds in that order.
"""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from custom_ppo.distributions import GAUSSIAN_ENTROPY, LOG_SQRT_2PI, StateDependentNoise
from custom_ppo.engines.layers import weight_gradient
from custom_ppo.networks import ActorCritic

__all__ = [
    "BernoulliHead",
    "CategoricalHead",
    "GaussianHead",
    "Head",
    "MultiCategoricalHead",
    "StateDependentHead",
    "make_head",
    "unsquashed",
]

_aten = torch.ops.aten
_LOWEST = torch.finfo(torch.float32).min


class Head:
    """Distribution over actions, given the output of the actor, that knows its own backward pass."""

    log_prob: Tensor
    """Log-probabilities of the actions of the last `forward`, [B]."""
    entropy: Tensor | None
    """Entropies in the states of the last `forward`, [B], or None without a closed form."""

    def forward(self, output: Tensor, actions: Tensor, latent: Tensor) -> None:
        """Compute `log_prob` and `entropy`, and keep what their gradient will need.

        output: of the actor's last layer, [B, ...]; actions: remembered ones, [B] or [B, A]; latent: input of the
        actor's last layer, [B, H].
        """
        raise NotImplementedError

    def backward(self, grad_log_prob: Tensor, ent_coef: float) -> Tensor:
        """Return the gradient of the loss by the output, and write that by parameters of the head.

        grad_log_prob: gradient by the log-probabilities, [B]; ent_coef: factor of minus the mean entropy in the loss.
        """
        raise NotImplementedError


def make_head(policy: ActorCritic) -> Head:
    """Return the head for the distribution of a policy."""
    space = policy.action_space
    if policy.sde is not None:
        return StateDependentHead(policy.sde, policy.log_std)
    if isinstance(space, spaces.Box):
        return GaussianHead(policy.log_std)
    if isinstance(space, spaces.Discrete):
        return CategoricalHead()
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategoricalHead(space.nvec.tolist())
    return BernoulliHead()


def _per_entropy(ent_coef: float, n: int) -> float:
    """Return ent_coef / n, minus the gradient of the loss by each of n entropies, rounded as in float32."""
    return float(np.float32(ent_coef) / np.float32(n))


class CategoricalHead(Head):
    """One of n choices: logits [B, n], actions [B]."""

    def forward(self, output: Tensor, actions: Tensor, latent: Tensor) -> None:
        """Normalise the logits; see `Head.forward`."""
        self.logits = output - output.logsumexp(dim=-1, keepdim=True)
        self.index = actions.long().unsqueeze(-1)
        self.log_prob = self.logits.gather(-1, self.index).squeeze(-1)
        self.probs = torch.softmax(self.logits, dim=-1)
        self.bounded = torch.clamp(self.logits, min=_LOWEST)
        self.entropy = -(self.bounded * self.probs).sum(-1)

    def backward(self, grad_log_prob: Tensor, ent_coef: float) -> Tensor:
        """Return the gradient by the logits, [B, n]."""
        grad = torch.zeros_like(self.logits).scatter_add_(-1, self.index, grad_log_prob.unsqueeze(-1))
        # Left out at zero, where autograd adds nothing but zeros.
        if ent_coef != 0:
            # entropy_loss = mean(sum(bounded * probs)); in reverse order of making: softmax, clamp, gather.
            unit = _per_entropy(ent_coef, len(grad_log_prob))
            by_probs = torch._softmax_backward_data(self.bounded * unit, self.probs, -1, torch.float32)
            by_bounded = (self.probs * unit) * (self.logits >= _LOWEST)
            grad = by_probs.add_(by_bounded).add_(grad)
        # logits = output - log_sum, and d log_sum / d output = softmax(output), in the form in which PyTorch has it.
        return grad - grad.sum(-1, keepdim=True) * self.logits.exp()


class MultiCategoricalHead(Head):
    """Several choices: logits [B, sum(nvec)], actions [B, len(nvec)]."""

    def __init__(self, nvec: list[int]) -> None:
        self.nvec = nvec
        self.parts = [CategoricalHead() for _ in nvec]

    def forward(self, output: Tensor, actions: Tensor, latent: Tensor) -> None:
        """Add the log-probabilities and entropies of all choices; see `Head.forward`."""
        logits, choices = torch.split(output, self.nvec, dim=1), torch.unbind(actions, dim=1)
        for part, part_logits, choice in zip(self.parts, logits, choices, strict=True):
            part.forward(part_logits, choice, latent)
        self.log_prob = torch.stack([part.log_prob for part in self.parts], dim=1).sum(dim=1)
        self.entropy = torch.stack([part.entropy for part in self.parts if part.entropy is not None], dim=1).sum(dim=1)

    def backward(self, grad_log_prob: Tensor, ent_coef: float) -> Tensor:
        """Return the gradient by the logits, [B, sum(nvec)]."""
        return torch.cat([part.backward(grad_log_prob, ent_coef) for part in self.parts], dim=1)


class BernoulliHead(Head):
    """Switches: log-odds [B, n], actions 0 or 1 [B, n]."""

    def forward(self, output: Tensor, actions: Tensor, latent: Tensor) -> None:
        """Add the log-probabilities and entropies of all switches; see `Head.forward`."""
        self.logits, self.actions = output, actions
        self.log_prob = -_cross_entropy(output, actions).sum(dim=1)
        self.probs = torch.sigmoid(output)
        self.entropy = _cross_entropy(output, self.probs).sum(dim=1)

    def backward(self, grad_log_prob: Tensor, ent_coef: float) -> Tensor:
        """Return the gradient by the log-odds, [B, n]."""
        by_actions = (self.probs - self.actions) * -grad_log_prob.unsqueeze(1)
        if ent_coef == 0:
            return by_actions
        # The entropy is the cross entropy of the probabilities with themselves: only its target has a gradient.
        unit = -_per_entropy(ent_coef, len(grad_log_prob))
        grad: Tensor = _aten.sigmoid_backward.default(-self.logits * unit, self.probs)
        return grad.add_(by_actions)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


class _NormalHead(Head):
    """Independent normal components with means [B, A] and standard deviations [B, A]."""

    def evaluate(self, mean: Tensor, std: Tensor, actions: Tensor) -> None:
        """Compute `log_prob` and `entropy` of actions [B, A]."""
        self.std = std
        self.distance = actions - mean
        self.minus_square = -(self.distance**2)
        self.twice_variance = 2 * std**2
        log_std = std.log()
        self.ratio = self.minus_square / self.twice_variance
        self.log_prob = (self.ratio - log_std - LOG_SQRT_2PI).sum(dim=1)
        self.entropy = (GAUSSIAN_ENTROPY + log_std).sum(dim=1)

    def gradients(self, grad_log_prob: Tensor, ent_coef: float) -> tuple[Tensor, Tensor]:
        """Return the gradients of the loss by means and standard deviations, each [B, A]."""
        grad = grad_log_prob.unsqueeze(1)
        by_square = grad / self.twice_variance
        by_variance = -grad * (self.ratio / self.twice_variance) * 2
        # In reverse order of making: the entropy's log, that of the log-density, the variance.
        by_std = (-grad) / self.std
        if ent_coef != 0 and self.entropy is not None:
            # A tensor, as a Python number would be multiplied by the reciprocal.
            by_std = torch.tensor(-_per_entropy(ent_coef, len(grad))) / self.std + by_std
        by_std = by_std + by_variance * (2 * self.std)
        return by_square * (2 * self.distance), by_std


class GaussianHead(_NormalHead):
    """Normal components with one standard deviation for all states: means and actions [B, A]."""

    def __init__(self, log_std: nn.Parameter) -> None:
        self.log_std = log_std

    def forward(self, output: Tensor, actions: Tensor, latent: Tensor) -> None:
        """Compute the density of the actions; see `Head.forward`."""
        self.ones = torch.ones_like(output)
        self.exp = self.log_std.exp()
        self.evaluate(output, self.ones * self.exp, actions)

    def backward(self, grad_log_prob: Tensor, ent_coef: float) -> Tensor:
        """Return the gradient by the means, [B, A], and write that by log_std to its parameter."""
        by_mean, by_std = self.gradients(grad_log_prob, ent_coef)
        # [B, A] -> [A]: one log_std serves all states. The product with ones, of std = ones * exp(log_std), is exact.
        torch.mul(by_std.sum(0), self.exp, out=self.log_std.grad)
        return by_mean


class StateDependentHead(_NormalHead):
    """gSDE: normal components whose variance is linear in the squared features; means and actions [B, A].

    std^2 = features^2 @ std_of_weights^2 + 1e-6, with features [B, F] that are detached: noise does not train them.
    Raffin et al. 2022, arXiv 2005.05719.
    """

    def __init__(self, sde: StateDependentNoise, log_std: nn.Parameter) -> None:
        self.sde = sde
        self.log_std = log_std

    def forward(self, output: Tensor, actions: Tensor, latent: Tensor) -> None:
        """Compute the density of the actions, which are squashed already if the policy squashes; see `Head.forward`."""
        self.squares = latent**2
        self.weight_std = self.sde.std(self.log_std)
        self.weight_variance = self.weight_std**2
        std = torch.sqrt(torch.mm(self.squares, self.weight_variance) + self.sde._EPSILON)
        if not self.sde.squash_output:
            self.evaluate(output, std, actions)
            return
        gaussian, correction = unsquashed(actions)
        self.evaluate(output, std, gaussian)
        self.log_prob -= correction
        self.entropy = None

    def backward(self, grad_log_prob: Tensor, ent_coef: float) -> Tensor:
        """Return the gradient by the means, [B, A], and write that by log_std to its parameter."""
        by_mean, by_std = self.gradients(grad_log_prob, ent_coef)
        by_variance = by_std / (2 * self.std)
        by_weight_variance = weight_gradient(by_variance, self.squares, self.weight_variance)
        assert self.log_std.grad is not None
        self.log_std.grad.copy_(self._by_log_std(by_weight_variance * (2 * self.weight_std)))
        return by_mean

    def _by_log_std(self, grad: Tensor) -> Tensor:
        """Return the gradient by log_std, given that by the standard deviations of the weights, [F, A]."""
        sde, log_std = self.sde, self.log_std.data
        if not sde.full_std:
            grad = grad.sum(1, keepdim=True)  # [F, A] -> [F, 1]: one log_std for all actions
        exp = log_std.exp()
        if not sde.use_expln:
            return grad * exp
        above = log_std > 0
        by_above = (grad * above) / (log_std * above + sde._EPSILON + 1) * above  # of log1p
        return by_above + (grad * (log_std <= 0)) * exp


def unsquashed(actions: Tensor) -> tuple[Tensor, Tensor]:
    """Return what tanh squashed to these actions, [B, A], and the log of the change of density that it made, [B]."""
    # The operations of distributions.StateDependentGaussian.log_prob. No gradient: remembered actions are data.
    epsilon = torch.finfo(actions.dtype).eps
    bounded = actions.clamp(min=-1.0 + epsilon, max=1.0 - epsilon)
    gaussian = 0.5 * (bounded.log1p() - (-bounded).log1p())
    return gaussian, torch.sum(torch.log(1.0 - torch.tanh(gaussian) ** 2 + 1e-6), dim=1)
