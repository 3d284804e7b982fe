"""Stacks of layers and activations, and their backward pass, with the operations that autograd would run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from custom_ppo.engines.convolutions import Convolution, Flatten

__all__ = ["ACTIVATIONS", "Stack", "input_gradient", "weight_gradient"]

_aten = torch.ops.aten

_Forward = Callable[[Tensor], Tensor]
_Backward = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(gradient by the output, input, output) -> gradient by the input."""


def _tanh(_: Any) -> tuple[_Forward, _Backward]:
    return torch.tanh, lambda grad, _x, y: _aten.tanh_backward.default(grad, y)


def _relu(_: Any) -> tuple[_Forward, _Backward]:
    return torch.relu, lambda grad, _x, y: _aten.threshold_backward.default(grad, y, 0)


def _leaky_relu(module: Any) -> tuple[_Forward, _Backward]:
    return module.forward, lambda grad, x, _y: _aten.leaky_relu_backward.default(grad, x, module.negative_slope, False)


def _elu(module: Any) -> tuple[_Forward, _Backward]:
    return module.forward, lambda grad, x, _y: _aten.elu_backward.default(grad, module.alpha, 1, 1, False, x)


def _gelu(module: Any) -> tuple[_Forward, _Backward]:
    return module.forward, lambda grad, x, _y: _aten.gelu_backward.default(grad, x, approximate=module.approximate)


def _silu(module: Any) -> tuple[_Forward, _Backward]:
    return module.forward, lambda grad, x, _y: _aten.silu_backward.default(grad, x)


def _sigmoid(_: Any) -> tuple[_Forward, _Backward]:
    return torch.sigmoid, lambda grad, _x, y: _aten.sigmoid_backward.default(grad, y)


def _identity(_: Any) -> tuple[_Forward, _Backward]:
    return lambda x: x, lambda grad, _x, _y: grad


ACTIVATIONS: Mapping[type[nn.Module], Callable[[Any], tuple[_Forward, _Backward]]] = {
    nn.Tanh: _tanh,
    nn.ReLU: _relu,
    nn.LeakyReLU: _leaky_relu,
    nn.ELU: _elu,
    nn.GELU: _gelu,
    nn.SiLU: _silu,
    nn.Sigmoid: _sigmoid,
    nn.Identity: _identity,
}
"""Class of an activation -> (module) -> its forward and its backward pass."""


class _Linear:
    """Linear layer: y = x @ W.t() + b, for x [B, in]."""

    def __init__(self, module: nn.Linear) -> None:
        self.module = module
        self._take(module.weight, module.bias)

    def bind(self) -> None:
        """Take the tensors of the parameters, which are other ones after they became views of a flat vector."""
        weight, bias = self.module.weight, self.module.bias
        same_values = weight.data_ptr() == self.weight.data_ptr() and bias.data_ptr() == self.bias.data_ptr()
        if not (same_values and weight.grad is self.grad_weight and bias.grad is self.grad_bias):
            self._take(weight, bias)

    def _take(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight.data, bias.data
        self.transposed = self.weight.t()
        self.grad_weight, self.grad_bias = weight.grad, bias.grad

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.transposed)  # as nn.Linear: x @ W.t() + b rounds otherwise

    def backward(self, grad: Tensor, x: Tensor, _y: Tensor) -> Tensor:
        return input_gradient(grad, x, self.weight)

    def write_gradients(self, grad: Tensor, x: Tensor) -> None:
        # Written, not added: no gradient of the last minibatch has to be zeroed.
        torch.sum(grad, 0, out=self.grad_bias)
        torch.mm(grad.t(), x, out=self.grad_weight)


class _Activation:
    """Elementwise function."""

    def __init__(self, module: nn.Module) -> None:
        self.forward, self.backward = ACTIVATIONS[type(module)](module)


class _ReLUInPlace:
    """ReLU of an output that no backward pass reads: it takes its place, and no memory of its own."""

    forward = staticmethod(torch.relu_)

    @staticmethod
    def backward(grad: Tensor, _x: Tensor, y: Tensor) -> Tensor:
        return _aten.threshold_backward.default(grad, y, 0)  # type: ignore[no-any-return]


_Layer = _Linear | _Activation | _ReLUInPlace | Convolution | Flatten


def _make_layers(modules: Sequence[nn.Module]) -> list[_Layer]:
    layers: list[_Layer] = []
    for module in modules:
        if isinstance(module, nn.Linear):
            layers.append(_Linear(module))
        elif isinstance(module, nn.Conv2d):
            layers.append(Convolution(module))
        elif isinstance(module, nn.Flatten):
            layers.append(Flatten())
        elif isinstance(module, nn.ReLU) and layers and isinstance(layers[-1], Convolution):
            layers.append(_ReLUInPlace())
        else:
            layers.append(_Activation(module))
    return layers


class Stack:
    """Linear and convolutional layers with activations between them, and their backward pass."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = list(modules)
        """Modules whose place this takes."""
        self._layers = _make_layers(self.modules)
        self.inputs: list[Tensor] = []
        """Inputs of all layers in the last `forward`; the last one is that of the output layer."""
        self.output: Tensor | None = None
        """Output of the last layer."""

    def bind(self) -> None:
        """Take the parameters as they are now; needed wherever their tensors may have been exchanged."""
        for layer in self._layers:
            if isinstance(layer, _Linear | Convolution):
                layer.bind()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in] to [B, out], and keep the input of every layer."""
        self.output = None  # as the inputs, frees memory that this pass takes again
        self.inputs = inputs = []
        for layer in self._layers:
            inputs.append(x)
            x = layer.forward(x)
        self.output = x
        return x

    def backward(self, grad: Tensor, *, to_input: bool = False) -> Tensor | None:
        """Write the gradients of all weights and biases, given that of the output [B, out].

        Returns the gradient by the input [B, in], or None unless it is wanted: observations need none.
        """
        layers, inputs, output = self._layers, self.inputs, self.output
        assert output is not None
        for i in range(len(layers) - 1, -1, -1):
            layer, x = layers[i], inputs[i]
            if isinstance(layer, _Linear | Convolution):
                layer.write_gradients(grad, x)
            if i or to_input:
                grad = layer.backward(grad, x, output)
            output = x  # the input of a layer is the output of the one before
        return grad if to_input else None


def input_gradient(grad: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient by x of x @ weight.t(), given that by the product."""
    if _by_column(x):  # as autograd: by the layout of x (mm_mat1_backward in torch/csrc/autograd/FunctionsManual.cpp)
        return torch.mm(weight.t(), grad.t()).t()
    return torch.mm(grad, weight)


def weight_gradient(grad: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient by the weight [in, out] of x @ weight, given that by the product."""
    if _by_column(weight):  # as autograd: by the layout of the weight (mm_mat2_backward)
        return torch.mm(grad.t(), x).t()
    return torch.mm(x.t(), grad)


def _by_column(matrix: Tensor) -> bool:
    """Return True if the columns of a matrix lie one after the other in memory."""
    return matrix.stride() == (1, matrix.shape[0])
