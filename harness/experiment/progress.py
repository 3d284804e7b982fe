"""How far a run is: what training tells whoever waits for it. Without torch, as those who wait have not loaded it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """A moment of one run."""

    steps: int
    """Environment steps trained so far."""

    episode_return: float
    """Mean return of the last episodes, as SB3 keeps them; NaN before the first has ended."""

    phase: str = "training"
    """First "training", then "evaluating"."""
