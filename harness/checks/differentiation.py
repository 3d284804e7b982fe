"""Common part of all gradient checks: the gradients of a function's result are compared with SB3's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.checks.calls import as_array
from harness.checks.case import Argument, Array, Case, FunctionCheck, Inputs, KnownMistake, Outputs, UnusableError
from harness.checks.known_mistakes import WrongLoss

__all__ = ["gradient_check", "gradient_of", "gradients"]

UNSETTLED = ("clip range 0", "ratio beyond float32, clipped")
"""Cases whose gradient depends on how the loss is written: exactly at the edge of the clip range, or infinity times 0.
"""


def gradients(result: Any, given: Mapping[str, Any], leaves: Sequence[str], *, one_number: bool) -> Outputs:
    """Return the gradients of a function's result with respect to `leaves`; raise UnusableError if there are none.

    result: a tensor, or a mapping with the gradient of each leaf. given: the arguments of the function.
    one_number: True for a loss of the minibatch, False for one number per row.
    """
    if isinstance(result, Mapping):
        if missing := [name for name in leaves if name not in result]:
            raise UnusableError(f"returned gradients without {', '.join(missing)}")
        return {gradient_of(name): as_array(result[name], f"the gradient of {name}") for name in leaves}
    if not isinstance(result, Tensor):
        raise UnusableError(
            f"returned a {type(result).__name__}, expected a PyTorch tensor "
            f"or a dict of gradients with {', '.join(leaves)}"
        )
    if one_number and result.numel() != 1:
        raise UnusableError(f"returned the shape {list(result.shape)}, expected one number: the loss of the minibatch")
    rows = len(given[leaves[0]])
    if not one_number and result.shape != (rows,):
        raise UnusableError(f"returned the shape {list(result.shape)}, expected one number for each row, [{rows}]")
    if not result.requires_grad:
        raise UnusableError("returned a tensor without a gradient: it was detached, or computed under no_grad")
    try:
        found = torch.autograd.grad(result.sum(), [given[name] for name in leaves], allow_unused=True)
    except RuntimeError as error:
        raise UnusableError(
            f"returned a tensor that cannot be differentiated: {' '.join(str(error).split())}"
        ) from error
    return {
        gradient_of(name): np.zeros(given[name].shape) if gradient is None else as_array(gradient, name)
        for name, gradient in zip(leaves, found, strict=True)
    }


def gradient_of(name: str) -> str:
    """Return the name of an argument's gradient in reports."""
    return f"gradient of {name}"


def gradient_check(
    calls: str,
    arguments: Mapping[str, Argument],
    cases: Iterator[Case],
    leaves: tuple[str, ...],
    expected: Callable[[Inputs], Mapping[str, Array]],
    size: Callable[[Inputs, str], Array],
    mistakes: Sequence[WrongLoss],
    *,
    one_number: bool = True,
    arrange: Callable[[Inputs], Inputs] = dict,
) -> FunctionCheck:
    """Return a check of gradients.

    expected: from inputs to SB3's gradient of each leaf; size: from inputs and a leaf to the size of its gradient's
    terms; mistakes: losses that are tried when a gradient is wrong.
    """
    check = FunctionCheck(
        name="check_gradient",
        calls=calls,
        arguments=arguments,
        cases=tuple(case for case in cases if case.name not in UNSETTLED),
        expected=lambda inputs, names: {gradient_of(name): array for name, array in expected(inputs).items()},
        read=lambda result, inputs, given: gradients(result, given, leaves, one_number=one_number),
        magnitude=lambda inputs, found: {
            gradient_of(name): np.abs(found[gradient_of(name)]) + size(inputs, name) for name in leaves
        },
        arrange=arrange,
        tensors=True,
        leaves=frozenset(leaves),
    )

    def evaluated(formula: Callable[..., Tensor], inputs: Inputs) -> Outputs:
        given = {
            name: torch.from_numpy(value.copy()).requires_grad_(name in leaves)
            if isinstance(value, np.ndarray)
            else value
            for name, value in inputs.items()
        }
        try:
            return gradients(formula(**given), given, leaves, one_number=one_number)
        except UnusableError as error:
            raise ValueError(str(error)) from error

    return replace(
        check,
        mistakes=[
            KnownMistake(wrong.id, wrong.hint, lambda inputs, loss=wrong.loss: evaluated(loss, arrange(inputs)))  # type: ignore[misc]
            for wrong in mistakes
        ],
    )
