"""Features of a minibatch: flattened observations, or the output of an extractor that autograd differentiates."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from custom_ppo.extractors import FlattenExtractor
from custom_ppo.memory import TensorObservation
from custom_ppo.networks import ActorCritic

__all__ = ["Features", "make_features"]


class Features(Protocol):
    """Inputs of actor and critic."""

    needs_gradient: bool
    """True if the features have weights."""

    def forward(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        """Return the features [B, F] of the actor and of the critic."""
        ...

    def encode(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        """Return the same features without a gradient, to act."""
        ...

    def encode_for_critic(self, observations: TensorObservation) -> Tensor:
        """Return the features of the critic [B, F] without a gradient."""
        ...

    def bind(self) -> None:
        """Take the gradients of the parameters as they are now, to write into them."""

    def backward(self, by_actor: Tensor, by_critic: Tensor) -> bool:
        """Write the gradients of the features' weights, given those by the features of actor and critic.

        Returns False if a weight was not used, so that its gradient is None.
        """
        ...


def make_features(policy: ActorCritic) -> Features:
    """Return the features of a policy."""
    flat = all(type(extractor) is FlattenExtractor for extractor in extractors(policy))
    return _Flattened(policy) if flat else _Differentiated(policy)


def extractors(policy: ActorCritic) -> tuple[nn.Module, ...]:
    """Return the features extractor, or both if actor and critic have their own."""
    shared = policy.vf_features_extractor is policy.pi_features_extractor
    return (policy.pi_features_extractor,) if shared else (policy.pi_features_extractor, policy.vf_features_extractor)


class _Flattened:
    """Observations as vectors."""

    needs_gradient = False

    def __init__(self, policy: ActorCritic) -> None:
        self.policy = policy

    def encode_for_critic(self, observations: TensorObservation) -> Tensor:
        encoded = self.policy._encode(observations)
        assert isinstance(encoded, Tensor)
        return encoded.flatten(1)  # [B, ...] -> [B, F], the same for actor and critic

    def encode(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        flat = self.encode_for_critic(observations)
        return flat, flat

    forward = encode

    def bind(self) -> None:
        pass

    def backward(self, by_actor: Tensor, by_critic: Tensor) -> bool:
        raise AssertionError("observations have no weights")


class _Differentiated:
    """Output of modules, of which autograd computes the gradient."""

    def __init__(self, policy: ActorCritic) -> None:
        self.policy = policy
        self.parameters = [parameter for module in extractors(policy) for parameter in module.parameters()]
        self.needs_gradient = bool(self.parameters)

    def forward(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False), torch.set_grad_enabled(self.needs_gradient):
            self.actor, self.critic = self._extract(observations)
        return self.actor.detach(), self.critic.detach()

    def encode(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False), torch.no_grad():  # a module may keep a tensor for a forward with gradient
            return self._extract(observations)

    def encode_for_critic(self, observations: TensorObservation) -> Tensor:
        policy = self.policy
        with torch.inference_mode(False), torch.no_grad():
            features: Tensor = policy.vf_features_extractor(policy._encode(observations))
        return features

    def _extract(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        policy = self.policy
        by_actor = policy.pi_features_extractor(policy._encode(observations))
        if policy.share_features_extractor:
            return by_actor, by_actor
        return by_actor, policy.vf_features_extractor(policy._encode(observations))

    def bind(self) -> None:
        self.gradients = [parameter.grad for parameter in self.parameters]

    def backward(self, by_actor: Tensor, by_critic: Tensor) -> bool:
        for parameter in self.parameters:
            parameter.grad = None
        with torch.inference_mode(False):  # in which autograd does not work
            if self.critic is self.actor:
                torch.autograd.backward([self.actor], [by_actor.clone() + by_critic.clone()])
            else:
                torch.autograd.backward([self.actor, self.critic], [by_actor.clone(), by_critic.clone()])
        all_used = True
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            assert gradient is not None
            if parameter.grad is None:
                all_used = False
            else:
                gradient.copy_(parameter.grad)
                parameter.grad = gradient  # a view of the flat vector of gradients
        return all_used
