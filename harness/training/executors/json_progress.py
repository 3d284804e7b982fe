"""Progress of a comparison for machines: one JSON object per event and line."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from time import time
from types import TracebackType
from typing import IO, Any, Self

from harness.training.executors.events import (
    Finished,
    Job,
    NodeLost,
    Paused,
    Progressed,
    Retried,
    RunEvent,
    Started,
    Stopping,
)

__all__ = ["JsonProgress"]


class JsonProgress:
    """Context manager that writes every event of an executor to a stream, as `Display` shows them to people.

    Keys: event ("begin", "started", "progress", "paused", "lost", "retried", "finished", "failed", "stopping",
    "end"), time (seconds since 1970), and for events of a run its folder below runs/ as run.
    """

    def __init__(self, jobs: Collection[Job], n_workers: int, stream: IO[str]) -> None:
        self.jobs = jobs
        self.n_workers = n_workers
        self.stream = stream

    def __enter__(self) -> Self:
        steps = sum(job.spec.n_timesteps for job in self.jobs)
        self._write("begin", runs=len(self.jobs), workers=self.n_workers, steps=steps)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._write("end", interrupted=kind is not None and issubclass(kind, KeyboardInterrupt))

    def __call__(self, event: RunEvent) -> None:
        """Write an event."""
        match event:
            case Stopping(running=running):
                self._write("stopping", running=[job.spec.run_dir for job in running])
            case Started(job=job):
                self._write("started", run=job.spec.run_dir, n_timesteps=job.spec.n_timesteps)
            case Progressed(job=job, progress=progress):
                mean = None if math.isnan(progress.episode_return) else progress.episode_return
                self._write(
                    "progress", run=job.spec.run_dir, steps=progress.steps, episode_return=mean, phase=progress.phase
                )
            case Paused(job=job):
                self._write("paused", run=job.spec.run_dir)
            case NodeLost(job=job, node=node):
                self._write("lost", run=job.spec.run_dir, node=node)
            case Retried(job=job, record=record):
                self._write("retried", run=job.spec.run_dir, error=_error(record.error))
            case Finished(job=job, record=record) if record.status == "failed":
                self._write("failed", run=job.spec.run_dir, error=_error(record.error))
            case Finished(job=job, record=record):
                self._write(
                    "finished",
                    run=job.spec.run_dir,
                    score=record.score,
                    steps=record.steps,
                    wall_seconds=record.wall_seconds,
                    train_seconds=record.train_seconds,
                )

    def _write(self, event: str, **fields: Any) -> None:
        self.stream.write(json.dumps({"event": event, "time": round(time(), 3), **fields}) + "\n")
        self.stream.flush()


def _error(error: Any) -> dict[str, str]:
    return {"type": error["type"], "message": error["message"]}
