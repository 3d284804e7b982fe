"""A divergence in words: where it is, what stands on both sides, and how the two are related."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.comparing.divergence import Divergence, equal_elements
from harness.crosscheck.quantities import QUANTITIES
from harness.crosscheck.reporting.weight_norms import layers_in_words
from harness.crosscheck.tracing.trace import Trace

__all__ = ["END_OF_TRAINING", "Finding", "finding"]

Array = NDArray[Any]

_SHOWN = 4
"""Numbers of an array that are printed."""

END_OF_TRAINING = "end of training"
"""Stands for `final_randomness` where one of the two has none: it has not come to its end there."""

_WEIGHTS = ("initial_parameters", "gradient", "clipped_gradient", "parameters")


@dataclass(frozen=True)
class Finding:
    """One divergence, ready to be printed or written as JSON."""

    quantity: str
    meaning: str
    iteration: int
    step: int
    """Of the environments, counted from the start of training."""
    step_of_rollout: int
    epoch: int | None
    minibatch: int | None
    """Of the update, from 1, through all its epochs; None while acting."""
    kind: str
    beyond_rounding: bool
    size: float | None
    """Largest difference as a share of the largest number; None where that makes no sense."""
    ratio: float | None
    """Ours by theirs, where it is the same everywhere."""
    element: str
    """Which element of the array differs first."""
    n_different: int | None
    n_elements: int | None
    ours: str
    theirs: str
    relation: str
    """How the two are related, in words."""

    @property
    def where(self) -> str:
        """Such as "iteration 1, epoch 1, minibatch 2"."""
        if self.step == 0:
            return "before the first step"
        if self.minibatch is None:
            return f"iteration {self.iteration}, step {self.step_of_rollout} of the rollout"
        if self.epoch is None:
            return f"iteration {self.iteration}, minibatch {self.minibatch}"
        return f"iteration {self.iteration}, epoch {self.epoch}, minibatch {self.minibatch}"


def finding(divergence: Divergence, reference: Trace, minibatches_per_epoch: int | None, error: str | None) -> Finding:
    """The divergence of a subject from this reference.

    minibatches_per_epoch: of the reference, None where there are no epochs. error: what ended the subject's run.
    """
    place = divergence.place
    quantity = QUANTITIES[place.rank]
    number = place.minibatch
    if quantity.name == "final_randomness" and divergence.kind != "error":
        number -= 1  # seen after the last minibatch, while the next was waited for
    epoch, minibatch = None, None
    if number > 0:
        minibatch = number
        if minibatches_per_epoch:
            epoch = (number - 1) // minibatches_per_epoch + 1
            minibatch = (number - 1) % minibatches_per_epoch + 1
    ends = quantity.name == "final_randomness" and divergence.kind != "value"
    going_on = ("it goes on", "it ends") if divergence.kind == "missing" else ("it ends", "it goes on")
    ours, theirs = divergence.ours, divergence.theirs
    comparable = ours is not None and theirs is not None and ours.size == theirs.size
    n_different = None
    if ours is not None and theirs is not None and comparable:
        n_different = int((~equal_elements(ours.reshape(-1), theirs.reshape(-1))).sum())
    iteration = reference.iteration(place.step)
    return Finding(
        quantity=END_OF_TRAINING if ends else quantity.name,
        meaning="whether training goes on after this" if ends else quantity.meaning,
        iteration=iteration,
        step=place.step,
        step_of_rollout=place.step - (iteration - 1) * reference.n_steps,
        epoch=epoch,
        minibatch=minibatch,
        kind=divergence.kind,
        beyond_rounding=divergence.beyond_rounding,
        size=divergence.size if math.isfinite(divergence.size) else None,
        ratio=divergence.ratio,
        element=_element(divergence, reference),
        n_different=n_different,
        n_elements=None if theirs is None else int(theirs.size),
        ours=going_on[0] if ends else _shown(ours, divergence, quantity.name),
        theirs=going_on[1] if ends else _shown(theirs, divergence, quantity.name),
        relation=_relation(divergence, error, reference),
    )


def _element(divergence: Divergence, reference: Trace) -> str:
    """The first one that differs, by name where it has one."""
    index, theirs = divergence.index, divergence.theirs
    if index is None or theirs is None or not index or theirs.size < 2:
        return ""
    name = QUANTITIES[divergence.place.rank].name
    flat = int(np.ravel_multi_index(index, theirs.shape))
    if name in _WEIGHTS and sum(math.prod(shape) for _, shape in reference.parameters) == theirs.size:
        start = 0
        for parameter, shape in reference.parameters:
            if flat < start + math.prod(shape):
                inner = np.unravel_index(flat - start, shape) if shape else ()
                return f"{parameter}[{', '.join(str(int(i)) for i in inner)}]"
            start += math.prod(shape)
    if name in ("advantage", "return") and len(index) == 2:
        return f"step {index[0] + 1} of {theirs.shape[0]}, environment {index[1]}"
    if divergence.place.minibatch == 0 and theirs.shape[0] == reference.n_envs:
        return f"environment {index[0]}" + (f", component {index[1]}" if len(index) > 1 and theirs[0].size > 1 else "")
    return f"element [{', '.join(map(str, index))}]"


def _shown(array: Array | None, divergence: Divergence, name: str) -> str:
    """A number, or some of them from the first that differs on."""
    if array is None:
        return "none" if divergence.kind in ("missing", "extra") else "not among the results of its operations"
    if name.endswith("randomness"):
        torch_state, numpy_state = (bytes(row).hex()[:8] for row in array)
        return f"torch {torch_state}, NumPy {numpy_state}"
    if divergence.kind == "shape":
        return f"shape {list(array.shape)}"
    flat = array.reshape(-1)
    start = 0
    if divergence.index and divergence.theirs is not None:
        start = int(np.ravel_multi_index(divergence.index, divergence.theirs.shape))
    numbers = ", ".join(_number(value) for value in flat[start : start + _SHOWN])
    return numbers + (", ..." if len(flat) > start + _SHOWN else "")


def _number(value: Any) -> str:
    return f"{float(value):.7g}" if isinstance(value, (float, np.floating)) else str(value)


def _relation(divergence: Divergence, error: str | None, reference: Trace) -> str:
    if divergence.kind == "error":
        return f"the run ended with {error}"
    if QUANTITIES[divergence.place.rank].name == "final_randomness" and divergence.kind != "value":
        return ""
    if divergence.kind == "missing":
        return "it has no such number here"
    if divergence.kind == "extra":
        return "it has a number here, the reference has none"
    ours, theirs = divergence.ours, divergence.theirs
    if ours is None or theirs is None:
        return ""
    if divergence.kind == "shape":
        return f"{ours.size} numbers instead of {theirs.size}"
    if QUANTITIES[divergence.place.rank].name.endswith("randomness"):
        moved = [name for name, row in (("torch", 0), ("NumPy", 1)) if (ours[row] != theirs[row]).any()]
        return f"the generator of {' and of '.join(moved)} is in another state: it was asked more or less often"
    if ours.dtype.kind == "f" and not np.isfinite(ours).all() and np.isfinite(theirs).all():
        return "it is not finite"
    words = _proportion(divergence)
    if divergence.place.quantity == "initial_parameters" and divergence.beyond_rounding and divergence.ratio is None:
        return layers_in_words(ours, theirs, reference.parameters) or words
    return words


def _proportion(divergence: Divergence) -> str:
    ratio, ours, theirs = divergence.ratio, divergence.ours, divergence.theirs
    assert ours is not None
    assert theirs is not None
    if not divergence.beyond_rounding:
        return "as far as another order of the same operations can move it"
    if ratio is not None and abs(ratio + 1) < 1e-3:
        return "the sign is reversed"
    if ratio is not None and ratio == 0:
        return "zero"
    if ratio is not None and theirs.size > 1:
        return f"everywhere {ratio:.5g} times the reference's"
    if ratio is not None:
        return f"{ratio:.5g} times the reference's"
    if theirs.size > 1 and theirs.dtype.kind == "f":
        offsets = (ours.reshape(-1).astype(np.float64) - theirs.reshape(-1))[
            ~equal_elements(ours.reshape(-1), theirs.reshape(-1))
        ]
        if len(offsets) > 1 and np.ptp(offsets) <= 1e-3 * abs(np.median(offsets)):
            return f"{np.median(offsets):+.5g} wherever it differs"
    if theirs.size > 1 and np.array_equal(np.sort(ours.reshape(-1)), np.sort(theirs.reshape(-1))):
        return "the same numbers in another order"
    return f"up to {divergence.size:.2g} of the largest number apart" if math.isfinite(divergence.size) else ""
