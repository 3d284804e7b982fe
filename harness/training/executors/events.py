"""What an executor tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord

__all__ = ["Finished", "Job", "OnEvent", "Progressed", "RunEvent", "Started"]


@dataclass(frozen=True)
class Job:
    """One run and its folder."""

    spec: RunSpec
    run_path: Path


@dataclass(frozen=True)
class Started:
    """A worker has begun with a run."""

    job: Job


@dataclass(frozen=True)
class Progressed:
    """A run is so far; episode_return is NaN before the first episode has ended."""

    job: Job
    steps: int
    episode_return: float
    phase: str


@dataclass(frozen=True)
class Finished:
    """A run has ended, well or not."""

    job: Job
    record: RunRecord


RunEvent = Started | Progressed | Finished
OnEvent = Callable[[RunEvent], None]
