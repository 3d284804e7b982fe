"""Record of one training run. It holds plain arrays, so it can be compared, pickled and kept without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.quantities import ORDER, Moment, Place

__all__ = ["BufferRow", "Operation", "Trace", "Transition", "digest"]

Array = NDArray[Any]

BufferRow = tuple[int, int]
"""Rank of a stored quantity, and its row in the rollout buffer, from 1."""


@dataclass(frozen=True)
class Operation:
    """One tensor operation of an update, and the source line that called it."""

    name: str
    """Name of the function, such as "mse_loss"."""
    shape: tuple[int, ...]
    digest: bytes
    """Digest of the result without its sign: a loss and minus a loss have the same."""
    values: Array | None
    """Result; None if it is large."""
    inputs: tuple[bytes, ...]
    """Digests of the small tensors among its inputs."""
    file: str
    line: int
    function: str
    after_backward: bool = False
    """True if a loss of this minibatch was differentiated before, as for the operations that clip the gradient."""


@dataclass(frozen=True)
class Transition:
    """Observations, rewards, ends and infos that the vectorised environment returns for one step."""

    observations: Any
    rewards: Array
    dones: Array
    infos: list[dict[str, Any]]


@dataclass(frozen=True)
class Trace:
    """Arrays of one run at their places, with further data that help to explain them. Made by a `TraceBuilder`."""

    name: str
    """Name of the implementation."""
    n_steps: int = 0
    """Number of steps in a rollout; 0 if the implementation has no rollouts."""
    n_envs: int = 0
    arrays: Mapping[Place, Array] = field(default_factory=dict)
    moments: dict[Moment, None] = field(default_factory=dict)
    """Moments at which an array was recorded, in the order of recording."""
    operations: Mapping[Moment, Sequence[Operation]] = field(default_factory=dict)
    """Operations since the minibatch (or the step) before."""
    losses: Mapping[Moment, Sequence[Array]] = field(default_factory=dict)
    """Tensors that were differentiated."""
    reported: Mapping[Moment, Sequence[float]] = field(default_factory=dict)
    """Scalars read out of tensors, mostly to log them."""
    parameters: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Name and shape of every weight, in the order in which `parameters` and `gradient` hold them."""
    optimizer: str = ""
    """Kind and settings of the optimisers that made steps; "" if none was found."""
    transitions: Mapping[int, Transition] = field(default_factory=dict)
    """Step -> outputs of the environments; 0 for the first reset. Empty unless the run can feed others."""
    random_states: Mapping[int, Any] = field(default_factory=dict)
    """Step -> states of the global generators when the environments were called; 0 before training."""
    idle: frozenset[str] = frozenset()
    """Names of the quantities without effect under these settings, which need not be computed."""
    error: str | None = None
    """Exception that ended the run, in one line."""

    def get(self, step: int, minibatch: int, quantity: str) -> Array | None:
        """Return the array at a place, or None."""
        return self.arrays.get(Place(step, minibatch, ORDER[quantity]))

    @property
    def recorded_ranks(self) -> frozenset[int]:
        """Ranks of the quantities recorded at any moment."""
        return frozenset(place.rank for place in self.arrays)

    def iteration(self, step: int) -> int:
        """Return the number of the rollout, from 1, that a step of the environments belongs to."""
        return max(step - 1, 0) // self.n_steps + 1 if self.n_steps else 1

    def buffer_row(self, place: Place) -> BufferRow:
        """Return the row of the rollout buffer that a stored array is in; every rollout has the same rows."""
        return place.rank, (place.step - 1) % max(self.n_steps, 1) + 1


def digest(array: Array) -> bytes:
    """Return 16 bytes that are equal for equal arrays and for their negatives, regardless of shape."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "f":
        # Some implementations minimise a loss, others maximise its negative, so the sign is normalised: the first
        # element that is not zero becomes positive. Adding zero turns -0.0, which has other bytes, into 0.0.
        nonzero = np.flatnonzero(flat)
        if len(nonzero) and flat[nonzero[0]] < 0:
            flat = -flat
        flat = flat + 0
    return hashlib.blake2b(flat.tobytes(), digest_size=16).digest()
