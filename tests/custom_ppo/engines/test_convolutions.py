"""Convolutions of the fused engine against autograd, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from custom_ppo.engines.convolutions import is_known
from custom_ppo.engines.features import make_features
from custom_ppo.engines.layers import Stack
from custom_ppo.extractors import NatureCNN
from custom_ppo.networks import ActorCritic

LAYERS: dict[str, list[nn.Module]] = {
    "four frames": [nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 16, 4, 2), nn.ReLU(), nn.Flatten()],
    "one channel": [nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 34 * 34, 5), nn.ReLU()],
    "padded": [nn.Conv2d(4, 32, 5, 2, padding=2), nn.ReLU(), nn.Flatten()],
    "dilated, in groups": [nn.Conv2d(4, 8, 3, dilation=2, groups=2), nn.ELU(), nn.Flatten()],
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("n", [3, 64])
def test_a_stack_of_convolutions_has_the_bits_of_autograd(name: str, n: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*LAYERS[name])
    images = torch.rand(n, next(net.parameters()).shape[1] * getattr(net[0], "groups", 1), 36, 36)
    expected = net(images)
    grad = torch.randn_like(expected)
    expected.backward(grad)
    gradients = [_taken(parameter) for parameter in net.parameters()]
    stack = Stack(list(net))
    stack.bind()
    for _ in range(2):  # the first pass may compare kernels, and the second use them
        with torch.inference_mode():
            assert torch.equal(stack.forward(images), expected)
            stack.backward(grad)
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            assert parameter.grad is not None
            assert torch.equal(parameter.grad, gradient)
            parameter.grad.zero_()


def _taken(parameter: nn.Parameter) -> Tensor:
    """Return the gradient of a parameter, and leave zeros in its place."""
    assert parameter.grad is not None
    gradient, parameter.grad = parameter.grad, torch.zeros_like(parameter)
    return gradient


@pytest.mark.parametrize("strides", ["contiguous", "channels last"])
def test_images_are_encoded_as_by_the_policy(strides: str) -> None:
    policy = ActorCritic(
        spaces.Box(0, 255, (4, 36, 36), np.uint8), spaces.Discrete(3), make_features_extractor=NatureCNN
    )
    features: Any = make_features(policy)
    images = torch.randint(0, 256, (7, 4, 36, 36), dtype=torch.uint8)
    images[0, 0, 0] = torch.arange(36) * 7
    if strides == "channels last":
        images = images.contiguous(memory_format=torch.channels_last)
    expected = policy.pi_features_extractor(policy._encode(images))
    assert type(features).__name__ == "_Convolved"
    for encoded in (features.forward(images)[0], features.encode(images)[0], features.encode_for_critic(images)):
        assert torch.equal(encoded, expected)


@pytest.mark.parametrize(
    ("module", "known"),
    [
        (nn.Conv2d(1, 2, 3), True),
        (nn.Flatten(), True),
        (nn.Flatten(2), False),
        (nn.Conv2d(1, 2, 3, bias=False), False),
        (nn.Conv2d(1, 2, 3, padding="same"), False),
        (nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), False),
        (nn.Conv1d(1, 2, 3), False),
    ],
)
def test_only_plain_convolutions_are_written_out(module: nn.Module, known: bool) -> None:
    assert is_known(module) is known


@pytest.mark.parametrize("exchanged", ["cnn", "linear"])
def test_a_cnn_with_an_unknown_layer_is_left_to_autograd(exchanged: str) -> None:
    policy: Any = ActorCritic(
        spaces.Box(0, 255, (1, 36, 36), np.uint8), spaces.Discrete(3), make_features_extractor=NatureCNN
    )
    getattr(policy.features_extractor, exchanged)[1] = nn.Softplus()
    assert type(make_features(policy)).__name__ == "_Differentiated"
