"""The first place at which two traces part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.comparing.dead_values import Row, row_of, without_consequence
from harness.crosscheck.quantities import ORDER, QUANTITIES, Place
from harness.crosscheck.tracing.trace import Trace, digest

__all__ = [
    "ROUNDING",
    "Comparison",
    "Divergence",
    "Moment",
    "Watched",
    "compare",
    "divergences_at",
    "gap",
    "nearly",
    "same",
]

Array = NDArray[Any]
Moment = tuple[int, int]
"""Step of the environments, and minibatch of the update that follows."""

ROUNDING = 1e-5
"""Numbers that differ by less than this share of the largest among them may have been computed in another order."""

_POLICY = ("batch_observation", "new_log_prob", "old_log_prob", "batch_advantage")
_VALUE = ("batch_observation", "new_value", "old_value", "batch_return")
_TERMS: Mapping[str, Sequence[str]] = {
    "batch_observation": (),
    "new_value": ("batch_observation",),
    "new_log_prob": ("batch_observation",),
    "entropy": ("batch_observation",),
    "old_value": (),
    "old_log_prob": (),
    "batch_advantage": (),
    "batch_return": (),
    "normalized_advantage": ("batch_advantage",),
    "ratio": ("new_log_prob", "old_log_prob"),
    "surrogate": (*_POLICY, "normalized_advantage", "ratio"),
    "policy_loss": (*_POLICY, "normalized_advantage", "ratio", "surrogate"),
    "predicted_value": ("batch_observation", "new_value", "old_value"),
    "value_loss": (*_VALUE, "predicted_value"),
    "entropy_loss": ("batch_observation", "entropy"),
}
_PART_OF_POLICY = (*_TERMS["policy_loss"], "policy_loss")
MADE_OF: Mapping[str, Sequence[str]] = {**_TERMS, "loss": tuple(name for name in _TERMS if name not in _PART_OF_POLICY)}
"""What an implementation may keep in local variables, and what each is made of. It is looked for among the results of
all operations; who has the right surrogate without ever computing a ratio has no need for it. Of the policy's part the
whole loss says nothing: normalised advantages have a mean of zero, whatever they are divided by."""
LOCAL: Mapping[int, frozenset[int]] = {
    ORDER[name]: frozenset(ORDER[part] for part in parts) for name, parts in MADE_OF.items()
}
SUMMANDS: Mapping[int, Sequence[str]] = {
    ORDER["policy_loss"]: ("surrogate",),
    ORDER["loss"]: ("surrogate", "value_loss", "entropy_loss"),
}
"""What may cancel out: normalised advantages have a mean of zero. Rounding is a share of what was summed."""
SEEN_OF_ALL = frozenset(
    ORDER[name] for name in ("observation", "env_action", "env_reward", "done", "acting_randomness", "final_randomness")
)
"""What every implementation shows: where it is not there, it has not come about."""
KEPT_BY_ALL = ORDER["normalized_advantage"]
"""From this rank on, even those whose policy and buffer can be looked into keep what they compute to themselves."""
DECISIVE = tuple(ORDER[name] for name in ("gradient", "clipped_gradient", "parameters"))
"""Where these agree, it does not matter how they came about."""


@dataclass(frozen=True)
class Divergence:
    """A number that differs."""

    place: Place
    kind: Literal["value", "shape", "missing", "extra", "error"]
    """missing, extra: the subject has no such number, or has one where the reference has none."""
    ours: Array | None
    """The subject's; None where it is not there, or not shown."""
    theirs: Array | None
    size: float
    """Largest difference as a share of the largest of their numbers."""

    @property
    def beyond_rounding(self) -> bool:
        """Whether another order of the same operations cannot be the reason."""
        return self.kind != "value" or not self.size <= ROUNDING

    @cached_property
    def index(self) -> tuple[int, ...] | None:
        """Of the first element that differs, in the shape of theirs; None where elements cannot be compared."""
        if self.ours is None or self.theirs is None or self.ours.size != self.theirs.size:
            return None
        different = ~same(self.theirs.reshape(-1), self.ours.reshape(-1))
        first = int(np.flatnonzero(different)[0]) if different.any() else 0
        return tuple(int(i) for i in np.unravel_index(first, self.theirs.shape)) if self.theirs.shape else ()

    @cached_property
    def ratio(self) -> float | None:
        """Ours by theirs, where it is the same for all elements that differ."""
        if self.ours is None or self.theirs is None or self.ours.size != self.theirs.size:
            return None
        theirs, ours = (array.reshape(-1).astype(np.float64) for array in (self.theirs, self.ours))
        different = ~same(theirs, ours) & (theirs != 0)
        if not different.any() or (~same(theirs, ours) & (theirs == 0)).any():
            return None
        ratios = ours[different] / theirs[different]
        return float(np.median(ratios)) if np.ptp(ratios) <= 1e-3 * abs(np.median(ratios)) else None


