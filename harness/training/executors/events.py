"""Jobs that an executor runs, and the events that it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord
from harness.training.progress import Progress

__all__ = ["Finished", "Job", "OnEvent", "Progressed", "RunEvent", "Started"]


@dataclass(frozen=True)
class Job:
    """A run to execute, and its folder."""

    spec: RunSpec
    run_path: Path


@dataclass(frozen=True)
class Started:
    """A worker has started a run."""

    job: Job


@dataclass(frozen=True)
class Progressed:
    """A run has reported its progress."""

    job: Job
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """A run has ended: its record is finished or failed."""

    job: Job
    record: RunRecord


RunEvent = Started | Progressed | Finished
OnEvent = Callable[[RunEvent], None]
