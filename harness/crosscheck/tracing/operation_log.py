"""A log of the tensor operations of an update, with the source line of each.

What an implementation keeps in local variables (normalised advantages, ratios, the terms of the loss) is visible
here, whatever it calls them and however its code is cut: PyTorch tells a mode of every function that is called.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any

from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from harness.crosscheck.tracing.trace import Operation, digest

__all__ = ["OperationLog"]

LARGEST_KEPT = 4096
"""Results with more numbers are known by their digest alone."""
LARGEST_SEEN = 1 << 20

_TORCH = ("torch.", "torch", "harness.crosscheck.tracing")
_SILENT = frozenset(("__get__", "detach", "clone", "requires_grad_", "zero_", "copy_", "to", "cpu", "data"))
"""What makes no new numbers."""


class OperationLog(TorchFunctionMode):
    """While it is entered, remembers every operation with a floating-point result; `take` hands them over."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.roots: list[NDArray[Any]] = []
        """What was differentiated since it was last emptied."""
        self.items: list[float] = []
        """What was taken out of tensors since it was last emptied."""
        self._operations: list[Operation] = []

    def take(self) -> list[Operation]:
        """The operations since the last call."""
        taken, self._operations = self._operations, []
        return taken

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by PyTorch in place of each of its functions."""
        watched = not self.paused and getattr(func, "__name__", "") not in _SILENT
        inputs = _digests(args) if watched else ()  # before the call, which may change them
        result = func(*args, **(kwargs or {}))
        if not watched:
            return result
        if func is Tensor.backward:
            self.roots.append(args[0].detach().cpu().numpy().copy())
        elif func is Tensor.item:
            self.items.append(float(result))
        elif isinstance(result, Tensor) and result.dtype.is_floating_point and 0 < result.numel() <= LARGEST_SEEN:
            self._operations.append(_operation(func.__name__, result, inputs, differentiated=bool(self.roots)))
        return result


def _digests(arguments: Sequence[Any]) -> tuple[bytes, ...]:
    return tuple(
        digest(argument.detach().cpu().numpy())
        for argument in arguments
        if isinstance(argument, Tensor) and argument.dtype.is_floating_point and argument.numel() <= LARGEST_KEPT
    )


def _operation(name: str, result: Tensor, inputs: tuple[bytes, ...], *, differentiated: bool) -> Operation:
    values = result.detach().cpu().numpy()
    code, line = _caller()
    kept = values.copy() if values.size <= LARGEST_KEPT else None
    return Operation(
        name, values.shape, digest(values), kept, inputs, code.co_filename, line, code.co_name, differentiated
    )


def _caller() -> tuple[CodeType, int]:
    """Of the innermost frame that belongs neither to PyTorch nor to what observes it."""
    frame = sys._getframe(3)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_TORCH):
        frame = frame.f_back
    return frame.f_code, frame.f_lineno
