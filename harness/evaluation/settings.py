"""Settings of an evaluation of stored runs, and the result of one run. Nothing here loads torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.experiment.plan import RunSpec

__all__ = ["EvaluationSettings", "Footage", "RunEvaluation", "Snapshot"]

Snapshot = Literal["final", "best"]
"""Model of a run: that at the end of training, or the best one by the evaluations during training."""


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation; the defaults repeat the final evaluation of each run, with the same rewards."""

    episodes: int | None = None
    """Episodes for each seed; None for as many as in the run's final evaluation."""

    deterministic: bool = True
    """True for the most probable action, False for one drawn from the policy."""

    env: str | None = None
    """Gymnasium id of another environment with the same spaces; None for that of the run."""

    seeds: tuple[int, ...] | None = None
    """Seeds K: start states are those of the final evaluation of a run with seed K; None for the seed of each run."""

    snapshot: Snapshot = "final"
    """Model that is evaluated."""

    trusted: tuple[str, ...] = ()
    """Packages, beside those of the allow-list, whose code the records may name."""

    trust_pickle: bool = False
    """Unpickle files of other programs, which can run any code."""


@dataclass(frozen=True)
class RunEvaluation:
    """Episodes of one run, or the reason why there are none."""

    path: str
    """Folder of the run."""

    algo: str
    env: str
    """Environment of the training."""

    seed: int
    rewards: tuple[float, ...] = ()
    """Return of each episode."""

    lengths: tuple[int, ...] = ()
    error: str = ""
    """Reason why the run could not be evaluated, on one line; empty if it was."""

    @property
    def score(self) -> float:
        """Mean return of the episodes; NaN without any."""
        return sum(self.rewards) / len(self.rewards) if self.rewards else math.nan

    @classmethod
    def of_spec(
        cls, path: object, spec: RunSpec, rewards: Sequence[float] = (), lengths: Sequence[int] = (), error: str = ""
    ) -> RunEvaluation:
        """Return the evaluation of the run with this spec."""
        return cls(str(path), spec.algo, spec.env, spec.seed, tuple(rewards), tuple(lengths), error)


@dataclass(frozen=True)
class Footage:
    """Images of one episode, in a file."""

    file: str
    """npy file with bytes [T, H, W, 3]."""

    fps: float
    """Images per second of the environment's own time."""

    steps_per_image: int
    returns: tuple[float, ...]
    """Sum of the rewards before each image."""

    total: float
    """Return of the episode, or of its beginning if it was cut."""

    n_steps: int
    """Steps that were played."""

    is_cut: bool
    """True if the episode was longer than the film."""
