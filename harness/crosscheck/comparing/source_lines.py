"""The source line of an implementation at which its update leaves the reference's."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.comparing.divergences import Moment, nearly
from harness.crosscheck.tracing.trace import Operation, Trace, digest

__all__ = ["Line", "counterpart", "first_foreign_line"]

Array = NDArray[Any]

_ALIKE = 0.5
"""Correlation from which on an array may be another's counterpart."""


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


def first_foreign_line(
    of: Trace, beside: Trace, moment: Moment, names: Trace, *, after_backward: bool = True
) -> Line | None:
    """The first operation in an update of `of` whose result `beside` never has; None where there is none.

    What the loss is made from comes first; other things, such as what is only logged, count where that shows nothing.

    names: a trace that has names for the quantities of this moment, to say what went in.
    after_backward: whether also those count that come after the loss was differentiated.
    """
    found = [operation for operation in _foreign(of, beside, moment) if after_backward or not operation.differentiated]
    ingredients = _ingredients(of, moment)
    found.sort(key=lambda operation: not operation.differentiated and operation.digest not in ingredients)
    return _line(found[0], moment, names) if found else None


def _ingredients(of: Trace, moment: Moment) -> set[bytes]:
    """Digests of all that its losses are made from, these included."""
    found = {digest(loss) for loss in of.losses.get(moment, ())}
    for operation in reversed(of.operations.get(moment, ())):
        if operation.digest in found:
            found.update(operation.inputs)
    return found


def counterpart(of: Trace, beside: Trace, moment: Moment, wanted: Array) -> Array | None:
    """What `of` most likely has in the place of an array of `beside`; None where nothing is like it.

    Of its foreign results of the same size it is the one that goes up and down with the array most; the first one for
    a single number.
    """
    best, likeness = None, _ALIKE
    for operation in _foreign(of, beside, moment):
        if operation.values is None or operation.values.size != wanted.size:
            continue
        found = operation.values.reshape(wanted.shape)
        if wanted.size == 1:
            return found
        with np.errstate(all="ignore"):
            correlation = abs(float(np.corrcoef(found.reshape(-1), wanted.reshape(-1))[0, 1]))
        if correlation > likeness + 1e-6:  # nearly equal ones are the same number, more or less processed
            best, likeness = found, correlation
    return best


def _foreign(of: Trace, beside: Trace, moment: Moment) -> Iterator[Operation]:
    others = beside.operations.get(moment, ())
    known = {operation.digest for operation in others}
    for operation in of.operations.get(moment, ()):
        if operation.digest not in known and not _nearly_known(operation, others):
            yield operation


def _nearly_known(operation: Operation, others: Sequence[Operation]) -> bool:
    """Whether the result is another's up to rounding, or too large to tell."""
    values = operation.values
    return values is None or any(nearly(other.values, values) is not None for other in others)


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
