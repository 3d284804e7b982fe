"""Recording of a run's arrays, each at the run's position in time.

Two events determine the position of any implementation: a step of the environments, and a step of the optimisers,
which ends a minibatch.

In a fed run the recorder also returns, for every recorded array, another trace's array at the same place, so that each
stage gets right inputs even if the stages before it are wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from harness.crosscheck.tracing.operation_log import OperationLog
from harness.crosscheck.tracing.randomness import randomness_digest
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.trace_builder import TraceBuilder

__all__ = ["Recorder", "StopTracing", "as_array"]

Array = NDArray[Any]


class StopTracing(BaseException):
    """Signal that ends a run once enough is recorded. Not an Exception, since implementations may catch those."""


class Recorder:
    """Recorder of a run's arrays, each at the run's current step and minibatch.

    builder: accumulates the trace. fed_from: trace whose arrays replace those of the run; None unless it is a fed run.
    operations: log from which operations are collected; None if they are not needed.
    """

    def __init__(
        self, builder: TraceBuilder, *, fed_from: Trace | None = None, operations: OperationLog | None = None
    ) -> None:
        self.builder = builder
        self.fed_from = fed_from
        self.operations = operations
        self.step = 0
        self.n_minibatches = 0
        """Number of minibatches completed since the last step of the environments."""
        self.on_progress: Callable[[], None] = _do_nothing
        """Called when a step or a minibatch is complete."""
        self._upcoming: dict[str, Array] = {}

    @property
    def minibatch(self) -> int:
        """Number of the current minibatch of the update, from 1."""
        return self.n_minibatches + 1

    def record_upcoming(self, quantity: str, array: Any) -> Array:
        """Record an array that belongs to the next step of the environments; return the array that the run must use.

        The policy acts before that step is made, and may act more than once: the last array counts.
        """
        self._upcoming[quantity] = as_array(array).copy()
        return self.fed_array(self.step + 1, 0, quantity, self._upcoming[quantity])

    def begin_step(self) -> None:
        """Advance to the next step of the environments, which are about to be called."""
        self.on_progress()
        self.step += 1
        self.n_minibatches = 0
        for quantity, array in self._upcoming.items():
            self.builder.put(self.step, 0, quantity, array)
        self._upcoming = {}
        self.builder.put(self.step, 0, "acting_randomness", randomness_digest())
        # Generators are read exactly here, between the draws for the actions and those of the environments.
        # Operations of acting belong to no minibatch.
        if self.operations is not None:
            self.operations.clear()

    def record_step(self, quantity: str, array: Any) -> Array:
        """Record an array of the current step, outside of an update; return the array that the run must use."""
        array = as_array(array)
        self.builder.put(self.step, 0, quantity, array)
        return self.fed_array(self.step, 0, quantity, array)

    def record_minibatch(self, quantity: str, array: Any, minibatch: int | None = None) -> Array:
        """Record an array of a minibatch (by default the current one); return the array that the run must use."""
        array = as_array(array)
        self.builder.put(self.step, minibatch or self.minibatch, quantity, array)
        return self.fed_array(self.step, minibatch or self.minibatch, quantity, array)

    def collect_operations(self) -> None:
        """Assign all operations logged so far to the current minibatch."""
        if self.operations is None:
            return
        moment = self.step, self.minibatch
        self.builder.add_operations(moment, self.operations.take(), self.operations.scalars)
        losses = self.builder.add_losses(moment, self.operations.losses)
        # A single differentiated tensor is the loss. If there are several (one per optimiser, say), none of them is the
        # loss, so the first one, recorded as the loss before the second was known, is removed again.
        if len(losses) == 1 and self.operations.losses:
            self.record_minibatch("loss", losses[0])
        elif len(losses) > 1:
            self.builder.remove(*moment, "loss")
        self.operations.clear()

    def end_minibatch(self) -> None:
        """Advance to the next minibatch: the optimisers have made their step."""
        self.n_minibatches += 1
        self.on_progress()

    def fed_array(self, step: int, minibatch: int, quantity: str, array: Array) -> Array:
        """Return the array that the run must use: its own, or in a fed run the other trace's at this place.

        Arrays of another size, or missing in the other trace, are not replaced.
        """
        other = None if self.fed_from is None else self.fed_from.get(step, minibatch, quantity)
        # Shape and type stay the run's own: an array that made the code after it fail would hide all later stages.
        if other is None or other.size != array.size:
            return array
        return other.reshape(array.shape).astype(array.dtype, copy=True)


def _do_nothing() -> None:
    """Ignore progress."""


def as_array(array: Any) -> Array:
    """Return a tensor, a list or a number as an array; a dict of arrays as one vector, in the order of its keys."""
    if isinstance(array, Tensor):
        return array.detach().cpu().numpy()
    if isinstance(array, dict):
        return np.concatenate([as_array(array[key]).reshape(-1).astype(np.float64) for key in sorted(array)])
    return np.asarray(array)
