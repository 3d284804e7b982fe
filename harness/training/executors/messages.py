"""Messages between a worker process and the executor. The module does not import torch, which the executor need not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PARENT_DIED", "STOP", "Beat", "Paused", "Unwritable"]

PARENT_DIED = 70
"""Exit code of a worker that has lost its connection to the harness, which was killed."""

STOP = "stop"
"""Message to a worker: pause at the next checkpoint, if the run can do so."""


@dataclass(frozen=True)
class Beat:
    """Sign of life, sent every second by a thread of the worker."""

    env_steps: int
    """Steps that all environments of the process have made, in training and evaluation."""


@dataclass(frozen=True)
class Paused:
    """The run has stopped at a checkpoint."""


@dataclass(frozen=True)
class Unwritable:
    """The files of the run cannot be written: the disk is full, disconnected or read-only."""

    reason: str
