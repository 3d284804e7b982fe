"""Builder of a run's trace: it collects arrays during the run, and makes the trace at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.quantities import ORDER, Moment, Place
from harness.crosscheck.tracing.trace import Operation, Trace, Transition

__all__ = ["TraceBuilder"]

Array = NDArray[Any]


class TraceBuilder:
    """Collector of everything recorded in one run; its attributes are those of `Trace`.

    n_steps: 0 if not known yet. shared: earlier trace of the same case, whose arrays are used where they are equal:
    weights of image policies take 7 MB each.
    """

    def __init__(self, name: str, *, n_steps: int = 0, n_envs: int = 0, shared: Trace | None = None) -> None:
        self.name = name
        self.n_steps = n_steps
        self.n_envs = n_envs
        self.parameters: tuple[tuple[str, tuple[int, ...]], ...] = ()
        self.optimizer = ""
        self.transitions: dict[int, Transition] = {}
        self.random_states: dict[int, Any] = {}
        self._shared = shared
        self._arrays: dict[Place, Array] = {}
        self._moments: dict[Moment, None] = {}
        self._operations: dict[Moment, list[Operation]] = {}
        self._losses: dict[Moment, list[Array]] = {}
        self._reported: dict[Moment, list[float]] = {}

    def put(self, step: int, minibatch: int, quantity: str, array: Array) -> None:
        """Record a copy of an array at a place; it replaces an earlier one."""
        place = Place(step, minibatch, ORDER[quantity])
        known = None if self._shared is None else self._shared.arrays.get(place)
        # Of the many runs of a search, most arrays are equal to the baseline's.
        equal = known is not None and known.dtype == array.dtype and np.array_equal(known, array)
        self._arrays[place] = known if known is not None and equal else np.array(array)
        self._moments.setdefault((step, minibatch))

    def remove(self, step: int, minibatch: int, quantity: str) -> None:
        """Remove the array at a place, if there is one."""
        self._arrays.pop(Place(step, minibatch, ORDER[quantity]), None)

    def add_operations(self, moment: Moment, operations: list[Operation], reported: list[float]) -> None:
        """Append operations, and scalars read out of tensors, to those of a moment."""
        self._operations.setdefault(moment, []).extend(operations)
        self._reported.setdefault(moment, []).extend(reported)

    def add_losses(self, moment: Moment, losses: list[Array]) -> list[Array]:
        """Append tensors that were differentiated to those of a moment, and return all of them."""
        known = self._losses.setdefault(moment, [])
        known.extend(losses)
        return known

    def live(self) -> Trace:
        """Return a view of the run so far.

        Its mappings are the builder's own and keep growing, so that a run can be compared after each step without a
        copy. Use `finish` for a trace that is to be kept.
        """
        return Trace(
            self.name,
            n_steps=self.n_steps,
            n_envs=self.n_envs,
            arrays=self._arrays,
            moments=self._moments,
            operations=self._operations,
            losses=self._losses,
            reported=self._reported,
            parameters=self.parameters,
            optimizer=self.optimizer,
            transitions=self.transitions,
            random_states=self.random_states,
        )

    def finish(self, error: str | None = None) -> Trace:
        """Return the trace of the run, independent of this builder; error: exception that ended it, in one line."""
        return replace(
            self.live(),
            arrays=dict(self._arrays),
            moments=dict(self._moments),
            operations={moment: tuple(found) for moment, found in self._operations.items()},
            losses={moment: tuple(found) for moment, found in self._losses.items()},
            reported={moment: tuple(found) for moment, found in self._reported.items()},
            transitions=dict(self.transitions),
            random_states=dict(self.random_states),
            error=error,
        )
