"""Traces made of arrays that are written in the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.tracing.trace import Operation, Trace, digest
from harness.crosscheck.tracing.trace_builder import TraceBuilder

Arrays = Mapping[tuple[int, int, str], Any]


def trace(
    arrays: Arrays, operations: Mapping[tuple[int, int], Sequence[Operation]] | None = None, **more: Any
) -> Trace:
    """Two environments, rollouts of four steps; arrays: (step, minibatch, quantity) -> array; more: fields of Trace."""
    builder = TraceBuilder("subject", n_steps=4, n_envs=2)
    for (step, minibatch, quantity), array in arrays.items():
        builder.put(step, minibatch, quantity, np.asarray(array))
    return dataclasses.replace(builder.finish(), operations=operations or {}, **more)


def operation(values: Any, name: str = "mul", line: int = 1, inputs: Sequence[Any] = (), **more: Any) -> Operation:
    """An operation in a file that does not exist; inputs: the arrays that went in."""
    array = f32(values)
    digests = tuple(digest(f32(one)) for one in inputs)
    return Operation(name, array.shape, digest(array), array, digests, "/nowhere/ppo.py", line, "train", **more)


def f32(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)
