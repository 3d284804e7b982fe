"""Features of a minibatch: flattened observations, or the output of an extractor.

SB3's CNN is differentiated by the operations of `convolutions` and `layers`, another extractor by autograd.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from custom_ppo.engines.convolutions import is_known
from custom_ppo.engines.layers import ACTIVATIONS, Stack
from custom_ppo.extractors import CombinedExtractor, FlattenExtractor, NatureCNN, is_image
from custom_ppo.memory import Observation, TensorObservation
from custom_ppo.networks import ActorCritic

__all__ = [
    "Features",
    "extractors",
    "flat_features",
    "flattened_keys",
    "make_features",
    "reason_against_flattening",
    "to_tensors",
]


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
    if reason_against_flattening(policy) is None:
        return _Flattened(policy)
    if all(_is_known_cnn(extractor) for extractor in extractors(policy)) and is_image(policy.observation_space):
        return _Convolved(policy)
    return _Differentiated(policy)


def reason_against_flattening(policy: ActorCritic) -> str | None:
    """Return the reason why features are more than the numbers of an observation in a row, or None if they are not."""
    for extractor in extractors(policy):
        weighted = _first_of_another_kind(extractor)
        if weighted is not None:
            return f"features are extracted by {type(weighted).__name__}"
    if len({flattened_keys(extractor) for extractor in extractors(policy)}) > 1:
        return "actor and critic have their features in another order"
    return None


def _first_of_another_kind(extractor: nn.Module) -> nn.Module | None:
    """Return the first module that does more than to flatten, or None."""
    # Not isinstance: a subclass may compute something else.
    if type(extractor) is FlattenExtractor:
        parts: list[nn.Module] = [extractor.flatten]
    elif type(extractor) is CombinedExtractor:
        parts = list(extractor.extractors.values())
    else:
        return extractor
    return next((part for part in parts if type(part) is not nn.Flatten), None)


def flattened_keys(extractor: nn.Module) -> tuple[str, ...]:
    """Return the keys of a Dict in the order of the features; () for observations that are one array."""
    return tuple(extractor.extractors) if isinstance(extractor, CombinedExtractor) else ()


def flat_features(policy: ActorCritic, observations: TensorObservation) -> Tensor:
    """Return observations [B, ...] as features [B, F] of a policy that has no `reason_against_flattening`."""
    encoded = policy._encode(observations)
    if isinstance(encoded, dict):
        keys = flattened_keys(policy.pi_features_extractor)
        return torch.cat([encoded[key].flatten(1) for key in keys], dim=1)
    return encoded.flatten(1)


def _is_known_cnn(extractor: nn.Module) -> bool:
    """Return True if an extractor is the CNN of custom_ppo, with layers that a `Stack` knows."""
    if type(extractor) is not NatureCNN:
        return False
    parts = extractor.cnn, extractor.linear
    return all(type(part) is nn.Sequential for part in parts) and all(map(_is_known_layer, [*parts[0], *parts[1]]))


def _is_known_layer(module: nn.Module) -> bool:
    if type(module) is nn.Linear:
        return module._parameters["bias"] is not None
    return type(module) in ACTIVATIONS or is_known(module)


def extractors(policy: ActorCritic) -> tuple[nn.Module, ...]:
    """Return the features extractor, or both if actor and critic have their own."""
    shared = policy.vf_features_extractor is policy.pi_features_extractor
    return (policy.pi_features_extractor,) if shared else (policy.pi_features_extractor, policy.vf_features_extractor)


def to_tensors(observations: Observation) -> TensorObservation:
    """Return observations as tensors on the CPU, without a copy."""
    if isinstance(observations, dict):
        return {key: torch.as_tensor(value) for key, value in observations.items()}
    return torch.as_tensor(observations)


class _Flattened:
    """Observations as vectors; those of a Dict one after the other."""

    needs_gradient = False

    def __init__(self, policy: ActorCritic) -> None:
        self.policy = policy

    def encode_for_critic(self, observations: TensorObservation) -> Tensor:
        return flat_features(self.policy, observations)  # [B, ...] -> [B, F], the same for actor and critic

    def encode(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        flat = self.encode_for_critic(observations)
        return flat, flat

    forward = encode

    def bind(self) -> None:
        pass

    def backward(self, by_actor: Tensor, by_critic: Tensor) -> bool:
        raise AssertionError("observations have no weights")


class _Convolved:
    """Output of `NatureCNN` for images."""

    needs_gradient = True

    def __init__(self, policy: ActorCritic) -> None:
        self.policy = policy
        self.stacks = [Stack([*cnn.cnn, *cnn.linear]) for cnn in extractors(policy)]  # type: ignore[misc]
        self.floats = torch.empty(0)
        """Memory for the images of a minibatch: a new array for each would cost more than the division."""

    def forward(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        assert isinstance(observations, Tensor)
        return self._through(self._scaled(observations))

    def encode(self, observations: TensorObservation) -> tuple[Tensor, Tensor]:
        return self._through(self._encoded(observations))

    def encode_for_critic(self, observations: TensorObservation) -> Tensor:
        return self.stacks[-1].forward(self._encoded(observations))

    def _encoded(self, observations: TensorObservation) -> Tensor:
        # Transposed images keep their strides, by which PyTorch chooses the convolution: other strides, other bits.
        images = self.policy._encode(observations)
        assert isinstance(images, Tensor)
        return images

    def _scaled(self, images: Tensor) -> Tensor:
        """Return contiguous images [B, C, H, W] as the policy's `_encode` does, in memory that the next call takes."""
        if not (self.policy.normalize_images and images.is_contiguous()):
            return self._encoded(images)
        if self.floats.shape != images.shape:
            self.floats = torch.empty(images.shape, dtype=torch.float32)
        # Some at a time: PyTorch converts the operand of a division to a float array as a whole.
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            part = slice(start, start + _IMAGES_AT_ONCE)
            torch.div(images[part], 255.0, out=self.floats[part])
        return self.floats

    def _through(self, images: Tensor) -> tuple[Tensor, Tensor]:
        by_extractor = [stack.forward(images) for stack in self.stacks]
        return by_extractor[0], by_extractor[-1]

    def bind(self) -> None:
        for stack in self.stacks:
            stack.bind()

    def backward(self, by_actor: Tensor, by_critic: Tensor) -> bool:
        # Where both share an extractor, autograd adds what they pass back.
        shared = len(self.stacks) == 1
        for stack, grad in zip(self.stacks, [by_actor + by_critic] if shared else [by_actor, by_critic], strict=True):
            stack.backward(grad)
        return True


_IMAGES_AT_ONCE = 4
"""Number of images that are divided in one call."""


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
