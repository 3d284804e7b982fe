"""Mistakes in the batch of an update: its order, and values that are recomputed during the update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from custom_ppo.agent import PPOAgent, to_tensor
from custom_ppo.memory import Batch
from custom_ppo.recipe import Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import (
    PPO_ONLY,
    WALK,
    Patch,
    before_each_epoch,
    huang,
    with_update_of,
    wrap,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["BATCHES"]


def _advantages_by_time(agent: PPOAgent, batch: Batch) -> tuple[Batch, Recipe]:
    flat = agent.memory.advantages.reshape(-1)
    return replace(batch, advantages=torch.tensor(flat, device=agent.device)), agent.recipe


def _log_probs_again(agent: PPOAgent, batch: Batch, epoch: int) -> None:
    if epoch == 0:
        return
    with torch.no_grad():
        _, log_prob, _ = agent.policy.evaluate_actions(batch.observations, batch.actions)
    batch.old_log_prob.copy_(log_prob)


def _advantages_again(model: CustomPPO) -> None:
    end: list[Any] = []
    estimate = model.agent.recipe.advantages

    def finish(original: Callable[..., None], observations: Any, dones: Any) -> None:
        end[:] = [observations, dones]
        original(observations, dones)

    def prepare(agent: PPOAgent, batch: Batch, epoch: int) -> None:
        if epoch == 0:
            return
        memory, config = agent.memory, agent.config
        with torch.no_grad():
            values = agent.policy.predict_values(batch.observations).cpu().numpy()  # [N * T, 1]
            last_values = agent.policy.predict_values(to_tensor(end[0], agent.device)).cpu().numpy().flatten()
        estimates = estimate(
            memory.rewards,
            np.ascontiguousarray(values.reshape(memory.n_envs, memory.n_steps).T),
            memory.episode_starts,
            last_values,
            end[1],
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
        )
        for old, new in zip((batch.advantages, batch.returns), estimates, strict=True):
            old.copy_(torch.from_numpy(np.ascontiguousarray(new.T).reshape(-1)))

    wrap(model.agent, "finish_rollout", finish)
    before_each_epoch(prepare)(model)


def _normalised_over_rollout(of: Callable[[Any], Any]) -> Patch:
    """Return a patch that normalises minibatches by mean and standard deviation of the rollout.

    of: from the advantages of the rollout, float32 [N * T], to an array or tensor with `mean` and `std`.
    """

    def patch(model: CustomPPO) -> None:
        def normalise(advantages: Tensor) -> Tensor:
            everything = of(np.ascontiguousarray(model.rollout_buffer.advantages.T).reshape(-1))
            normalised: Tensor = (advantages - everything.mean()) / (everything.std() + 1e-8)
            return normalised

        model.agent.recipe = model.agent.recipe.replace(normalize_advantages=normalise)

    return patch


BATCHES: tuple[Deviation, ...] = (
    Deviation(
        id="old_log_prob_recomputed_per_epoch",
        description="Old log-probabilities are recomputed at the start of every epoch but the first",
        stage="old_log_prob",
        source="tensorforce/tensorforce#312",
        remedy="Keep the log-probabilities stored in the rollout",
        shows="more than one epoch",
        patch=before_each_epoch(_log_probs_again),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="advantages_recomputed_per_epoch",
        description="Advantages and returns are estimated again by the current critic in every epoch but the first",
        stage="batch_advantage",
        source="michaelnny/deep_rl_zoo#5",
        remedy="Estimate advantages once per update",
        shows="more than one epoch",
        patch=_advantages_again,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="advantages_flattened_by_time",
        description="Advantages are flattened step by step, everything else environment by environment",
        stage="batch_advantage",
        source=WALK,
        remedy="Swap the axes of every array before flattening",
        shows="more than one environment",
        patch=with_update_of(_advantages_by_time),
    ),
    Deviation(
        id="advantages_normalised_per_rollout",
        description="Advantages are normalised by NumPy's mean and (biased) standard deviation of the whole rollout",
        stage="normalized_advantage",
        source=huang("core detail 7"),
        remedy="Normalise the advantages of each minibatch",
        shows="normalize_advantage; with one minibatch only through the biased standard deviation",
        patch=_normalised_over_rollout(np.asarray),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="advantages_normalised_per_rollout_by_torch",
        description="Advantages are normalised by torch's mean and (unbiased) standard deviation of the whole rollout",
        stage="normalized_advantage",
        source="zhangchuheng123/Reinforcement-Implementation#3",
        remedy="Normalise the advantages of each minibatch",
        shows="normalize_advantage and more than one minibatch",
        patch=_normalised_over_rollout(torch.from_numpy),
        algorithms=PPO_ONLY,
    ),
)
