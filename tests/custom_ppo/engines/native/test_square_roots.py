"""Square roots of the kernels have the bits of VML's, which are those of torch.sqrt."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.custom_ppo.engines.native.primitives import call

EDGES = [0.0, -0.0, 1e-45, 1e-40, 2.0**-126, 2.0**-76, 2.0**-77, -1.0, 2.0**126, 3e38, float("inf"), float("nan")]


def bits(x: Tensor) -> Tensor:
    return x.view(torch.int32)


def square_roots(x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    call("square_roots", x.numel(), x, y)
    return y


def test_roots_of_all_mantissas_are_pytorchs() -> None:
    for exponent in (-75, -38, 0, 1, 64):
        first = int(bits(torch.tensor([2.0**exponent]))[0])
        numbers = torch.arange(first, first + 2**23, dtype=torch.int32).view(torch.float32)
        assert torch.equal(bits(square_roots(numbers)), bits(numbers.sqrt()))


def test_roots_of_zero_and_of_numbers_out_of_range_are_pytorchs() -> None:
    for edge in EDGES:
        for place in range(11):  # in a vector, and in the rest behind it
            numbers = torch.linspace(0.1, 3, 11)
            numbers[place] = edge
            found, expected = square_roots(numbers), numbers.sqrt()
            assert torch.equal(found.isnan(), expected.isnan())
            assert torch.equal(bits(found)[~found.isnan()], bits(expected)[~found.isnan()])
