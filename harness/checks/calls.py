"""Call of a subject, whose exceptions, changed arguments and unusable results are findings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.checks.case import Array, FunctionCheck, Inputs, Outputs, UnusableError

__all__ = ["SubjectError", "as_array", "call_subject"]


class SubjectError(Exception):
    """Error of a subject that raised, changed its arguments, or returned an unusable result; see the message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        """"raised", "changed" or "unusable"."""


def call_subject(check: FunctionCheck, subject: Callable[..., Any], inputs: Inputs) -> Outputs:
    """Return the subject's results for these inputs; raise SubjectError if they cannot be compared."""
    arguments = check.arrange(inputs)
    given = {name: _handed_over(value, check, name) for name, value in arguments.items()}
    positional = [value for name, value in given.items() if name not in check.keywords]
    named = {name: value for name, value in given.items() if name in check.keywords}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # cases with huge ratios overflow on purpose
        try:
            result = subject(*positional, **named)
        except Exception as error:
            raise SubjectError("raised", f"raised {type(error).__name__}: {_one_line(error)}") from error
        changed = [name for name, value in arguments.items() if not _same(given[name], value)]
        if changed:
            raise SubjectError("changed", f"changes its argument {', '.join(changed)} in place: work on a copy")
        try:
            return check.read(result, inputs, given)
        except UnusableError as error:
            raise SubjectError("unusable", str(error)) from None


def as_array(result: Any, what: str) -> Array:
    """Return a number, list, array or tensor as an array of float64; raise UnusableError for anything else.

    what: noun for the result in the message.
    """
    try:
        if isinstance(result, Tensor):
            # NumPy has no bfloat16, and refuses sparse tensors and tensors without data.
            result = result.detach().cpu()
            array = (result.double() if result.is_floating_point() else result).numpy()
        else:
            array = np.asarray(result)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UnusableError(f"returned {_described(result)} for {what}, expected an array of numbers") from error
    if array.dtype.kind not in "fiub":
        raise UnusableError(f"returned {_described(result)} for {what}, expected an array of numbers")
    return np.asarray(array, np.float64)


def _described(result: Any) -> str:
    if isinstance(result, np.ndarray):
        return f"an array of {result.dtype}"
    if isinstance(result, Tensor):
        return f"a tensor of {result.dtype} with layout {result.layout} on {result.device}"
    return "None" if result is None else f"a {type(result).__name__}"


def _handed_over(value: Any, check: FunctionCheck, name: str) -> Any:
    """Return a copy, so that the subject cannot change the inputs of the case."""
    if not isinstance(value, np.ndarray):
        return value
    if not check.tensors:
        return value.copy()
    return torch.from_numpy(value.copy()).requires_grad_(name in check.leaves)


def _same(given: Any, original: Any) -> bool:
    if not isinstance(original, np.ndarray):
        return True
    now = given.detach().numpy() if isinstance(given, Tensor) else given
    return bool(now.shape == original.shape and np.array_equal(now, original, equal_nan=original.dtype.kind == "f"))


def _one_line(error: Exception) -> str:
    try:
        return " ".join(str(error).split()) or "(no message)"
    except Exception:  # __str__ of the subject's own exception
        return "(its message cannot be printed)"
