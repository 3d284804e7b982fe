"""The source line of an implementation at which its update leaves the reference's."""

from __future__ import annotations

import linecache
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.crosscheck.compare import ROUNDING, Moment
from harness.crosscheck.tracing.trace import Operation, Trace, digest

__all__ = ["Line", "first_foreign_line"]


@dataclass(frozen=True)
class Line:
    """A line of source code that computed something."""

    file: str
    line: int
    function: str
    code: str
    """The line itself; empty where its file is not to be had."""
    operation: str
    """Name of the tensor operation."""
    of: tuple[str, ...]
    """Which known quantities went in."""
    result: float | None
    """What came out, where it is a single number."""

    def __str__(self) -> str:
        where = f"{os.path.basename(self.file)}:{self.line}"
        return f"{where}: {self.code}" if self.code else f"{where}, in {self.function}: {self.operation}"


def first_foreign_line(of: Trace, beside: Trace, moment: Moment, names: Trace) -> Line | None:
    """The first operation in an update of `of` whose result `beside` never has; None where there is none.

    names: a trace that has names for the quantities of this moment, to say what went in.
    """
    known = {operation.digest for operation in beside.operations.get(moment, ())}
    for operation in of.operations.get(moment, ()):
        if operation.digest not in known and not _nearly_known(operation, beside.operations.get(moment, ())):
            return _line(operation, moment, names)
    return None


def _nearly_known(operation: Operation, others: Sequence[Operation]) -> bool:
    """Whether the result is another's up to rounding, or too large to tell."""
    values = operation.values
    if values is None:
        return True
    scale = float(np.abs(values).max(initial=0))
    for other in others:
        if other.values is not None and other.values.size == values.size:
            flat = other.values.reshape(values.shape)
            if min(np.abs(flat - values).max(initial=0), np.abs(flat + values).max(initial=0)) <= ROUNDING * scale:
                return True
    return False


def _line(operation: Operation, moment: Moment, names: Trace) -> Line:
    called = {
        digest(array): place.quantity
        for place, array in names.numbers.items()
        if (place.step, place.minibatch) == moment and array.dtype.kind == "f"
    }
    of = tuple(dict.fromkeys(called[key] for key in operation.inputs if key in called))
    values = operation.values
    return Line(
        operation.file,
        operation.line,
        operation.function,
        linecache.getline(operation.file, operation.line).strip(),
        operation.name,
        of,
        float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None,
    )
