"""Traces written down by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.tracing.trace import Operation, Trace, digest

Numbers = Mapping[tuple[int, int, str], Any]


def trace(numbers: Numbers, operations: Mapping[tuple[int, int], Sequence[Operation]] | None = None) -> Trace:
    """Two environments, rollouts of four steps; numbers: (step, minibatch, quantity) -> array."""
    made = Trace("subject", n_steps=4, n_envs=2)
    for (step, minibatch, quantity), array in numbers.items():
        made.put(step, minibatch, quantity, np.asarray(array))
    made.operations = {moment: list(found) for moment, found in (operations or {}).items()}
    return made


def operation(values: Any, name: str = "mul", line: int = 1, inputs: Sequence[Any] = (), **more: Any) -> Operation:
    """Of a file that does not exist; inputs: the arrays that went in."""
    array = f32(values)
    digests = tuple(digest(f32(one)) for one in inputs)
    return Operation(name, array.shape, digest(array), array, digests, "/nowhere/ppo.py", line, "train", **more)


def f32(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)
