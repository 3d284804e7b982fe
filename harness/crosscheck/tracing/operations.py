"""A log of the tensor operations of an update, with the source line of each.

What an implementation keeps in local variables (normalised advantages, ratios, the terms of the loss) is visible
here, whatever it calls them and however its code is cut: PyTorch tells a mode of every function that is called.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

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
        self._operations: list[Operation] = []

    def take(self) -> list[Operation]:
        """The operations since the last call."""
        taken, self._operations = self._operations, []
        return taken

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by PyTorch in place of each of its functions."""
        result = func(*args, **(kwargs or {}))
        if not self.paused and isinstance(result, Tensor) and result.dtype.is_floating_point:
            name = getattr(func, "__name__", "")
            if name not in _SILENT and 0 < result.numel() <= LARGEST_SEEN:
                self._operations.append(_operation(name, result))
        return result


def _operation(name: str, result: Tensor) -> Operation:
    values = result.detach().cpu().numpy()
    frame = _caller()
    kept = values.copy() if values.size <= LARGEST_KEPT else None
    return Operation(name, values.shape, digest(values), kept, frame.f_code.co_filename, frame.f_lineno)


def _caller() -> FrameType:
    """The innermost frame that belongs neither to PyTorch nor to what observes it."""
    frame = sys._getframe(3)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_TORCH):
        frame = frame.f_back
    return frame
