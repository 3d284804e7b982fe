"""Activations and their gradients have PyTorch's bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from custom_ppo.engines.native.learner import activation_of
from tests.custom_ppo.engines.native.primitives import SIZES, call

ACTIVATIONS = {
    "tanh": nn.Tanh(),
    "relu": nn.ReLU(),
    "elu": nn.ELU(),
    "elu, alpha 0.3": nn.ELU(alpha=0.3),
    "gelu by tanh": nn.GELU(approximate="tanh"),
    "leaky relu": nn.LeakyReLU(),
    "leaky relu, slope 0.3": nn.LeakyReLU(0.3),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
}


def inputs(n: int) -> Tensor:
    """Return n inputs, most of which are small, some large, zero or not finite."""
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, generator=generator) * 10 ** torch.randint(-3, 3, (n,), generator=generator).float()
    special = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 100.0, -100.0, float("inf"), float("-inf"), float("nan")])
    chosen = torch.rand(n, generator=generator) < 0.05
    return torch.where(chosen, special[torch.randint(len(special), (n,), generator=generator)], x)


def bits(x: Tensor) -> Tensor:
    """Return the bits of float32 numbers; all NaN are one."""
    return torch.where(x.isnan(), torch.tensor(float("nan")), x).view(torch.int32)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_an_activation_has_pytorchs_bits_forward_and_backward(name: str) -> None:
    module = ACTIVATIONS[name]
    number, slope = activation_of(module)
    for n in SIZES:
        x = inputs(n).requires_grad_()
        grad = torch.randn(n, generator=torch.Generator().manual_seed(n + 1))
        expected = module(x)
        (expected_grad,) = torch.autograd.grad(expected, x, grad)
        y, before = torch.empty(n), x.detach()
        call("activate", number, slope, n, before, y)
        assert torch.equal(bits(y), bits(expected.detach())), n
        call("activation_gradient", number, slope, n, before, y, grad)
        assert torch.equal(bits(grad), bits(expected_grad)), n
