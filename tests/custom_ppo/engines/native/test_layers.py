"""Stacks of linear layers have autograd's bits: outputs, and the gradients of all weights and biases."""

from __future__ import annotations

import ctypes
import itertools

import pytest
import torch
from torch import Tensor, nn

from custom_ppo.engines.native.learner import activation_of
from tests.custom_ppo.engines.native.primitives import call, placed

WIDTHS = [1, 2, 3, 4, 7, 8, 64, 256, 400]

BATCHES = [1, 2, 3, 4, 7, 8, 63, 64, 65, 100, 256, 1000]


def pointers(tensors: list[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def assert_autograds_bits(widths: list[int], activation: nn.Module, n: int) -> None:
    torch.manual_seed(sum(widths) + n)
    linear = [nn.Linear(n_in, n_out) for n_in, n_out in itertools.pairwise(widths)]
    for parameter in nn.ModuleList(linear).parameters():
        parameter.data = placed(parameter.data)
    modules: list[nn.Module] = [linear[0]]
    for layer in linear[1:]:
        modules += [activation, layer]
    x, grad = placed(torch.randn(n, widths[0])), placed(torch.randn(n, widths[-1]))
    parameters = [parameter for layer in linear for parameter in (layer.weight, layer.bias)]
    expected = nn.Sequential(*modules)(x)
    expected_gradients = torch.autograd.grad(expected, parameters, grad)

    gradients = [placed(torch.zeros_like(parameter)) for parameter in parameters]
    work = [placed(torch.zeros(n, max(widths))) for _ in range(2 * len(linear) + 2)]
    arrays = [[*parameters[i : i + 2], *gradients[i : i + 2]] for i in range(0, len(parameters), 2)]
    output = torch.zeros_like(expected)
    call(
        "stack", len(linear), (ctypes.c_int * len(widths))(*widths), *activation_of(activation), n,
        x, grad, output, pointers([tensor for own in arrays for tensor in own]), pointers(work),
    )  # fmt: skip
    assert torch.equal(output, expected.detach()), f"{widths}, batch {n}"
    for i, (ours, theirs) in enumerate(zip(gradients, expected_gradients, strict=True)):
        assert torch.equal(ours, theirs), f"gradient {i} of {widths}, batch {n}"


@pytest.mark.parametrize("n", BATCHES)
def test_layers_of_any_width_have_autograds_bits(n: int) -> None:
    for n_in, n_out in itertools.product(WIDTHS, WIDTHS):
        assert_autograds_bits([4, n_in, n_out], nn.Tanh(), n)


@pytest.mark.parametrize(
    "activation",
    [nn.Tanh(), nn.ReLU(), nn.ELU(0.7), nn.GELU("tanh"), nn.LeakyReLU(0.2), nn.SiLU(), nn.Sigmoid(), nn.Identity()],
    ids=str,
)
def test_every_activation_has_autograds_bits_between_layers(activation: nn.Module) -> None:
    for n in BATCHES:
        for widths in ([4, 64, 64, 2], [17, 9, 5, 1], [3, 400, 300, 6]):
            assert_autograds_bits(widths, activation, n)
