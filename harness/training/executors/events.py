"""Jobs that an executor runs, and the events that it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord
from harness.training.control import CHECKPOINT_SECONDS
from harness.training.progress import Progress

__all__ = [
    "Finished",
    "Job",
    "NodeLost",
    "OnEvent",
    "Paused",
    "Progressed",
    "Retried",
    "RunEvent",
    "Started",
    "Stopping",
]


@dataclass(frozen=True)
class Job:
    """A run to execute."""

    spec: RunSpec
    run_path: Path
    """Folder of the run; absolute, as an environment may change the working directory."""

    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Seconds of training between two checkpoints, for algorithms that can continue exactly."""

    logging: tuple[str, ...] = field(default=(), compare=False)
    """Further logs of the run, "tensorboard" or "wandb"."""

    context: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Fields of the record that tell of the experiment and the executor: command, config_digest, nodes."""


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
class Paused:
    """A run has stopped at a checkpoint because the executor was asked to stop; the next call continues it."""

    job: Job


@dataclass(frozen=True)
class NodeLost:
    """The machine of a run cannot be reached any more; unless the executor stops, the run is started on another."""

    job: Job
    node: str
    """Name of the machine."""


@dataclass(frozen=True)
class Retried:
    """An attempt has failed, and the run will be started again."""

    job: Job
    record: RunRecord


@dataclass(frozen=True)
class Finished:
    """A run has ended: its record is finished or failed."""

    job: Job
    record: RunRecord


@dataclass(frozen=True)
class Stopping:
    """The executor was asked to stop: it starts nothing more."""

    running: tuple[Job, ...]
    """Runs that pause at their next checkpoint, or go on to their end."""


RunEvent = Stopping | Started | Progressed | Paused | NodeLost | Retried | Finished
"""Event of an executor."""

OnEvent = Callable[[RunEvent], None]
"""Function that is called with every event."""
