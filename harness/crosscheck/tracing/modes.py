"""Modes of tracing: each decides what is recorded, and what the run takes over from an earlier trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.crosscheck.tracing.trace import Trace

__all__ = ["STANDALONE", "Check", "TracingMode"]

Check = Callable[[Trace, int, int], None]
"""Function of the trace so far, the step and the number of completed minibatches; it may raise StopTracing."""


@dataclass(frozen=True)
class TracingMode:
    """Mode in which a run is traced. Each constructor serves one purpose.

    aligned_with: earlier trace of the same case. Weights are recorded in its order, and equal arrays are stored once.
    starts_from: trace whose initial weights and random state the run starts from.
    fed_from: trace whose arrays replace everything that the run computes.
    """

    aligned_with: Trace | None = None
    starts_from: Trace | None = None
    fed_from: Trace | None = None
    logs_operations: bool = True
    is_replayable: bool = False
    """Keep what is needed to feed other runs."""
    check: Check | None = None
    """Called after every step of the environments and of the optimisers."""

    @classmethod
    def reference(cls, aligned_with: Trace | None = None) -> TracingMode:
        """Record a run with which others are compared, and from which they are started and fed."""
        return cls(aligned_with, is_replayable=True)

    @classmethod
    def named_reference(cls, aligned_with: Trace | None = None) -> TracingMode:
        """Record a reference without operations, which names all its quantities, so that none is searched for."""
        return cls(aligned_with, is_replayable=True, logs_operations=False)

    @classmethod
    def subject(cls, aligned_with: Trace, *, copy_weights: bool = False) -> TracingMode:
        """Record a run to be compared; copy_weights: start from the other's initial weights and random state."""
        return cls(aligned_with, starts_from=aligned_with if copy_weights else None)

    @classmethod
    def fed(cls, aligned_with: Trace, *, copy_weights: bool = False) -> TracingMode:
        """Record a run whose stages all get the other trace's arrays as inputs."""
        return cls(aligned_with, starts_from=aligned_with if copy_weights else None, fed_from=aligned_with)

    @classmethod
    def trial(cls, aligned_with: Trace, check: Check, *, copy_weights: bool = False) -> TracingMode:
        """Record a run until `check`, which reads the trace so far, raises StopTracing."""
        return cls(aligned_with, starts_from=aligned_with if copy_weights else None, logs_operations=False, check=check)

    @classmethod
    def names_only(cls, aligned_with: Trace | None = None) -> TracingMode:
        """Record a run without its operations, which takes less time; hidden intermediates are then not compared."""
        return cls(aligned_with, logs_operations=False)


STANDALONE = TracingMode()
"""Mode of a run without an earlier trace: everything is recorded, except what is needed only to feed other runs."""
