"""Keeps track of where a run is, and remembers what is seen there.

Two things tell where a run is, whoever wrote it: a step of the environments begins the next place of acting, and a step
of the optimisers ends a minibatch.

A recorder can also *feed*: what it has seen is replaced by what another trace holds at the same place, so that each
stage gets right inputs, whatever the stages before it did.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.crosscheck.tracing.operation_log import OperationLog
from harness.crosscheck.tracing.trace import Trace, digest

__all__ = ["EnoughSeen", "Recorder", "as_array", "random_states", "randomness_digest", "restore_random_states"]

Array = NDArray[Any]


class EnoughSeen(BaseException):
    """Ends a run that needs no more watching. Not an Exception, so that no implementation takes it for its own."""


class Recorder:
    """Where a run is, and its trace.

    feed: a trace whose numbers replace those of the run.
    operations: a log to take the operations from; None where they are not wanted.
    """

    def __init__(self, trace: Trace, *, feed: Trace | None = None, operations: OperationLog | None = None) -> None:
        self.trace = trace
        self.feed = feed
        self.operations = operations
        self.step = 0
        self.n_minibatches = 0
        """Minibatches learnt from since the last step of the environments."""
        self.on_progress: Callable[[], None] = _nothing
        """Called when a step or a minibatch is complete."""
        self._pending: dict[str, Array] = {}

    @property
    def minibatch(self) -> int:
        """The minibatch that is being learnt from."""
        return self.n_minibatches + 1

    def acts(self, quantity: str, array: Any) -> Array:
        """A number that belongs to the step of the environments that comes next, of which the last one is kept."""
        self._pending[quantity] = as_array(array).copy()
        return self.fed(self.step + 1, 0, quantity, self._pending[quantity])

    def begin_step(self) -> None:
        """The environments are called."""
        self.on_progress()
        self.step += 1
        self.n_minibatches = 0
        for quantity, array in self._pending.items():
            self.trace.put(self.step, 0, quantity, array)
        self._pending = {}
        self.trace.put(self.step, 0, "acting_randomness", randomness_digest())
        if self.operations is not None:
            self.operations.take()  # those of acting are of no interest
            self.operations.items.clear()
            self.operations.roots.clear()

    def saw(self, quantity: str, array: Any) -> Array:
        """A number of the current step, outside of an update; returns what to go on with."""
        array = as_array(array)
        self.trace.put(self.step, 0, quantity, array)
        return self.fed(self.step, 0, quantity, array)

    def learns(self, quantity: str, array: Any, minibatch: int | None = None) -> Array:
        """A number of the current minibatch; returns what to go on with."""
        array = as_array(array)
        self.trace.put(self.step, minibatch or self.minibatch, quantity, array)
        return self.fed(self.step, minibatch or self.minibatch, quantity, array)

    def take_operations(self) -> None:
        """What was computed until now belongs to the current minibatch."""
        if self.operations is not None:
            key = self.step, self.minibatch
            self.trace.operations[key] = self.trace.operations.get(key, []) + self.operations.take()
            losses = self.trace.losses.setdefault(key, [])
            losses.extend(self.operations.roots)
            if len(losses) == 1 and self.operations.roots:
                self.learns("loss", losses[0])
            elif len(losses) > 1:  # of several losses, such as one for each optimiser, none is the loss
                self.trace.forget(*key, "loss")
            self.trace.reported.setdefault(key, []).extend(self.operations.items)
            self.operations.roots.clear()
            self.operations.items.clear()

    def end_minibatch(self) -> None:
        """The optimisers have made their step."""
        self.n_minibatches += 1
        self.on_progress()

    def fed(self, step: int, minibatch: int, quantity: str, array: Array) -> Array:
        """The array itself, or, in a fed run, what the other trace holds at this place."""
        if self.feed is None:
            return array
        other = self.feed.get(step, minibatch, quantity)
        if other is None or other.size != array.size:
            return array
        return other.reshape(array.shape).astype(array.dtype, copy=True)


def _nothing() -> None:
    """What happens on progress unless somebody asks for it."""


def as_array(array: Any) -> Array:
    """A tensor, a list or a number as an array; a dict of arrays as one vector, in the order of its keys."""
    if isinstance(array, Tensor):
        return array.detach().cpu().numpy()
    if isinstance(array, dict):
        return np.concatenate([as_array(array[key]).reshape(-1).astype(np.float64) for key in sorted(array)])
    return np.asarray(array)


def random_states() -> tuple[Any, Any, Any]:
    """Of Python's, NumPy's and torch's global generators."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  it is SB3's


def restore_random_states(states: tuple[Any, Any, Any]) -> None:
    """Set the three generators back."""
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


def randomness_digest() -> Array:
    """The states of torch's and NumPy's generators, 16 bytes each, uint8 [2, 16]."""
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
    of_numpy = digest(np.append(keys, np.uint32(position)))
    return np.frombuffer(digest(torch.get_rng_state().numpy()) + of_numpy, dtype=np.uint8).reshape(2, 16)
