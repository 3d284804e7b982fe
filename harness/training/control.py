"""Control of a run by whoever starts it: requests in one direction, progress in the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.training.progress import Progress

__all__ = ["CHECKPOINT_SECONDS", "Control"]

CHECKPOINT_SECONDS = 30.0
"""Seconds of training between two checkpoints, unless an experiment says otherwise."""


def _nothing(progress: Progress) -> None:
    """Ignore the progress."""


@dataclass
class Control:
    """Control of a run while it trains."""

    report: Callable[[Progress], None] = _nothing
    """Called a few times a second with the progress."""

    stop_requested: bool = False
    """True asks the run to pause at its next checkpoint, if it can make one."""

    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Seconds of training between two checkpoints: what a run that is killed loses at most, beside one update."""

    logging: tuple[str, ...] = ()
    """Further logs of the run, see `trackers`."""

    context: dict[str, Any] = field(default_factory=dict)
    """Circumstances of the experiment that a record keeps, such as its command."""