@dataclass(frozen=True)
class Comparison:
    """Two traces side by side."""

    first: Divergence | None
    """Of any size; None where every bit agrees."""
    first_beyond_rounding: Divergence | None
    n_compared: int
    """Numbers that both show."""
    largest: Mapping[tuple[int, int], float]
    """(iteration, minibatch) -> the largest difference, as a share; minibatch 0 is the rollout before the update.
    Infinite for what is missing, and for what has no size, such as another choice."""
    without_consequence: tuple[Divergence, ...] = ()
    """What differs and has no part in anything that follows; in none of the others."""


class Watched:
    """A trace, made ready to be searched.

    ignored: rows of the memory of which nothing is made, and so nothing is said.
    """

    def __init__(self, trace: Trace, ignored: frozenset[Row] = frozenset()) -> None:
        self.trace = trace
        self.ignored = ignored

    @cached_property
    def moments(self) -> list[Moment]:
        """All at which something was seen, in order."""
        return sorted(self.trace.moments)

    @cached_property
    def sees(self) -> frozenset[int]:
        """Ranks of what can be compared."""
        searchable = frozenset(LOCAL) if self.trace.operations else frozenset[int]()
        moved = frozenset((ORDER["parameters"],)) if self.trace.optimizer else frozenset[int]()
        return self.named | searchable | moved | SEEN_OF_ALL

    @cached_property
    def named(self) -> frozenset[int]:
        """Ranks of what was seen under its name."""
        return self.trace.sees

    def search(self, moment: Moment, wanted: Array) -> Array | None:
        """A result of an operation with these numbers (or minus these), exactly or nearly; None if there is none.

        What goes into an operation counts, too: NumPy may have computed it.
        """
        if digest(wanted) in self._digests(moment):
            return wanted
        operations = self.trace.operations.get(moment, ())
        return next(
            (found for operation in operations if (found := nearly(operation.values, wanted)) is not None), None
        )

    def _digests(self, moment: Moment) -> set[bytes]:
        if moment not in self._known:
            operations = self.trace.operations.get(moment, [])
            self._known[moment] = {key for op in operations for key in (op.digest, *op.inputs)}
        return self._known[moment]

    @cached_property
    def _known(self) -> dict[Moment, set[bytes]]:
        return {}


def compare(reference: Trace, subject: Trace | Watched) -> Comparison:
    """Everything that both traces show, in order.

    The reference has names for all its numbers; those that the subject does not name are searched for.
    """
    watched = subject if isinstance(subject, Watched) else Watched(subject)
    visible = reference.sees & watched.sees
    largest: dict[tuple[int, int], float] = {}
    moments = sorted({*reference.moments, *watched.moments})
    endings = {(p.step, p.minibatch) for p in reference.numbers if p.rank == ORDER["final_randomness"]}
    found = {moment: list(divergences_at(reference, watched, moment, visible)) for moment in moments}
    everything = [divergence for moment in moments for divergence in found[moment]]
    idle = without_consequence(reference, watched.trace, everything, visible)
    harmless = {divergence.place for divergence in idle}
    everything = [divergence for divergence in everything if divergence.place not in harmless]
    first = next(iter(everything), None)
    beyond = next((divergence for divergence in everything if divergence.beyond_rounding), None)
    for moment in moments:
        key = reference.iteration(moment[0]), moment[1]
        if moment not in endings:
            largest.setdefault(key, 0.0)
        if key in largest:
            sizes = (divergence.size for divergence in found[moment] if divergence.place not in harmless)
            largest[key] = max(largest[key], *sizes, 0.0)
    if watched.trace.error is not None:
        ending = Place(*(watched.moments[-1] if watched.moments else (0, 0)), len(QUANTITIES) - 1)
        if beyond is None or beyond.kind == "missing":
            beyond = Divergence(ending, "error", None, None, np.inf)
            first = first if first is not None and first.kind != "missing" else beyond
    n_compared = sum(place.rank in visible for place in reference.numbers)
    return Comparison(first, beyond, n_compared, largest, idle)


