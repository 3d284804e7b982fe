"""Log of the tensor operations of an update, with the source line that called each.

It contains what an implementation keeps in local variables (normalised advantages, ratios, the terms of the loss),
whatever their names and however the code is organised: PyTorch passes every call of its functions to an active mode.
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

__all__ = ["MAX_KEPT_SIZE", "OperationLog"]

MAX_KEPT_SIZE = 4096
"""Size of a result, in elements, above which only its digest is kept."""

_MAX_LOGGED_SIZE = 1 << 20
"""Size of a result, in elements, above which it is not logged: its digest would take longer than the operation."""

_TRANSPARENT = ("torch.", "torch", "harness.crosscheck.tracing")
"""Prefixes of the names of modules whose frames do not count as the caller."""

_WITHOUT_ARITHMETIC = frozenset(("__get__", "detach", "clone", "requires_grad_", "zero_", "copy_", "to", "cpu", "data"))
"""Functions that compute no new values."""


class OperationLog(TorchFunctionMode):
    """Context that logs every operation with a floating-point result; `take` returns and forgets them."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.losses: list[NDArray[Any]] = []
        """Tensors differentiated since the log was last cleared."""
        self.scalars: list[float] = []
        """Values read out of tensors with `item` since the log was last cleared."""
        self._operations: list[Operation] = []

    def take(self) -> list[Operation]:
        """Return the operations since the last call, and forget them."""
        taken, self._operations = self._operations, []
        return taken

    def clear(self) -> None:
        """Forget operations, losses and scalars."""
        self._operations, self.losses, self.scalars = [], [], []

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch, and log it."""
        logged = not self.paused and getattr(func, "__name__", "") not in _WITHOUT_ARITHMETIC
        # Digests are taken before the call, since an operation in place (`add_`) overwrites its own input, and results
        # are copied after it, since a later one may overwrite them.
        inputs = _digests(args) if logged else ()
        result = func(*args, **(kwargs or {}))
        if not logged:
            return result
        # Neither backward nor item returns a tensor. The first identifies the loss among all results of operations; the
        # second identifies the scalars that the implementation logs.
        if func is Tensor.backward:
            self.losses.append(args[0].detach().cpu().numpy().copy())
        elif func is Tensor.item:
            self.scalars.append(float(result))
        elif isinstance(result, Tensor) and result.dtype.is_floating_point and 0 < result.numel() <= _MAX_LOGGED_SIZE:
            self._operations.append(_operation(func.__name__, result, inputs, after_backward=bool(self.losses)))
        return result


def _digests(arguments: Sequence[Any]) -> tuple[bytes, ...]:
    """Return the digests of the small floating-point tensors among the arguments."""
    return tuple(
        digest(argument.detach().cpu().numpy())
        for argument in arguments
        if isinstance(argument, Tensor) and argument.dtype.is_floating_point and argument.numel() <= MAX_KEPT_SIZE
    )


def _operation(name: str, result: Tensor, inputs: tuple[bytes, ...], *, after_backward: bool) -> Operation:
    values = result.detach().cpu().numpy()
    code, line = _calling_line()
    kept = values.copy() if values.size <= MAX_KEPT_SIZE else None
    return Operation(
        name, values.shape, digest(values), kept, inputs, code.co_filename, line, code.co_name, after_backward
    )


def _calling_line() -> tuple[CodeType, int]:
    """Return code and line of the innermost frame that belongs neither to PyTorch nor to the tracing."""
    # Layers and distributions are Python code of torch, but authors must see the line of their own PPO that called the
    # layer, not one in torch/nn/modules/linear.py. Three frames up is the caller of __torch_function__.
    frame = sys._getframe(3)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_TRANSPARENT):
        frame = frame.f_back
    return frame.f_code, frame.f_lineno
