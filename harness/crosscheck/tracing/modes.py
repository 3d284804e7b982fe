"""Reasons to trace a run. Each decides what is recorded, and what the run is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.crosscheck.tracing.trace import Trace

__all__ = ["BY_ITSELF", "Check", "TracingMode"]

Check = Callable[[Trace, int, int], None]
"""Function of the trace so far, the step and the number of completed minibatches; it may raise StopTracing."""


@dataclass(frozen=True)
class TracingMode:
    """Way in which a run is traced. Each constructor is one reason to trace a run.

    beside: earlier trace of the same case. The run's weights are put in its order, and equal arrays are kept once.
    starts_from: trace whose first weights and random state the run starts from.
    fed_from: trace whose arrays replace everything that the run computes.
    """

    beside: Trace | None = None
    starts_from: Trace | None = None
    fed_from: Trace | None = None
    logs_operations: bool = True
    is_replayable: bool = False
    """Keep what is needed to feed other runs."""
    check: Check | None = None
    """Called after every step of the environments and of the optimisers."""

    @classmethod
    def reference(cls, beside: Trace | None = None) -> TracingMode:
        """Record a run that others are compared with, started from, and fed from."""
        return cls(beside, is_replayable=True)

    @classmethod
    def named_reference(cls, beside: Trace | None = None) -> TracingMode:
        """Record a reference without operations, which names all its quantities, so that none is searched for."""
        return cls(beside, is_replayable=True, logs_operations=False)

    @classmethod
    def subject(cls, beside: Trace, *, copy_weights: bool = False) -> TracingMode:
        """Record a run to be compared; copy_weights: start from the other's first weights and random state."""
        return cls(beside, starts_from=beside if copy_weights else None)

    @classmethod
    def fed(cls, beside: Trace, *, copy_weights: bool = False) -> TracingMode:
        """Record a run whose stages all get the other trace's arrays as inputs."""
        return cls(beside, starts_from=beside if copy_weights else None, fed_from=beside)

    @classmethod
    def trial(cls, beside: Trace, check: Check, *, copy_weights: bool = False) -> TracingMode:
        """Record a run only as far as `check` lets it go, which reads the live trace and raises StopTracing."""
        return cls(beside, starts_from=beside if copy_weights else None, logs_operations=False, check=check)

    @classmethod
    def names_only(cls, beside: Trace | None = None) -> TracingMode:
        """Record a run without its operations, which takes less time; hidden intermediates are then not compared."""
        return cls(beside, logs_operations=False)


BY_ITSELF = TracingMode()
"""Mode of a run that is compared with nothing yet: everything is recorded, except what only fed runs need."""
