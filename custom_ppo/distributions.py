"""Distributions over actions, one for every kind of action space: pi(a|s), given the output of the policy network.

A distribution has `sample()`, `mode()`, `log_prob(actions)` -> [B] and `entropy()` -> [B] (None if it has no closed
form); components of an action are independent, so log-probabilities and entropies add up over them.

    Discrete        Categorical       log pi(a|s) = logits_a - log sum exp(logits)
    MultiDiscrete   MultiCategorical  the sum of several categoricals
    MultiBinary     Bernoulli         log pi(a|s) = sum log sigmoid(+-logits)
    Box             DiagGaussian      log pi(a|s) = sum log N(a; mean, std^2)
    Box, gSDE       StateDependentNoise

The operations are those of `torch.distributions` in the same order, hence with the same bits and the same random draws,
but without the validation of every argument, which costs more than the mathematics on small batches.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, distributions, nn
from torch.nn import functional

__all__ = ["Bernoulli", "Categorical", "DiagGaussian", "Distribution", "MultiCategorical", "StateDependentNoise"]

TorchDistribution = distributions.Distribution

LOG_SQRT_2PI = math.log(math.sqrt(2 * math.pi))
GAUSSIAN_ENTROPY = 0.5 + 0.5 * math.log(2 * math.pi)  # of a standard deviation of one


class Distribution(ABC):
    """Batch of B distributions over actions."""

    @abstractmethod
    def sample(self) -> Tensor:
        """Draw one action from each, from torch's global generator."""

    @abstractmethod
    def mode(self) -> Tensor:
        """Return the most likely action of each, which a policy chooses when it does not explore."""

    @abstractmethod
    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the log-probability (log-density) of one action each, [B]."""

    @abstractmethod
    def entropy(self) -> Tensor | None:
        """Return the entropy of each in nats, [B], or None if it has no closed form."""

    @property
    @abstractmethod
    def distribution(self) -> TorchDistribution | list[TorchDistribution]:
        """Object of `torch.distributions` for the same distribution, under SB3's name."""

    def get_actions(self, deterministic: bool = False) -> Tensor:
        """Return the mode if deterministic, else a sample."""
        return self.mode() if deterministic else self.sample()


class Categorical(Distribution):
    """One of n choices, for Discrete actions.  logits: [B, n]; actions: integers [B]."""

    def __init__(self, logits: Tensor) -> None:
        # [B, n] - [B, 1]: log-probabilities, from which everything else is computed, as in torch.distributions.
        self.logits = logits - logits.logsumexp(dim=-1, keepdim=True)

    @cached_property
    def probs(self) -> Tensor:
        """Probabilities [B, n]."""
        return functional.softmax(self.logits, dim=-1)

    @property
    def distribution(self) -> TorchDistribution:
        return distributions.Categorical(logits=self.logits)

    def sample(self) -> Tensor:
        # The arguments of torch.distributions: PyTorch picks the kernel, and so the numbers it draws, by them.
        return torch.multinomial(self.probs, 1, True).reshape(-1)  # [B, 1] -> [B]

    def mode(self) -> Tensor:
        return self.probs.argmax(dim=1)

    def log_prob(self, actions: Tensor) -> Tensor:
        return self.logits.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)  # [B, n] at [B, 1] -> [B]

    def entropy(self) -> Tensor:
        # An impossible action has log-probability -inf and probability 0, whose product should be 0, not NaN.
        logits = torch.clamp(self.logits, min=torch.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)


