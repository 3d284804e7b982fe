"""PPO's hyperparameters under SB3's names: frozen, validated, with schedules as plain callables."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["INITIAL_PENALTY", "InvalidConfigError", "PPOConfig", "Schedule", "UpdateConfig", "constant", "value_at"]

Schedule = Callable[[float], float]
"""Function of the progress remaining, which falls from 1 at the start of training to 0 at its end."""

INITIAL_PENALTY = 1.0
"""beta before the first update; it matters little, as beta is adapted by factors of two."""


class InvalidConfigError(ValueError, AssertionError):
    """A hyperparameter is invalid; this is an AssertionError too, as SB3 raises one for the same mistakes."""


def value_at(parameter: float | Schedule, progress_remaining: float) -> float:
    """Return the value of a constant or scheduled hyperparameter as a Python float.

    The cast matters: a NumPy float would promote float32 arithmetic to float64, and is refused by safe unpickling.
    """
    return float(parameter(progress_remaining) if callable(parameter) else parameter)


def constant(value: float) -> Schedule:
    """Return the schedule that never changes."""
    return lambda _progress_remaining: value


_BOUNDS = {
    "gamma": (0.0, 1.0),
    "gae_lambda": (0.0, 1.0),
    "clip_range": (0.0, math.inf),
    "max_grad_norm": (0.0, math.inf),
    "target_kl": (0.0, math.inf),
    "ent_coef": (-sys.float_info.max, sys.float_info.max),
    "vf_coef": (-sys.float_info.max, sys.float_info.max),
}
"""Hyperparameter -> smallest and largest value that makes sense; SB3 trains silently with others."""


def _in_words(low: float, high: float) -> str:
    if high == 1.0:
        return "in [0, 1]"
    return "at least 0" if low == 0.0 else "a finite number"


@dataclass(frozen=True)
class UpdateConfig:
    """Numbers that one update needs, with every schedule resolved; `PPOConfig.at` makes it."""

    learning_rate: float
    batch_size: int | None
    n_epochs: int
    clip_range: float
    clip_range_vf: float | None
    normalize_advantage: bool
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    target_kl: float | None
    beta: float
    """Price of KL(pi_old, pi) in the penalised objective; the other objectives have none."""


@dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of PPO (Schulman et al. 2017, arXiv 1707.06347), with SB3's names and defaults.

    Raises InvalidConfigError (a ValueError) on values that cannot train.
    """

    learning_rate: float | Schedule = 3e-4
    n_steps: int = 2048
    """T: steps per environment between two updates; the memory holds T * N transitions."""
    batch_size: int | None = 64
    """Transitions of one minibatch; None takes the whole rollout at once, as A2C does."""
    n_epochs: int = 10
    """Passes over the rollout in one update."""
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float | Schedule = 0.2
    """epsilon of the clipped surrogate: the ratio gains nothing outside [1 - epsilon, 1 + epsilon]."""
    clip_range_vf: float | Schedule | None = None
    """Largest change of a value, in units of return, from that predicted while acting; None leaves it free."""
    normalize_advantage: bool = True
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    use_sde: bool = False
    """State-dependent exploration (gSDE, arXiv 2005.05719) instead of independent noise; Box actions only."""
    sde_sample_freq: int = -1
    """Steps between two draws of gSDE's noise matrix; -1 draws once per rollout."""
    target_kl: float | None = None
    """Target of KL(pi_old, pi): an update stops if that of a minibatch exceeds 1.5 times this; None never stops."""

    def __post_init__(self) -> None:
        # A batch_size that leaves a last minibatch of one passes: `normalize_advantages` leaves that one as it is.
        if self.normalize_advantage and self.batch_size is not None and self.batch_size <= 1:
            raise InvalidConfigError(
                f"`batch_size` must be greater than 1 to normalise advantages, got {self.batch_size}: "
                "the standard deviation of one number is undefined"
            )
        for name in ("n_steps", "n_epochs", "batch_size"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InvalidConfigError(f"`{name}` must be at least 1, got {number}")
        for name, (low, high) in _BOUNDS.items():
            number = getattr(self, name)
            # Negated, so that NaN is refused as well; a schedule is known only when it is called.
            if isinstance(number, (int, float)) and not low <= number <= high:
                raise InvalidConfigError(f"`{name}` must be {_in_words(low, high)}, got {number}")
        if isinstance(self.clip_range_vf, (int, float)) and self.clip_range_vf <= 0:
            raise InvalidConfigError(
                f"`clip_range_vf` must be positive, got {self.clip_range_vf}; pass None to leave the value unclipped"
            )

    def at(self, progress_remaining: float, *, beta: float = INITIAL_PENALTY) -> UpdateConfig:
        """Return the numbers of the update at this progress, which falls from 1 to 0 in the course of training."""
        clip_range_vf = self.clip_range_vf  # None is no schedule: values are free
        return UpdateConfig(
            learning_rate=value_at(self.learning_rate, progress_remaining),
            batch_size=self.batch_size,
            n_epochs=self.n_epochs,
            clip_range=value_at(self.clip_range, progress_remaining),
            clip_range_vf=None if clip_range_vf is None else value_at(clip_range_vf, progress_remaining),
            normalize_advantage=self.normalize_advantage,
            ent_coef=self.ent_coef,
            vf_coef=self.vf_coef,
            max_grad_norm=self.max_grad_norm,
            target_kl=self.target_kl,
            beta=beta,
        )
