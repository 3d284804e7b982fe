"""Mistakes in the learning rate and in schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from custom_ppo.config import value_at
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import (
    WALK,
    Patch,
    huang,
    with_settings,
    wrap,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["SCHEDULES"]


def _progress(change: Callable[[CustomPPO, float], float]) -> Patch:
    """Return a patch that evaluates schedules at change(model, progress remaining)."""

    def patch(model: CustomPPO) -> None:
        wrap(model.agent, "update", lambda original, remaining: original(change(model, remaining)))

    return patch


def _late(model: CustomPPO) -> None:
    def move(original: Callable[[int, int], None], num_timesteps: int, total_timesteps: int) -> None:
        original(num_timesteps - model.n_steps * model.n_envs, total_timesteps)

    wrap(model, "_update_current_progress_remaining", move)


def _annealed(given: Any) -> dict[str, Any]:
    learning_rate = given["learning_rate"]
    return {"learning_rate": lambda remaining: remaining * value_at(learning_rate, remaining)}


SCHEDULES: tuple[Deviation, ...] = (
    Deviation(
        id="learning_rate_always_3e-4",
        description="The learning rate is always 3e-4",
        stage="learning_rate",
        source=WALK,
        remedy="Use the configured learning_rate",
        shows="another learning_rate",
        settings=with_settings(learning_rate=3e-4),
    ),
    Deviation(
        id="learning_rate_not_annealed",
        description="The learning rate keeps the value of its schedule at the start",
        stage="learning_rate",
        source=huang("core detail 4"),
        remedy="Evaluate the schedule in every update, and set the optimiser's lr",
        shows="a schedule for learning_rate",
        settings=lambda given: {"learning_rate": value_at(given["learning_rate"], 1.0)},
    ),
    Deviation(
        id="learning_rate_annealed",
        description="The learning rate is multiplied by the remaining progress, so that it falls to 0",
        stage="learning_rate",
        source=huang("core detail 4"),
        remedy="Use the configured learning_rate or schedule alone",
        settings=_annealed,
    ),
    Deviation(
        id="schedules_one_update_late",
        description="Schedules are evaluated at the progress before the rollout, so that the first update is at 1",
        stage="learning_rate",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Evaluate the schedules after the rollout: its steps count as progress",
        shows="a schedule; if only clip_range has one, the surrogate differs first",
        patch=_late,
    ),
    Deviation(
        id="schedules_stand_still",
        description="Schedules are always evaluated at the start of training",
        stage="learning_rate",
        source=WALK,
        remedy="Update the progress before every update",
        shows="a schedule; if only clip_range has one, the surrogate differs first",
        patch=_progress(lambda model, remaining: 1.0),
    ),
    Deviation(
        id="schedules_reversed",
        description="Schedules are evaluated at the progress made instead of the progress remaining",
        stage="learning_rate",
        source=WALK,
        remedy="Evaluate schedules at the progress remaining, which falls from 1 to 0",
        shows="a schedule; if only clip_range has one, the surrogate differs first",
        patch=_progress(lambda model, remaining: 1.0 - remaining),
    ),
)