class MultiCategorical(Distribution):
    """Several independent choices, for MultiDiscrete actions.  logits: [B, sum(nvec)]; actions: [B, len(nvec)]."""

    def __init__(self, logits: Tensor, nvec: Sequence[int]) -> None:
        self.parts = [Categorical(part) for part in torch.split(logits, list(nvec), dim=1)]

    @property
    def distribution(self) -> list[TorchDistribution]:
        return [part.distribution for part in self.parts]

    def sample(self) -> Tensor:
        # One draw for each component, in order: a single draw for all of them would use the random stream differently.
        return torch.stack([part.sample() for part in self.parts], dim=1)  # [B, len(nvec)]

    def mode(self) -> Tensor:
        return torch.stack([part.mode() for part in self.parts], dim=1)

    def log_prob(self, actions: Tensor) -> Tensor:
        choices = torch.unbind(actions, dim=1)
        return torch.stack(
            [part.log_prob(choice) for part, choice in zip(self.parts, choices, strict=True)], dim=1
        ).sum(dim=1)

    def entropy(self) -> Tensor:
        return torch.stack([part.entropy() for part in self.parts], dim=1).sum(dim=1)


class Bernoulli(Distribution):
    """Independent switches, for MultiBinary actions.  logits: [B, n], log-odds of "on"; actions: 0 or 1, [B, n]."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @cached_property
    def probs(self) -> Tensor:
        """Probability of "on", [B, n]."""
        return torch.sigmoid(self.logits)

    @property
    def distribution(self) -> TorchDistribution:
        return distributions.Bernoulli(logits=self.logits)

    def sample(self) -> Tensor:
        with torch.no_grad():
            return torch.bernoulli(self.probs)

    def mode(self) -> Tensor:
        return torch.round(self.probs)  # a tie, 0.5, is rounded to even: off

    def log_prob(self, actions: Tensor) -> Tensor:
        return -functional.binary_cross_entropy_with_logits(self.logits, actions, reduction="none").sum(dim=1)

    def entropy(self) -> Tensor:
        return functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none").sum(dim=1)


def _gaussian_log_prob(actions: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return log N(a; mean, std^2) of every component, [B, A]."""
    # std.log() instead of the parameter log_std, which is at hand: log(exp(x)) is not x in the last bit, and
    # torch.distributions.Normal knows the standard deviation only.
    return -((actions - mean) ** 2) / (2 * std**2) - std.log() - LOG_SQRT_2PI


class DiagGaussian(Distribution):
    """Independent normal components, for Box actions.  mean: [B, A]; log_std: [A], the same in every state.

    Samples are unbounded: the environment gets them clipped to its bounds, the memory keeps them as they are.
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean
        self.std = torch.ones_like(mean) * log_std.exp()  # [A] -> [B, A]; a product, as in SB3, not `expand`

    @property
    def distribution(self) -> TorchDistribution:
        return distributions.Normal(self.mean, self.std)

    def sample(self) -> Tensor:
        # Standard normal numbers, then scaled, as Normal.rsample does; no clipping here, or log_prob would be wrong.
        noise = torch.empty(self.mean.shape, dtype=self.mean.dtype, device=self.mean.device).normal_()
        return self.mean + noise * self.std

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        return _gaussian_log_prob(actions, self.mean, self.std).sum(dim=1)

    def entropy(self) -> Tensor:
        return (GAUSSIAN_ENTROPY + torch.log(self.std)).sum(dim=1)


class StateDependentNoise:
    """gSDE: exploration noise that is a linear function of the features, so it is smooth along a trajectory.

        noise(s) = features(s) @ W,  W ~ N(0, std^2) drawn once and kept for many steps

    The same state meets the same noise until `resample`, so actuators are not shaken at every step.
    Raffin et al. 2022, arXiv 2005.05719.

    log_std: [features, A] with full_std, else [features, 1].
    """

    _EPSILON = 1e-6

    def __init__(self, action_dim: int, *, full_std: bool, use_expln: bool, squash_output: bool) -> None:
        self.action_dim = action_dim
        self.full_std = full_std
        self.use_expln = use_expln
        self.squash_output = squash_output
        self._shared_matrix = torch.empty(0)
        self._matrices = torch.empty(0)

    def initial_log_std(self, n_features: int, log_std_init: float) -> nn.Parameter:
        """Return the log standard deviation of W before training, [features, A] or [features, 1]."""
        columns = self.action_dim if self.full_std else 1
        return nn.Parameter(torch.ones(n_features, columns) * log_std_init)

    def std(self, log_std: Tensor) -> Tensor:
        """Return the standard deviation of W, [features, A]: exp(log_std), or "expln", which grows slower above 1."""
        if self.use_expln:
            below = torch.exp(log_std) * (log_std <= 0)
            # The argument is kept positive where this branch is not taken, or its gradient would be NaN there.
            above = (torch.log1p(log_std * (log_std > 0) + self._EPSILON) + 1.0) * (log_std > 0)
            std = below + above
        else:
            std = torch.exp(log_std)
        return std if self.full_std else torch.ones(len(log_std), self.action_dim, device=log_std.device) * std

    def resample(self, log_std: Tensor, n_envs: int) -> None:
        """Draw W anew: one shared matrix, then one for each environment, in SB3's order."""
        # The shared matrix is drawn even if every environment has its own: a draw left out would shift the stream.
        std = self.std(log_std)
        self._shared_matrix = self._draw(std, std.shape)
        self._matrices = self._draw(std, (n_envs, *std.shape))

    @staticmethod
    def _draw(std: Tensor, shape: Sequence[int]) -> Tensor:
        return torch.zeros_like(std) + torch.empty(shape, dtype=std.dtype, device=std.device).normal_() * std

    def noise(self, features: Tensor) -> Tensor:
        """Return the noise [B, A] for features [B, F]; if there are as many rows as matrices, each row has its own."""
        if len(features) == 1 or len(features) != len(self._matrices):
            return torch.mm(features, self._shared_matrix)
        return torch.bmm(features.unsqueeze(dim=1), self._matrices).squeeze(dim=1)  # [B, 1, F] @ [B, F, A] -> [B, A]

    def distribution(self, mean: Tensor, log_std: Tensor, features: Tensor) -> StateDependentGaussian:
        """Return the distribution over actions in states with these features [B, F]."""
        # Detached, as in SB3: exploration noise must not train the features.
        features = features.detach()
        # The variance of a sum of independent terms, features_i * W_ij, over the draw of W: [B, F] @ [F, A] -> [B, A].
        variance = torch.mm(features**2, self.std(log_std) ** 2)
        return StateDependentGaussian(self, mean, torch.sqrt(variance + self._EPSILON), features)


