"""Source lines where an implementation's update departs from the reference's."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.comparing.divergence import equal_up_to_rounding
from harness.crosscheck.quantities import Moment
from harness.crosscheck.tracing.trace import Operation, Trace, digest

__all__ = ["SourceLine", "first_unshared_line", "most_similar_result"]

Array = NDArray[Any]

_MIN_CORRELATION = 0.5
"""Absolute correlation above which a result may take the place of an array."""

_MIN_GAIN = 1e-6
"""Difference of two correlations below which the later result counts as a linear function of the earlier one."""


@dataclass(frozen=True)
class SourceLine:
    """Line of source code that called a tensor operation."""

    file: str
    line: int
    function: str
    code: str
    """Text of the line; empty if its file cannot be read."""
    operation: str
    """Name of the tensor operation."""
    of: tuple[str, ...]
    """Names of the known quantities among its inputs."""
    result: float | None
    """Result of the operation, if it is a single number."""

    def __str__(self) -> str:
        where = f"{os.path.basename(self.file)}:{self.line}"
        return f"{where}: {self.code}" if self.code else f"{where}, in {self.function}: {self.operation}"


def first_unshared_line(
    trace: Trace, other: Trace, moment: Moment, names: Trace, *, after_backward: bool = True
) -> SourceLine | None:
    """Return the line of the first operation of `trace` whose result `other` does not have; None if all are shared.

    names: trace that names the quantities of this moment, to tell what the operation reads.
    after_backward: also consider operations after the loss was differentiated.
    """
    found = [
        operation
        for operation in _unshared_operations(trace, other, moment)
        if after_backward or not operation.after_backward
    ]
    # Operations that enter the loss come first. Implementations compute much only to log it (a KL estimate, a clip
    # fraction), often before the loss is complete; such lines are named only if nothing else is left.
    ingredients = _ingredients_of_losses(trace, moment)
    found.sort(key=lambda operation: not operation.after_backward and operation.digest not in ingredients)
    return _source_line(found[0], moment, names) if found else None


def _ingredients_of_losses(trace: Trace, moment: Moment) -> set[bytes]:
    """Return the digests of the losses of a minibatch and of everything that they are computed from."""
    found = {digest(loss) for loss in trace.losses.get(moment, ())}
    for operation in reversed(trace.operations.get(moment, ())):
        if operation.digest in found:
            found.update(operation.inputs)
    return found


def most_similar_result(trace: Trace, other: Trace, moment: Moment, wanted: Array) -> Array | None:
    """Return the result of `trace` that most likely takes the place of an array of `other`; None if none is similar.

    It is the unshared result of that size with the largest absolute correlation, or the first one for a single number.
    """
    best, similarity = None, _MIN_CORRELATION
    for operation in _unshared_operations(trace, other, moment):
        if operation.values is None or operation.values.size != wanted.size:
            continue
        found = operation.values.reshape(wanted.shape)
        if wanted.size == 1:  # scalars have no correlation
            return found
        with np.errstate(all="ignore"):  # a constant array has no correlation: NaN, which is never larger
            correlation = abs(float(np.corrcoef(found.reshape(-1), wanted.reshape(-1))[0, 1]))
        if correlation > similarity + _MIN_GAIN:
            best, similarity = found, correlation
    return best


def _unshared_operations(trace: Trace, other: Trace, moment: Moment) -> Iterator[Operation]:
    """Yield the operations of `trace` whose results `other` does not have, up to sign and rounding."""
    # Compared by result, never by name or position: the two may be written in any order, with other functions.
    others = other.operations.get(moment, ())
    known = {operation.digest for operation in others}
    for operation in trace.operations.get(moment, ()):
        if operation.digest not in known and not _may_be_shared(operation, others):
            yield operation


def _may_be_shared(operation: Operation, others: Sequence[Operation]) -> bool:
    """Return True if the result equals another's up to rounding, or was too large to be kept."""
    # In doubt an operation counts as shared: to name no line is better than to name one that is not the cause.
    values = operation.values
    return values is None or any(equal_up_to_rounding(other.values, values) is not None for other in others)


def _source_line(operation: Operation, moment: Moment, names: Trace) -> SourceLine:
    name_of = {
        digest(array): place.quantity
        for place, array in names.arrays.items()
        if place.moment == moment and array.dtype.kind == "f"
    }
    inputs = tuple(dict.fromkeys(name_of[key] for key in operation.inputs if key in name_of))
    values = operation.values
    return SourceLine(
        operation.file,
        operation.line,
        operation.function,
        linecache.getline(operation.file, operation.line).strip(),
        operation.name,
        inputs,
        float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None,
    )
