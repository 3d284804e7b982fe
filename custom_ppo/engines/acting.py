"""Acting with PyTorch's functions alone: no modules, no distribution objects, and the bits of `ActorCritic.forward`."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from custom_ppo.distributions import LOG_SQRT_2PI, StateDependentNoise
from custom_ppo.engines.features import Features, to_tensors
from custom_ppo.engines.heads import unsquashed
from custom_ppo.engines.layers import Stack
from custom_ppo.memory import Observation, TrajectoryMemory
from custom_ppo.networks import ActorCritic

__all__ = ["FusedActor", "torch_is_watched"]

Sampled = tuple[Tensor, Tensor]
"""Actions [N] or [N, A], and their log-probabilities [N]."""


class FusedActor:
    """Actor of `engine.Actor` for a policy whose updates can be fused."""

    def __init__(self, policy: ActorCritic, features: Features, actor_stack: Stack, critic_stack: Stack) -> None:
        self.features = features
        self.actor_stack = actor_stack
        self.critic_stack = critic_stack
        self.sampler = _make_sampler(policy)

    @torch.inference_mode()
    def begin(self, memory: TrajectoryMemory) -> None:
        """Prepare a rollout; see `Actor.begin`."""
        self._values, self._log_probs = memory.values, memory.log_probs
        self.features.bind()
        self.actor_stack.bind()
        self.critic_stack.bind()
        self.sampler.begin(memory.values.shape[1])

    @torch.inference_mode()
    def act(self, step: int, observations: Observation) -> NDArray[Any]:
        """Sample actions; see `Actor.act`. Raises RuntimeError if a probability is not finite."""
        by_actor, by_critic = self.features.encode(to_tensors(observations))
        output = self.actor_stack.forward(by_actor)
        values = self.critic_stack.forward(by_critic)
        actions, log_probs = self.sampler.sample(output, self.actor_stack.inputs[-1])
        self._values[step] = values.numpy().reshape(-1)  # [N, 1] -> [N]
        self._log_probs[step] = log_probs.numpy()
        return actions.numpy()

    @torch.inference_mode()
    def values(self, observations: Observation) -> NDArray[np.float32]:
        """Return V(s), [N]; see `Actor.values`."""
        values = self.critic_stack.forward(self.features.encode_for_critic(to_tensors(observations)))
        return values.numpy().reshape(-1)  # [N, 1] -> [N]


def torch_is_watched() -> bool:
    """Return True if a mode of PyTorch sees every function that is called; it must see the policy's own."""
    return bool(torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack())


class _Sampler(Protocol):
    """Distribution over actions, given the output of the actor."""

    def begin(self, n_envs: int) -> None:
        """Compute what stays the same for a whole rollout of N environments."""

    def sample(self, output: Tensor, latent: Tensor) -> Sampled:
        """Draw actions; output, latent: output and input of the actor's last layer, [N, ...]."""
        ...


def _make_sampler(policy: ActorCritic) -> _Sampler:
    space = policy.action_space
    if policy.sde is not None:
        return _StateDependent(policy.sde, policy.log_std)
    if isinstance(space, spaces.Box):
        return _Gaussian(policy.log_std)
    if isinstance(space, spaces.Discrete):
        return _Categorical()
    if isinstance(space, spaces.MultiDiscrete):
        return _MultiCategorical(space.nvec.tolist())
    return _Bernoulli()


class _Categorical:
    """One of n choices."""

    def begin(self, n_envs: int) -> None:
        pass

    def sample(self, output: Tensor, latent: Tensor) -> Sampled:
        logits = output - output.logsumexp(dim=-1, keepdim=True)
        probs = torch.softmax(logits, dim=-1)
        # torch.multinomial draws like this, and checks all probabilities before.
        actions = (probs / torch.empty_like(probs).exponential_()).argmax(-1)
        log_probs = logits.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        if not math.isfinite(sum(log_probs.tolist())):
            torch.multinomial(probs, 1, True)  # raises the error of `Categorical.sample`
        return actions, log_probs


class _MultiCategorical:
    """Several choices."""

    def __init__(self, nvec: list[int]) -> None:
        self.nvec = nvec
        self.part = _Categorical()

    def begin(self, n_envs: int) -> None:
        pass

    def sample(self, output: Tensor, latent: Tensor) -> Sampled:
        parts = [self.part.sample(logits, latent) for logits in torch.split(output, self.nvec, dim=1)]
        actions, log_probs = zip(*parts, strict=True)
        return torch.stack(actions, dim=1), torch.stack(log_probs, dim=1).sum(dim=1)


class _Bernoulli:
    """Switches."""

    def begin(self, n_envs: int) -> None:
        pass

    def sample(self, output: Tensor, latent: Tensor) -> Sampled:
        actions = torch.bernoulli(torch.sigmoid(output))
        cross_entropy = functional.binary_cross_entropy_with_logits(output, actions, reduction="none")
        return actions, -cross_entropy.sum(dim=1)


class _Gaussian:
    """Normal components with one standard deviation for all states."""

    def __init__(self, log_std: nn.Parameter) -> None:
        self.log_std = log_std

    def begin(self, n_envs: int) -> None:
        self.n_envs = n_envs
        self.current = self.log_std.data.numpy()
        self.known = self.current.tobytes()
        self.std = torch.ones(n_envs, len(self.log_std), dtype=torch.float32) * self.log_std.exp()
        self.twice_variance = 2 * self.std**2
        self.log_of_std = self.std.log()

    def sample(self, output: Tensor, latent: Tensor) -> Sampled:
        if self.current.tobytes() != self.known:  # a callback may change it within a rollout
            self.begin(self.n_envs)
        actions = output + torch.empty_like(output).normal_() * self.std
        log_probs = -((actions - output) ** 2) / self.twice_variance - self.log_of_std - LOG_SQRT_2PI
        return actions, log_probs.sum(dim=1)


class _StateDependent:
    """gSDE; the matrices of noise are those that `policy.reset_noise` drew last."""

    def __init__(self, sde: StateDependentNoise, log_std: nn.Parameter) -> None:
        self.sde = sde
        self.log_std = log_std

    def begin(self, n_envs: int) -> None:
        self.current = self.log_std.data.numpy()
        self.known = self.current.tobytes()
        self.weight_variance = self.sde.std(self.log_std) ** 2

    def sample(self, output: Tensor, latent: Tensor) -> Sampled:
        if self.current.tobytes() != self.known:
            self.begin(len(output))
        std = torch.sqrt(torch.mm(latent**2, self.weight_variance) + self.sde._EPSILON)
        actions = gaussian = output + self.sde.noise(latent)
        correction = None
        if self.sde.squash_output:
            actions = torch.tanh(actions)
            gaussian, correction = unsquashed(actions)
        log_probs = (-((gaussian - output) ** 2) / (2 * std**2) - std.log() - LOG_SQRT_2PI).sum(dim=1)
        return actions, log_probs if correction is None else log_probs - correction