class StateDependentGaussian(Distribution):
    """Actions mean + noise(s), optionally squashed by tanh into (-1, 1); mean, std: [B, A]."""

    _EPSILON = 1e-6

    def __init__(self, source: StateDependentNoise, mean: Tensor, std: Tensor, features: Tensor) -> None:
        self.source = source
        self.mean = mean
        self.std = std
        self.features = features

    @property
    def distribution(self) -> TorchDistribution:
        """Gaussian before it is squashed, as in SB3."""
        return distributions.Normal(self.mean, self.std)

    def sample(self) -> Tensor:
        return self._squash(self.mean + self.source.noise(self.features))

    def mode(self) -> Tensor:
        return self._squash(self.mean)

    def _squash(self, actions: Tensor) -> Tensor:
        return torch.tanh(actions) if self.source.squash_output else actions

    def log_prob(self, actions: Tensor) -> Tensor:
        if not self.source.squash_output:
            return _gaussian_log_prob(actions, self.mean, self.std).sum(dim=1)
        # The memory holds squashed actions, so the Gaussian sample is recovered from them. tanh rounds large ones to
        # exactly +-1, where artanh is infinite.
        epsilon = torch.finfo(actions.dtype).eps
        squashed = actions.clamp(min=-1.0 + epsilon, max=1.0 - epsilon)
        gaussian = 0.5 * (squashed.log1p() - (-squashed).log1p())  # artanh
        log_prob = _gaussian_log_prob(gaussian, self.mean, self.std).sum(dim=1)
        # Change of variables: |d tanh(x) / dx| = 1 - tanh(x)^2
        log_prob -= torch.sum(torch.log(1.0 - torch.tanh(gaussian) ** 2 + self._EPSILON), dim=1)
        return log_prob

    def entropy(self) -> Tensor | None:
        return None if self.source.squash_output else (GAUSSIAN_ENTROPY + torch.log(self.std)).sum(dim=1)
