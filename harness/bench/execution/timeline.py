"""Times of one call of `harness compare`, from the events that it prints. No torch is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

__all__ = ["N_PARTS", "MemorySample", "RunEnd", "Timeline"]

N_PARTS = 5
"""Parts of a long experiment, whose times and memory are compared."""


@dataclass(frozen=True)
class RunEnd:
    """End of a run that has finished."""

    time: float
    """Seconds since the call began."""

    train_seconds: float
    """Seconds of its `learn()`, without evaluations."""

    wall_seconds: float
    """Seconds from the beginning of the work in its process to the end of its final evaluation."""


@dataclass(frozen=True)
class MemorySample:
    """Resident memory in bytes of both processes that live as long as an experiment."""

    n_finished: int
    """Number of runs that had finished."""

    main: int
    server: int
    """Memory of the process from which those of runs are forked."""


@dataclass(frozen=True)
class Timeline:
    """One call of `harness compare` on a new folder, in seconds since it began."""

    n_workers: int
    first_start: float
    """Start of the first run: libraries are loaded and environments tried out before."""

    runs: tuple[RunEnd, ...]
    """Runs in the order in which they finished."""

    end: float
    """End of the process: tables and figures are made after the last run."""

    memory: tuple[MemorySample, ...] = ()
    peak_memory: int = 0
    """Largest resident memory of the main process in bytes, the report included."""

    @property
    def running(self) -> float:
        """Seconds from the start of the first run to the end of the last."""
        return self.runs[-1].time - self.first_start

    @property
    def report(self) -> float:
        """Seconds from the end of the last run to the end of the process."""
        return self.end - self.runs[-1].time

    @property
    def overheads(self) -> tuple[float, ...]:
        """Seconds of each run but the first that are not in its `learn()`: from the end of the run before to its own.

        Only with one worker. The first run is left out, as files and environments are not in the caches yet.
        Raises ValueError if there are more workers.
        """
        if self.n_workers != 1:
            raise ValueError(f"runs of {self.n_workers} workers overlap; the overhead is defined for one worker")
        pairs = pairwise(self.runs)
        return tuple(run.time - before.time - run.train_seconds for before, run in pairs)

    def seconds_per_run(self, n_parts: int) -> tuple[float, ...]:
        """Return the mean time from one end of a run to the next, for each of n_parts equal parts of the experiment.

        Raises ValueError if there are fewer runs than parts.
        """
        if len(self.runs) < n_parts:
            raise ValueError(f"{len(self.runs)} runs cannot be divided into {n_parts} parts")
        times = np.array([self.first_start, *(run.time for run in self.runs)])
        bounds = np.linspace(0, len(self.runs), n_parts + 1).round().astype(int)
        found = np.diff(times[bounds]) / np.diff(bounds)
        return tuple(map(float, found))

    def memory_of_parts(self, name: str, n_parts: int) -> tuple[float, ...]:
        """Return the median memory in bytes of a process in each of n_parts equal parts of the experiment.

        name: "main" or "server". A part without a sample is NaN.
        """
        bounds = np.linspace(0, len(self.runs), n_parts + 1)
        found = []
        for low, high in pairwise(bounds):
            values = [getattr(sample, name) for sample in self.memory if low < sample.n_finished <= high]
            found.append(float(np.median(values)) if values else float("nan"))
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Return all times as plain data for JSON; runs and samples as lists of their numbers."""
        rows = {"runs": [astuple(run) for run in self.runs], "memory": [astuple(sample) for sample in self.memory]}
        return {**vars(self), **rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the timeline from the data of `as_dict`; raise KeyError, TypeError or ValueError for other data."""
        return cls(
            int(data["n_workers"]),
            float(data["first_start"]),
            tuple(RunEnd(*run) for run in data["runs"]),
            float(data["end"]),
            tuple(MemorySample(*sample) for sample in data["memory"]),
            int(data["peak_memory"]),
        )

    @classmethod
    def of_events(
        cls,
        events: Sequence[Mapping[str, Any]],
        *,
        began: float,
        end: float,
        memory: Sequence[MemorySample] = (),
        peak_memory: int = 0,
    ) -> Self:
        """Return the timeline of the events of `--json-progress`.

        began, end: seconds since 1970 at which the process was started and had ended.
        Raises ValueError if a run has failed, or none has finished.
        """
        failed = [event for event in events if event["event"] in ("failed", "retried")]
        if failed:
            raise ValueError(f"{failed[0]['run']} failed: {failed[0]['error']['message']}")
        starts = [event["time"] for event in events if event["event"] == "started"]
        ends = [event for event in events if event["event"] == "finished"]
        if not ends:
            raise ValueError("no run has finished")
        (begin,) = (event for event in events if event["event"] == "begin")
        runs = tuple(RunEnd(one["time"] - began, one["train_seconds"], one["wall_seconds"]) for one in ends)
        return cls(begin["workers"], min(starts) - began, runs, end - began, tuple(memory), peak_memory)
