"""Gradients of a first convolution by the kernel of convolution.c, where it has the bits of PyTorch's."""

from __future__ import annotations

from ctypes import Structure, addressof, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor, nn

from custom_ppo.engines.native.library import KernelsUnavailableError, load

__all__ = ["agreements", "first_convolution_gradients", "is_faster"]

_CHANNELS = 4
"""Channels of the images for which the kernel is faster; for 1 and 3, oneDNN has fast kernels of its own."""

_WEIGHTS_AT_ONCE = 8

agreements: dict[tuple[Any, ...], bool] = {}
"""Shapes of a convolution and its images -> True if the kernel gave PyTorch's bits; filled in the course of this
process."""


def is_faster(conv: nn.Conv2d) -> bool:
    """Return True if the kernel computes the gradients of this convolution, in less time than PyTorch.

    Only on one thread, as oneDNN divides the sums among several; and only for weights that are float32.
    """
    return (
        conv.in_channels == _CHANNELS
        and conv.out_channels % 32 == 0
        and conv.stride[0] == conv.stride[1]
        and conv.padding == (0, 0)
        and conv.dilation == (1, 1)
        and conv.groups == 1
        and torch.get_num_threads() == 1
    )


def first_convolution_gradients(conv: nn.Conv2d, grad: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients by weight and bias, given that by the output [B, O, h, w]; images: [B, 4, H, W].

    The first time for every class of shapes PyTorch computes them too. Its bits decide whether the kernel is used.
    """
    key = (tuple(images.shape), tuple(conv.weight.shape), conv.stride, images.stride())
    agrees = agreements.get(key)
    if agrees is not False and images.is_contiguous():
        ours = _by_kernel(conv, grad, images)
        if agrees and ours is not None:
            return ours
    else:
        ours = None
    theirs = _by_torch(conv, grad, images)
    if agrees is None:
        agreements[key] = ours is not None and all(map(_same_bits, ours, theirs))
    return theirs


def _same_bits(ours: Tensor, theirs: Tensor) -> bool:
    return torch.equal(ours.contiguous().view(torch.int32), theirs.contiguous().view(torch.int32))


def _by_torch(conv: nn.Conv2d, grad: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    _, by_weight, by_bias = torch.ops.aten.convolution_backward.default(
        grad, images, conv.weight, [conv.out_channels], conv.stride, [0, 0], [1, 1], False, [0, 0], 1,
        [False, True, True],
    )  # fmt: skip
    return by_weight, by_bias


class _FirstConvolution(Structure):
    """Fields of FirstConvolution, in the order of convolution.c."""

    _fields_ = (
        *((name, c_int64) for name in ("n_images", "image_size", "width", "n_rows", "n_columns", "stride")),
        *((name, c_int64) for name in ("n_outputs", "n_weights")),
        *((name, c_void_p) for name in ("offsets", "images", "grad", "dw", "db")),
    )


def _by_kernel(conv: nn.Conv2d, grad: Tensor, images: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the gradients by weight and bias, or None if there are no kernels."""
    try:
        library = load()
    except KernelsUnavailableError:
        return None
    n_images, _, height, width = images.shape
    _, n_outputs, n_rows, n_columns = grad.shape
    offsets = _offsets(conv, height, width)
    channels_last = grad.permute(0, 2, 3, 1).contiguous()  # [B, O, h, w] -> [B, h, w, O]: lanes are output channels
    # Also where users set another default.
    by_weight, by_bias = (
        torch.empty(shape, dtype=torch.float32) for shape in ((len(offsets), n_outputs), (n_outputs,))
    )
    arrays = [tensor.data_ptr() for tensor in (offsets, images, channels_last, by_weight, by_bias)]
    image_size = conv.in_channels * height * width
    sizes = n_images, image_size, width, n_rows, n_columns, conv.stride[0], n_outputs, len(offsets)
    call = _FirstConvolution(*sizes, *arrays)
    library.kernels.first_convolution_gradients(addressof(call), library.capability == "AVX512")
    return by_weight[: conv.weight[0].numel()].t().reshape(conv.weight.shape), by_bias


def _offsets(conv: nn.Conv2d, height: int, width: int) -> Tensor:
    """Return the place of every weight in an image [C, H, W], filled up with zeros."""
    channels, rows, columns = (torch.arange(n) for n in conv.weight.shape[1:])
    places = (channels[:, None, None] * height + rows[:, None]) * width + columns  # [C, k, k]
    n_filled = -places.numel() % _WEIGHTS_AT_ONCE
    return torch.cat([places.flatten(), torch.zeros(n_filled, dtype=torch.int64)])
