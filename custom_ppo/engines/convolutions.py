"""Convolutions on images, and their backward pass, with the operations that autograd would run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from custom_ppo.engines.native.convolution import first_convolution_gradients, is_faster

__all__ = ["Convolution", "Flatten", "is_known"]


def is_known(module: nn.Module) -> bool:
    """Return True if `Convolution` or `Flatten` has the bits of this module."""
    if type(module) is nn.Flatten:
        return (module.start_dim, module.end_dim) == (1, -1)
    if type(module) is not nn.Conv2d or module._parameters["bias"] is None:
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


class Convolution:
    """Convolutional layer, for x [B, C, H, W]."""

    def __init__(self, module: nn.Conv2d) -> None:
        self.module = module
        self.bind()

    def bind(self) -> None:
        """Take the tensors of the parameters, which are other ones after they became views of a flat vector."""
        weight, bias = self.module.weight, self.module.bias
        assert bias is not None
        self.weight, self.bias = weight.data, bias.data
        self.grad_weight, self.grad_bias = weight.grad, bias.grad
        # Asked once an update: threads and settings may change in between.
        self.by_kernel = is_faster(self.module)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W] to [B, O, h, w]."""
        conv = self.module
        return torch.conv2d(x, self.weight, self.bias, conv.stride, conv.padding, conv.dilation, conv.groups)

    def backward(self, grad: Tensor, x: Tensor, _y: Tensor) -> Tensor:
        """Return the gradient by the input, given that by the output."""
        by_input: Tensor = self._gradients(grad, x, [True, False, False])[0]
        return by_input

    def write_gradients(self, grad: Tensor, x: Tensor) -> None:
        """Write the gradients of weight and bias, given that by the output."""
        assert self.grad_weight is not None
        assert self.grad_bias is not None
        if self.by_kernel:
            by_weight, by_bias = first_convolution_gradients(self.module, grad, x)
        else:
            _, by_weight, by_bias = self._gradients(grad, x, [False, True, True])
        self.grad_weight.copy_(by_weight)
        self.grad_bias.copy_(by_bias)

    def _gradients(self, grad: Tensor, x: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the wanted ones of the gradients by input, weight and bias."""
        conv = self.module
        found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward.default(
            grad, x, self.weight, [conv.out_channels], conv.stride, conv.padding, conv.dilation, False, [0, 0],
            conv.groups, wanted,
        )  # fmt: skip
        return found


class Flatten:
    """Images [B, C, H, W] as vectors [B, C * H * W]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors, which are a view where the images are contiguous."""
        return x.flatten(1)

    def backward(self, grad: Tensor, x: Tensor, _y: Tensor) -> Tensor:
        """Return the gradient by the images."""
        return grad.reshape(x.shape)
