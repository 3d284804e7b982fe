"""Description of a divergence: its place, the values on both sides, and how they are related."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.comparing.divergence import Divergence, equal_elements
from harness.crosscheck.quantities import QUANTITIES, Place
from harness.crosscheck.reporting.relations import relation_in_words
from harness.crosscheck.tracing.trace import Trace

__all__ = ["END_OF_TRAINING", "Finding", "finding"]

Array = NDArray[Any]

_N_SHOWN = 4
"""Number of elements of an array that are printed."""

END_OF_TRAINING = "end of training"
"""Name in place of `final_randomness` if only one side has it: the other one continues to train, or has failed."""

_WEIGHTS = ("initial_parameters", "gradient", "clipped_gradient", "parameters")


@dataclass(frozen=True)
class Finding:
    """One divergence, ready to be printed or written as JSON."""

    quantity: str
    meaning: str
    """Description of the quantity, in a line."""
    iteration: int
    """Number of the rollout and its update, from 1."""
    step: int
    """Number of steps of the vectorised environment since the start of training."""
    step_of_rollout: int
    epoch: int | None
    """Epoch of the update, from 1; None during the rollout, and if the reference has no minibatches."""
    minibatch: int | None
    """Minibatch of the epoch (without epochs: of the update), from 1; None during the rollout."""
    kind: str
    """One of value, shape, missing (the subject has no value), extra (the reference has none), error."""
    beyond_rounding: bool
    size: float | None
    """Largest difference, relative to the array's largest absolute value; None for integers and missing values."""
    ratio: float | None
    """Subject / reference, if it is the same for all elements that differ."""
    element: str
    """Name of the first element that differs."""
    n_different: int | None
    """Number of elements that differ."""
    n_elements: int | None
    subject: str
    """Values of the subject, from the first element that differs on."""
    reference: str
    """Values of the reference at the same elements."""
    relation: str
    """Relation of the two sides, in words; "" if none is known."""

    @property
    def where(self) -> str:
        """Place in words, for example "iteration 1, epoch 1, minibatch 2"."""
        if self.step == 0:
            return "before the first step"
        if self.minibatch is None:
            return f"iteration {self.iteration}, step {self.step_of_rollout} of the rollout"
        if self.epoch is None:
            return f"iteration {self.iteration}, minibatch {self.minibatch}"
        return f"iteration {self.iteration}, epoch {self.epoch}, minibatch {self.minibatch}"


def finding(divergence: Divergence, reference: Trace, minibatches_per_epoch: int | None, error: str | None) -> Finding:
    """Return the description of a divergence of a subject from this reference.

    minibatches_per_epoch: number in the reference; None if it has no minibatches. error: exception that ended the
    subject's run.
    """
    place = divergence.place
    quantity = QUANTITIES[place.rank]
    iteration = reference.iteration(place.step)
    epoch, minibatch = _epoch_and_minibatch(divergence, minibatches_per_epoch)
    if quantity.name == "final_randomness" and divergence.kind != "value":
        name, meaning = END_OF_TRAINING, "the point at which training ends"
        # Only a trace of a run that ended by itself holds the final state of the generators.
        sides = ("training goes on", "training ends")
        subject_values, reference_values = sides if divergence.kind == "missing" else reversed(sides)
    else:
        name, meaning = quantity.name, quantity.meaning
        subject_values = _values_in_words(divergence.subject, divergence)
        reference_values = _values_in_words(divergence.reference, divergence)
    return Finding(
        quantity=name,
        meaning=meaning,
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
        n_different=_n_different(divergence),
        n_elements=None if divergence.reference is None else int(divergence.reference.size),
        subject=subject_values,
        reference=reference_values,
        relation=relation_in_words(divergence, reference, error),
    )


def _epoch_and_minibatch(divergence: Divergence, per_epoch: int | None) -> tuple[int | None, int | None]:
    """Return epoch and minibatch of a divergence, from 1; None during the rollout."""
    number = divergence.place.minibatch
    if divergence.place.quantity == "final_randomness" and divergence.kind != "error":
        number -= 1  # recorded under the minibatch that would come next; the last completed one is shown
    if number <= 0:
        return None, None
    if not per_epoch:
        return None, number
    return (number - 1) // per_epoch + 1, (number - 1) % per_epoch + 1


def _n_different(divergence: Divergence) -> int | None:
    subject, reference = divergence.subject, divergence.reference
    if subject is None or reference is None or subject.size != reference.size:
        return None
    return int((~equal_elements(subject.reshape(-1), reference.reshape(-1))).sum())


def _element(divergence: Divergence, reference: Trace) -> str:
    """Return the name of the first element that differs: of a weight, a step, an environment, or else its index."""
    index, array = divergence.index, divergence.reference
    if index is None or array is None or not index or array.size < 2:
        return ""
    quantity = divergence.place.quantity
    if quantity.endswith("randomness"):
        return ""  # bytes of a digest
    if quantity in _WEIGHTS and sum(math.prod(shape) for _, shape in reference.parameters) == array.size:
        return _weight(int(np.ravel_multi_index(index, array.shape)), reference)
    if quantity in ("advantage", "return") and len(index) == 2:
        return f"step {index[0] + 1} of {array.shape[0]}, environment {index[1]}"
    if _during_rollout(divergence.place) and array.shape[0] == reference.n_envs:
        component = f", component {index[1]}" if len(index) > 1 and array[0].size > 1 else ""
        return f"environment {index[0]}{component}"
    return f"element [{', '.join(map(str, index))}]"


def _during_rollout(place: Place) -> bool:
    return place.minibatch == 0


def _weight(position: int, reference: Trace) -> str:
    """Return the name of a weight, for example "net.weight[1, 1]", by its position in the vector of all weights."""
    for name, shape in reference.parameters:
        size = math.prod(shape)
        if position < size:
            index = np.unravel_index(position, shape) if shape else ()
            return f"{name}[{', '.join(str(int(i)) for i in index)}]"
        position -= size
    raise IndexError(f"{position} is after the last weight")


def _values_in_words(array: Array | None, divergence: Divergence) -> str:
    """Return the values of one side as text: at most `_N_SHOWN`, from the first element that differs on."""
    if array is None:
        if divergence.kind in ("missing", "extra"):
            return "none"
        return "not found among the results of the subject's operations"
    if divergence.place.quantity.endswith("randomness"):
        torch_state, numpy_state = (bytes(row).hex()[:8] for row in array)
        return f"torch {torch_state}, NumPy {numpy_state}"
    if divergence.kind == "shape":
        return f"shape {list(array.shape)}"
    flat = array.reshape(-1)
    start = 0
    if divergence.index and divergence.reference is not None:
        start = int(np.ravel_multi_index(divergence.index, divergence.reference.shape))
    numbers = ", ".join(_number(value) for value in flat[start : start + _N_SHOWN])
    return numbers + (", ..." if len(flat) > start + _N_SHOWN else "")


def _number(value: Any) -> str:
    return f"{float(value):.7g}" if isinstance(value, (float, np.floating)) else str(value)
