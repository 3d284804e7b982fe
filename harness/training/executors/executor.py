"""Interface of executors, and the settings that all of them share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from harness.experiment.plan import RunSpec
from harness.training.executors.events import Job, OnEvent
from harness.training.executors.stopping import StopRequest

__all__ = ["Executor", "Limits"]

_SECONDS_BEYOND_STEPS = 3600.0
_SLOWEST = 1.0
"""Environment steps per second of a run that is slow, but may be right."""


@dataclass(frozen=True)
class Limits:
    """Limits of every run, beyond which it is ended and fails."""

    seconds: float | None = None
    """Time of a whole run. None allows an hour, and one second more for each environment step of the plan."""

    stall_seconds: float = 1800.0
    """Time without any progress: no step of an environment, in training or in evaluation, and no end of a phase."""

    memory_bytes: int | None = None
    """Memory of a run and its child processes, without the files that they map. None sets no limit."""

    retries: int = 0
    """Number of times that a failed run is started again."""

    def seconds_for(self, spec: RunSpec) -> float:
        """Return the time that a run may take."""
        return _SECONDS_BEYOND_STEPS + spec.n_timesteps / _SLOWEST if self.seconds is None else self.seconds


class Executor(Protocol):
    """Way to execute runs. The same jobs give the same folders and records, bit for bit, with every executor.

    An implementation calls `harness.training.job.execute` wherever it computes, and `executors.attempts.Attempts`
    decides what becomes of a failed run. `local.LocalExecutor` and `ray_cluster.RayExecutor` are the implementations;
    `harness.execution` names them for the command line.
    """

    @property
    def n_workers(self) -> int:
        """Number of runs in parallel; on a cluster whose size changes, when the executor was made."""
        ...

    def run(self, jobs: Iterable[Job], on_event: OnEvent, stop: StopRequest) -> None:
        """Execute jobs until each has its record; report every event in the calling thread.

        stop: once it is requested, no further job starts, runs that can do so pause at their next checkpoint, and
            others go on to their end. An exception, from `on_event` too, ends all runs at once and is raised again.
        Raises HarnessError if results cannot be stored, because then no run can continue.
        """
        ...
