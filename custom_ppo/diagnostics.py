"""Diagnosis of training that diverged: which number is not finite, where it is, and what to try.

Numbers are checked where that is cheap and before they reach the weights: when no action can be drawn, when a rollout
is complete, and when the loss of a minibatch is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from torch import Tensor

from custom_ppo.memory import Observation, TrajectoryMemory

__all__ = ["TrainingDivergedError", "check_loss", "check_rollout", "explain_failed_act"]


class TrainingDivergedError(ArithmeticError):
    """A number that training depends on is not finite; the message says which one, where, and what to try.

    It names the iteration (rollout and update, counted from 1 as by the logger), then either the epoch and minibatch of
    the update or the step and environment of the rollout.
    """


def explain_failed_act(
    observations: Observation, parameters: Iterable[Tensor], *, iteration: int, memory: TrajectoryMemory
) -> TrainingDivergedError | None:
    """Return the error that says why no action could be drawn, or None if all observations and weights are finite."""
    step = f"step {memory.position + 1} of {memory.n_steps}"
    where = f"iteration {iteration}: no action can be drawn at {step}"
    parts = observations if isinstance(observations, dict) else {"": observations}
    for key, array in parts.items():
        finite = np.isfinite(array.astype(np.float64)).reshape(len(array), -1).all(axis=1)
        if not finite.all():
            return TrainingDivergedError(
                f"{where}: the observation {repr(key) + ' ' if key else ''}of environment {finite.argmin()} "
                "holds a number that is not finite"
            )
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):
        return TrainingDivergedError(f"{where}: the weights have diverged; try a smaller learning_rate")
    return None


def check_rollout(memory: TrajectoryMemory, *, iteration: int) -> None:
    """Raise TrainingDivergedError unless all numbers of a complete rollout are finite."""
    # In causal order: a reward that is not finite makes the advantages so, and must be named before them.
    for name, array, cause in (
        ("reward", memory.rewards, "the environment returned it"),
        ("value", memory.values, "the observation holds such a number, or the weights have diverged"),
        ("log_prob", memory.log_probs, "the weights have diverged"),
        (
            "advantage",
            memory.advantages,
            "rewards or values are too large for float32, or the observation after the last step is not finite",
        ),
    ):
        finite = np.isfinite(array)
        if not finite.all():
            step, env = np.argwhere(~finite)[0]
            raise TrainingDivergedError(
                f"iteration {iteration}: the {name} of step {step + 1} of {memory.n_steps}, "
                f"environment {env}, is {array[step, env]}: {cause}"
            )


def check_loss(loss: float, terms: str, *, where: str) -> None:
    """Raise TrainingDivergedError unless the loss of a minibatch is finite; `terms` says what it is made of."""
    if not math.isfinite(loss):
        raise TrainingDivergedError(
            f"{where}: the loss is {loss} ({terms}); try a smaller learning_rate, or normalise the rewards"
        )
