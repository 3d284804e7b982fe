"""Mistakes in early stopping: the estimate of the KL, and its effect on an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import (
    PPO_ONLY,
    WALK,
    with_parts,
    with_settings,
    wrap,
    wrap_engine,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["EARLY_STOPPING"]


def _kl_estimated_by(estimate: Callable[[Tensor], Tensor]) -> Callable[[CustomPPO], None]:
    """Return a patch that estimates the KL by the mean of estimate(log_prob - old_log_prob)."""

    def patch(model: CustomPPO) -> None:
        def forward(original: Callable[..., Any], batch: Any, *rest: Any) -> Any:
            terms = original(batch, *rest)
            with torch.no_grad():
                _, log_prob, _ = model.policy.evaluate_actions(batch.observations, batch.actions)
                return replace(terms, approx_kl=estimate(log_prob - batch.old_log_prob).mean())

        wrap_engine(model, "forward", forward)

    return patch


class _Stop(Exception):  # noqa: N818 - no error: the update has ended
    """Raised to end an update from within its loops."""


def _stopping_after_step(model: CustomPPO) -> None:
    def learn(original: Callable[..., None], batch: Any, report: Any) -> None:
        agent = model.agent
        recipe, exceeded = agent.recipe, [False]

        def stop_early(approx_kl: Any, target_kl: float) -> bool:
            exceeded[0] = recipe.stop_early(approx_kl, target_kl)
            return False

        def descend(step: Callable[..., None], config: Any) -> None:
            step(config)
            if exceeded[0]:
                agent.observer("step")
                raise _Stop

        agent.recipe = recipe.replace(stop_early=stop_early)
        wrap(agent.engine, "descend", descend)
        try:
            original(batch, report)
        except _Stop:
            report.stopped_early = True
        finally:
            agent.recipe = recipe

    wrap(model.agent, "learn_from", learn)


def _stopping_between_epochs(model: CustomPPO, *, by_any: bool) -> None:
    def learn(original: Callable[..., None], batch: Any, report: Any) -> None:
        agent = model.agent
        recipe, exceeded = agent.recipe, [False]
        kls: list[Any] = []

        def stop_early(approx_kl: Any, target_kl: float) -> bool:
            kls.append(approx_kl)
            exceeded[0] = recipe.stop_early(approx_kl, target_kl) or (by_any and exceeded[0])
            return False

        def order(n: int) -> Any:
            if exceeded[0]:
                raise _Stop
            kls.clear()
            return recipe.minibatch_order(n)

        agent.recipe = recipe.replace(stop_early=stop_early, minibatch_order=order)
        try:
            original(batch, report)
        except _Stop:
            report.stopped_early = True
            # The epoch that has just begun does not count; the report keeps the values of the one before.
            report.n_epochs, report.approx_kls = report.n_epochs - 1, list(kls)
        finally:
            agent.recipe = recipe

    wrap(model.agent, "learn_from", learn)


def _stopping_epoch_only(model: CustomPPO) -> None:
    def learn(original: Callable[..., None], batch: Any, report: Any) -> None:
        config = report.config
        report.config = replace(config, n_epochs=1)
        try:
            for _ in range(config.n_epochs):
                original(batch, report)
        finally:
            report.config = config

    wrap(model.agent, "learn_from", learn)


EARLY_STOPPING: tuple[Deviation, ...] = (
    Deviation(
        id="target_kl_ignored",
        description="Every update makes all its epochs: target_kl is ignored",
        stage="gradient",
        source=WALK,
        remedy="End the update when approx_kl > 1.5 * target_kl",
        shows="a target_kl that is exceeded",
        settings=with_settings(target_kl=None),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_without_factor",
        description="An update ends when approx_kl > target_kl, without the factor 1.5",
        stage="gradient",
        source="vwxyzjn/cleanrl#520",
        remedy="End the update when approx_kl > 1.5 * target_kl",
        shows="a target_kl that is exceeded",
        recipe=with_parts(stop_early=lambda approx_kl, target_kl: bool(approx_kl > target_kl)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_after_step",
        description="The KL is compared with target_kl after the step that it should prevent",
        stage="gradient",
        source="DLR-RM/stable-baselines3#419",
        remedy="Compare the KL with target_kl before the step",
        shows="a target_kl that is exceeded",
        patch=_stopping_after_step,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_between_epochs",
        description="The KL of the last minibatch is compared with target_kl at the end of an epoch",
        stage="gradient",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Compare the KL of every minibatch with target_kl before its step",
        shows="a target_kl that is exceeded",
        patch=partial(_stopping_between_epochs, by_any=False),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_completes_epoch",
        description="An update whose KL exceeds the limit in any minibatch ends after the epoch",
        stage="gradient",
        source="kashif/firedup#3",
        remedy="End the update before the step of that minibatch",
        shows="a target_kl that is exceeded",
        patch=partial(_stopping_between_epochs, by_any=True),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_ends_epoch_only",
        description="A KL above the limit ends the epoch instead of the update",
        stage="minibatch",
        source="openai/spinningup#137",
        remedy="End the update, not only the epoch",
        shows="a target_kl that is exceeded before the last epoch",
        patch=_stopping_epoch_only,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_by_difference",
        description="The KL is estimated by the mean of old minus new log-probabilities, which may be negative",
        stage="gradient",
        source="DLR-RM/stable-baselines3#417",
        remedy="Estimate the KL by the mean of (ratio - 1) - log ratio",
        shows="a target_kl that one of the two estimates exceeds",
        patch=_kl_estimated_by(lambda log_ratio: -log_ratio),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_by_half_square",
        description="The KL is estimated by half the mean square of the log ratio",
        stage="gradient",
        source="openai/baselines, ppo2 (approxkl)",
        remedy="Estimate the KL by the mean of (ratio - 1) - log ratio",
        shows="a target_kl that one of the two estimates exceeds",
        patch=_kl_estimated_by(lambda log_ratio: 0.5 * log_ratio**2),
        algorithms=PPO_ONLY,
    ),
)
