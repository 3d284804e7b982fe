"""Results of trying an experiment out. The module does not import torch, since the receiver never loads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Finding", "Speed", "Trials"]


@dataclass(frozen=True)
class Finding:
    """One thing that a user should know about an environment, an algorithm, or one in the other."""

    message: str

    env: str | None = None
    """Gymnasium id, if the finding is about an environment."""

    label: str | None = None
    """Label of an algorithm, if the finding is about one."""

    key: str | None = None
    """Hyperparameter that is the cause, if it is known."""

    is_problem: bool = True
    """False for a note, which prevents no run."""

    may_be_chance: bool = False
    """True for a problem that another run may not have, such as an environment that once did not answer."""


@dataclass(frozen=True)
class Speed:
    """Environment steps per second of one algorithm in one environment, in one process."""

    training: float
    evaluation: float
    episode_length: int
    """Largest number of steps of an episode; a guess of 1,000 for environments without a limit."""


@dataclass(frozen=True)
class Trials:
    """Results of trying out every environment, every algorithm, and each algorithm in each environment."""

    findings: tuple[Finding, ...] = ()
    speeds: Mapping[tuple[str, str], Speed] = field(default_factory=dict)
    """(algorithm class, environment id) -> its speed, if it was measured."""
