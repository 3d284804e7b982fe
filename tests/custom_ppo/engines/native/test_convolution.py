"""Kernel for the gradient of a first convolution against PyTorch's, to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from custom_ppo.engines.native import convolution
from custom_ppo.engines.native.convolution import agreements, first_convolution_gradients, is_faster
from custom_ppo.engines.native.library import load, reason_against_loading

needs_kernels = pytest.mark.skipif(reason_against_loading() is not None, reason="the kernels are not compiled")


def _case(n: int, side: int, conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (n, 4, side, side)).float() / 255.0
    grad = torch.randn_like(conv(images)).detach()
    return torch.relu(grad), images  # half of the gradients behind a ReLU are zero


@needs_kernels
@pytest.mark.parametrize(
    ("n", "side", "conv"),
    [
        (1, 36, nn.Conv2d(4, 32, 8, 4)),
        (33, 36, nn.Conv2d(4, 32, 8, 4)),
        (8, 84, nn.Conv2d(4, 32, 8, 4)),
        (5, 40, nn.Conv2d(4, 64, 3, 2)),
        (2, 37, nn.Conv2d(4, 32, (5, 3), 1)),
    ],
)
def test_the_kernel_has_the_bits_of_pytorch(n: int, side: int, conv: nn.Conv2d) -> None:
    grad, images = _case(n, side, conv)
    ours, theirs = convolution._by_kernel(conv, grad, images), convolution._by_torch(conv, grad, images)
    assert ours is not None
    assert all(map(convolution._same_bits, ours, theirs))


@needs_kernels
def test_the_kernel_computes_float32_under_another_default_type() -> None:
    conv = nn.Conv2d(4, 32, 8, 4)
    grad, images = _case(2, 36, conv)
    expected = convolution._by_torch(conv, grad, images)
    torch.set_default_dtype(torch.float64)
    try:
        found = convolution._by_kernel(conv, grad, images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found is not None
    assert all(map(torch.equal, found, expected))


@needs_kernels
def test_both_widths_of_vectors_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    library = load()
    if library.capability != "AVX512":
        pytest.skip("the processor has no AVX-512")
    conv = nn.Conv2d(4, 32, 8, 4)
    grad, images = _case(3, 36, conv)
    wide = convolution._by_kernel(conv, grad, images)
    monkeypatch.setattr(type(library), "capability", "AVX2", raising=False)
    monkeypatch.setitem(vars(library), "capability", "AVX2")
    narrow = convolution._by_kernel(conv, grad, images)
    assert wide is not None
    assert narrow is not None
    assert all(map(torch.equal, wide, narrow))


@needs_kernels
def test_a_kernel_with_other_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = nn.Conv2d(4, 32, 7, 3)
    grad, images = _case(2, 40, conv)
    exact = convolution._by_kernel
    calls = []

    def off_by_one_bit(*arguments: object) -> tuple[Tensor, Tensor]:
        calls.append(1)
        found = exact(*arguments)  # type: ignore[arg-type]
        assert found is not None
        found[0][1, 2, 3, 4] = torch.nextafter(found[0][1, 2, 3, 4], torch.tensor(torch.inf))
        return found

    monkeypatch.setattr(convolution, "_by_kernel", off_by_one_bit)
    monkeypatch.setattr(convolution, "agreements", {})
    expected = convolution._by_torch(conv, grad, images)
    for _ in range(3):
        assert all(map(torch.equal, first_convolution_gradients(conv, grad, images), expected))
    assert len(calls) == 1
    assert list(convolution.agreements.values()) == [False]


@needs_kernels
def test_the_kernel_is_used_after_it_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = nn.Conv2d(4, 32, 6, 3)
    grad, images = _case(2, 40, conv)
    expected = first_convolution_gradients(conv, grad, images)
    monkeypatch.setattr(convolution, "_by_torch", None)
    assert True in agreements.values()
    assert all(map(torch.equal, first_convolution_gradients(conv, grad, images), expected))


def test_pytorch_computes_the_gradients_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = nn.Conv2d(4, 32, 8, 4)
    grad, images = _case(2, 36, conv)
    monkeypatch.setattr(convolution, "_by_kernel", lambda *_: None)
    monkeypatch.setattr(convolution, "agreements", {})
    found, expected = first_convolution_gradients(conv, grad, images), convolution._by_torch(conv, grad, images)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize(
    ("conv", "faster"),
    [
        (nn.Conv2d(4, 32, 8, 4), True),
        (nn.Conv2d(3, 32, 8, 4), False),
        (nn.Conv2d(4, 16, 8, 4), False),
        (nn.Conv2d(4, 32, 8, (4, 2)), False),
        (nn.Conv2d(4, 32, 8, 4, padding=1), False),
        (nn.Conv2d(4, 32, 8, 4, groups=2), False),
        (nn.Conv2d(4, 32, 3, dilation=2), False),
    ],
)
def test_the_kernel_is_only_for_four_channels_without_padding(conv: nn.Conv2d, faster: bool) -> None:
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert is_faster(conv) is faster
        torch.set_num_threads(2)
        assert not is_faster(conv)
    finally:
        torch.set_num_threads(n_threads)
