"""Trace whose unnamed arrays are found among the results of tensor operations."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from harness.crosscheck.comparing.divergence import equal_up_to_rounding
from harness.crosscheck.comparing.intermediates import FIRST_LOCAL, IMPLIED_INPUTS
from harness.crosscheck.quantities import ORDER, Moment
from harness.crosscheck.tracing.trace import BufferRow, Trace, digest

__all__ = ["SearchableTrace"]

Array = NDArray[Any]

_SHOWN_BY_ALL = frozenset(
    ORDER[name] for name in ("observation", "env_action", "env_reward", "done", "acting_randomness", "final_randomness")
)
"""Ranks recorded of every implementation, since they pass through the environments: if one is missing, the step was
never made."""


class SearchableTrace:
    """Trace of a subject, with an index of the results of its operations.

    ignored: rows of the rollout buffer that hold dead values, and are not compared.
    """

    def __init__(self, trace: Trace, ignored: frozenset[BufferRow] = frozenset()) -> None:
        self.trace = trace
        self.ignored = ignored
        self._digests: dict[Moment, set[bytes]] = {}

    @cached_property
    def moments(self) -> list[Moment]:
        """Moments at which anything was recorded, in order."""
        return sorted(self.trace.moments)

    @cached_property
    def named_ranks(self) -> frozenset[int]:
        """Ranks of the quantities recorded under their names."""
        return self.trace.recorded_ranks

    @cached_property
    def comparable_ranks(self) -> frozenset[int]:
        """Ranks of the quantities that can be compared: named, searchable, or shown by every implementation.

        A subject whose optimiser never moves the weights lacks `parameters` altogether, which is a divergence.
        """
        # A quantity that was never recorded of a subject is not missing: it may do without it. One without which the
        # run could not have continued is missing if it was not recorded.
        searchable = frozenset(IMPLIED_INPUTS) if self.trace.operations else frozenset[int]()
        moved = frozenset((ORDER["parameters"],)) if self.trace.optimizer else frozenset[int]()
        return self.named_ranks | searchable | moved | _SHOWN_BY_ALL

    def hides(self, rank: int) -> bool:
        """Return True if an intermediate of this rank was not recorded by name, and has to be searched for."""
        return rank >= FIRST_LOCAL or rank not in self.named_ranks

    def search(self, moment: Moment, wanted: Array) -> Array | None:
        """Return an operation's result equal to these values, or to their negatives, up to rounding; otherwise None.

        Inputs of operations that equal them exactly count as well: NumPy, whose operations are not logged, may have
        computed them.
        """
        # Nearly all arrays of a correct implementation are found by digest, at once and at any size. Elements are
        # compared only for another order of summation, which changes the last bits, and only where results were kept.
        if digest(wanted) in self._digests_at(moment):
            return wanted
        operations = self.trace.operations.get(moment, ())
        near = (equal_up_to_rounding(operation.values, wanted) for operation in operations)
        return next((found for found in near if found is not None), None)

    def _digests_at(self, moment: Moment) -> set[bytes]:
        if moment not in self._digests:
            operations = self.trace.operations.get(moment, ())
            self._digests[moment] = {key for operation in operations for key in (operation.digest, *operation.inputs)}
        return self._digests[moment]
