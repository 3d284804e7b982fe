"""What was seen of one training run. Plain arrays: a trace can be compared, pickled and kept without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.quantities import ORDER, Place

__all__ = ["Operation", "Trace", "Transition", "digest"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Operation:
    """One tensor operation of an update, and where in whose source it stands."""

    name: str
    """Such as "mse_loss"."""
    shape: tuple[int, ...]
    digest: bytes
    """Of the result, with its sign left out: a loss and minus a loss have the same."""
    values: Array | None
    """The result; None where it is large."""
    inputs: tuple[bytes, ...]
    """Digests of the small tensors that went in."""
    file: str
    line: int
    function: str
    differentiated: bool = False
    """Whether it came after the loss was differentiated: it clips the gradient, say."""


@dataclass(frozen=True)
class Transition:
    """What the environments returned at one step."""

    observations: Any
    rewards: Array
    dones: Array
    infos: list[dict[str, Any]]


@dataclass
class Trace:
    """The numbers of one run at their places, and what else helps to explain them."""

    subject: str
    n_steps: int = 0
    n_envs: int = 0
    numbers: dict[Place, Array] = field(default_factory=dict)
    moments: dict[tuple[int, int], None] = field(default_factory=dict)
    """(step, minibatch) at which something was seen, as an ordered set."""
    operations: dict[tuple[int, int], list[Operation]] = field(default_factory=dict)
    """(step, minibatch) -> what was computed since the minibatch (or the step) before."""
    losses: dict[tuple[int, int], list[Array]] = field(default_factory=dict)
    """(step, minibatch) -> all that was differentiated."""
    reported: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """(step, minibatch) -> numbers that were taken out of tensors, mostly for the log."""
    parameters: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Name and shape of every weight, in the order in which `parameters` and `gradient` hold them."""
    optimizer: str = ""
    """Kind and settings of the optimiser."""
    transitions: dict[int, Transition] = field(default_factory=dict)
    """Step -> what the environments returned; 0 for the first reset. Kept only where a run is to be fed with it."""
    randomness: dict[int, Any] = field(default_factory=dict)
    """Step -> states of the global generators when the environments were called, kept for the same purpose."""
    idle: frozenset[str] = frozenset()
    """Quantities that these settings give no part in learning: who does not compute them does nothing wrong."""
    error: str | None = None
    """The exception that ended the run, in a line."""
    like: Trace | None = field(default=None, repr=False)
    """A trace whose arrays stand for equal ones of this: weights of image policies take 7 MB each."""

    def put(self, step: int, minibatch: int, quantity: str, array: Array) -> None:
        """Remember a copy; what was at this place is forgotten."""
        place = Place(step, minibatch, ORDER[quantity])
        known = None if self.like is None else self.like.numbers.get(place)
        equal = known is not None and known.dtype == array.dtype and np.array_equal(known, array)
        self.numbers[place] = known if known is not None and equal else np.array(array)
        self.moments.setdefault((step, minibatch))

    def forget(self, step: int, minibatch: int, quantity: str) -> None:
        """What was at this place turned out to be something else."""
        self.numbers.pop(Place(step, minibatch, ORDER[quantity]), None)

    def get(self, step: int, minibatch: int, quantity: str) -> Array | None:
        """What was seen at a place, or None."""
        return self.numbers.get(Place(step, minibatch, ORDER[quantity]))

    @property
    def sees(self) -> frozenset[int]:
        """Ranks of the quantities that were seen at all."""
        return frozenset(place.rank for place in self.numbers)

    def iteration(self, step: int) -> int:
        """The rollout, from 1, to which an environment step belongs."""
        return max(step - 1, 0) // self.n_steps + 1 if self.n_steps else 1


def digest(array: Array) -> bytes:
    """16 bytes that are equal for arrays with equal numbers, whatever their shape, and for their negatives."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "f":
        nonzero = np.flatnonzero(flat)
        if len(nonzero) and flat[nonzero[0]] < 0:
            flat = -flat
        flat = flat + 0  # -0.0 becomes 0.0
    return hashlib.blake2b(flat.tobytes(), digest_size=16).digest()