def divergences_at(reference: Trace, subject: Watched, moment: Moment, visible: frozenset[int]) -> Iterator[Divergence]:
    """What differs at one moment, in order.

    Of what an implementation keeps to itself, only that is reported which shows in its gradient.
    """
    pending: list[Divergence] = []
    for rank in sorted(visible):
        place = Place(*moment, rank)
        theirs, ours = reference.numbers.get(place), subject.trace.numbers.get(place)
        if theirs is None and ours is None:
            continue
        if subject.ignored and row_of(place, reference) in subject.ignored:
            continue
        if rank in LOCAL and (rank >= KEPT_BY_ALL or rank not in subject.named):
            if theirs is None:
                continue
            if ours is None:
                if place.quantity in reference.idle or not subject.trace.operations.get(moment):
                    continue
                ours = _reported(reference, subject.trace, moment, theirs)
                if ours is None:
                    ours = subject.search(moment, theirs)
            found = Divergence(place, "value", None, theirs, np.inf) if ours is None else gap(place, theirs, ours)
            divergence = _as_share_of_summands(found, reference)
            if _tells(theirs) and (divergence is None or not divergence.beyond_rounding):
                pending = [other for other in pending if other.place.rank not in LOCAL[rank]]
            if divergence is not None:
                pending.append(divergence)
            continue
        divergence = gap(place, theirs, ours)
        if divergence is None:
            if rank in DECISIVE:
                pending = []
            continue
        if rank in DECISIVE:
            for other in pending:  # how much those differ that were not found shows in the gradient
                yield replace(other, size=divergence.size) if other.ours is None else other
            pending = []
        yield divergence


def nearly(found: Array | None, wanted: Array) -> Array | None:
    """The numbers found, or minus these, in the shape of the wanted ones, if they are these but for rounding."""
    if found is None or found.size != wanted.size:
        return None
    scale = float(np.abs(wanted).max(initial=0))
    same_shape = found.reshape(wanted.shape)
    candidates = (same_shape, -same_shape)
    return next((one for one in candidates if np.abs(one - wanted).max(initial=0) <= ROUNDING * scale), None)


def _as_share_of_summands(divergence: Divergence | None, reference: Trace) -> Divergence | None:
    if divergence is None or divergence.place.rank not in SUMMANDS:
        return divergence
    ours, theirs, (step, minibatch, rank) = divergence.ours, divergence.theirs, divergence.place
    if ours is None or theirs is None or divergence.kind != "value":
        return divergence
    summed = [reference.get(step, minibatch, name) for name in SUMMANDS[rank]]
    scale = max(float(np.abs(array).max(initial=0)) for array in (theirs, *summed) if array is not None)
    size = float(np.abs(ours.reshape(-1).astype(np.float64) - theirs.reshape(-1)).max()) / (scale or np.inf)
    return replace(divergence, size=size) if np.isfinite(size) else divergence


def _reported(reference: Trace, subject: Trace, moment: Moment, theirs: Array) -> Array | None:
    """A term of the loss as the subject itself reports it, where it reports as many numbers as the reference does."""
    reported, expected = subject.reported.get(moment, []), reference.reported.get(moment, [])
    if theirs.size != 1 or len(reported) != len(expected) or float(theirs) not in expected:
        return None
    return np.array(reported[expected.index(float(theirs))], dtype=theirs.dtype).reshape(theirs.shape)


def _tells(array: Array) -> bool:
    """Whether what it is made of must be right if it is.

    A loss of (nearly) zero comes about in many ways, and so do ratios that are all one.
    """
    if array.size == 1:
        return bool(np.abs(array).max() > ROUNDING)
    return bool(np.ptp(array) > ROUNDING * np.abs(array).max(initial=0))


def gap(place: Place, theirs: Array | None, ours: Array | None) -> Divergence | None:
    """How two arrays differ; None where every number is the same. Shapes may differ by dimensions of one."""
    if theirs is None or ours is None:
        return Divergence(place, "extra" if theirs is None else "missing", ours, theirs, np.inf)
    if theirs.size != ours.size:
        return Divergence(place, "shape", ours, theirs, np.inf)
    a, b = theirs.reshape(-1), ours.reshape(-1)
    equal = same(a, b)
    if equal.all():
        return None
    if theirs.dtype.kind in "biu":
        return Divergence(place, "value", ours, theirs, np.inf)
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        largest = float(np.max(np.where(equal, 0.0, np.abs(x - y))))
        scale = float(np.max(np.abs(np.where(np.isfinite(x), x, 0.0)), initial=0.0))
    size = largest / scale if scale else np.inf
    return Divergence(place, "value", ours, theirs, float("inf") if np.isnan(size) else size)


def same(a: Array, b: Array) -> NDArray[np.bool_]:
    """For each number whether it is the same on both sides; NaN is the same as NaN."""
    equal: NDArray[np.bool_] = a == b
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        equal = equal | (np.isnan(a) & np.isnan(b))
    return equal
