"""Progress messages from a training process. The module does not import torch, since the receiver never loads it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """Progress of one run."""

    steps: int
    """Environment steps trained so far."""

    episode_return: float
    """Mean return of the latest episodes (SB3's ep_info_buffer); NaN before the first has ended."""

    phase: str = "training"
    """Phase of the run: "training", then "evaluating"."""
