"""Sums, means, deviations and norms have the bits of PyTorch's, wherever an array begins in memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from custom_ppo.losses import normalize_advantages
from tests.custom_ppo.engines.native.primitives import SIZES, call, placed

LARGE = [40000, 65536, 102400, 131072, 400 * 300, 256 * 400]
"""Sizes of whole layers, above the 32768 elements from which on PyTorch may split its work."""

WIDTHS = [*range(1, 41), 63, 64, 65, 100, 127, 128, 255, 256, 257, 300, 400, 512, 1000, 1024]

OFFSETS = [0, 1, 3, 8]
"""Number of float32 between a multiple of 64 bytes and the first number."""

REDUCTIONS = {
    "sum": torch.sum,
    "mean": torch.mean,
    "standard_deviation": torch.std,
    "norm": torch.linalg.vector_norm,
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    assert torch.get_num_threads() == 1, "more threads split a sum, to other bits"


def numbers(*shape: int) -> Tensor:
    """Return numbers of many sizes, whose sum depends on the order."""
    generator = torch.Generator().manual_seed(sum(shape))
    x = torch.randn(shape, generator=generator)
    return x * 10 ** torch.randint(-2, 3, shape, generator=generator).float()


def assert_same(ours: Tensor, theirs: Tensor, what: str) -> None:
    assert torch.equal(ours.nan_to_num(nan=-1.0), theirs.nan_to_num(nan=-1.0)), what


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", list(REDUCTIONS))
def test_a_reduction_has_pytorchs_bits(name: str, offset: int) -> None:
    for n in [*SIZES, *LARGE]:
        if name == "standard_deviation" and n == 1:
            continue  # NaN, with a warning
        x = placed(numbers(n), offset)
        assert_same(torch.tensor(call(name, x, n)), REDUCTIONS[name](x), f"{n} numbers")


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 128, 256, 257, 1000, 2048])
def test_sums_over_rows_and_over_columns_have_pytorchs_bits(n: int) -> None:
    for k in WIDTHS:
        x = placed(numbers(n, k))
        by_column, by_row = torch.empty(k), torch.empty(n)
        call("sum_over_rows", x, n, k, by_column)
        assert_same(by_column, x.sum(0), f"sum over the rows of [{n}, {k}]")
        call("sum_over_columns", x, n, k, by_row)
        assert_same(by_row, x.sum(-1), f"sum over the columns of [{n}, {k}]")


def test_advantages_are_normalised_to_pytorchs_bits() -> None:
    for n in SIZES:
        x = placed(numbers(n))
        expected = normalize_advantages(x)
        call("normalize_advantages", ours := x.clone(), n)
        assert_same(ours, expected, f"{n} advantages")
