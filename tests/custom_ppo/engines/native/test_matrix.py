"""Products of matrices have the bits of PyTorch's, in every transposition that a linear layer needs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.custom_ppo.engines.native.primitives import call, placed

DIMENSIONS = [1, 2, 3, 4, 7, 8, 64, 256, 400]


def matrix(rows: int, columns: int) -> Tensor:
    return placed(torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows * 1000 + columns)))


def multiplied(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a @ b, or bias + a @ b, by the kernels."""
    (n, k), m = a.shape, b.shape[1]
    c = placed(torch.zeros(n, m) if bias is None else bias.expand(n, m).contiguous())
    call("multiply", c, n, m, k, a, *a.stride(), b, *b.stride(), 0.0 if bias is None else 1.0)
    return c


@pytest.mark.parametrize("a_transposed", [False, True])
@pytest.mark.parametrize("b_transposed", [False, True])
def test_a_product_has_pytorchs_bits_in_every_transposition(a_transposed: bool, b_transposed: bool) -> None:
    for n in DIMENSIONS:
        for m in DIMENSIONS:
            for k in DIMENSIONS:
                a = matrix(k, n).t() if a_transposed else matrix(n, k)
                b = matrix(m, k).t() if b_transposed else matrix(k, m)
                assert torch.equal(multiplied(a, b), torch.mm(a, b)), (n, m, k)
                bias = torch.randn(m, generator=torch.Generator().manual_seed(m))
                assert torch.equal(multiplied(a, b, bias), torch.addmm(bias, a, b)), (n, m, k)
