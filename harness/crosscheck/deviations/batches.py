"""What the rollout holds when it is learnt from, and what of it is computed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from custom_ppo.agent import PPOAgent, to_tensor
from custom_ppo.memory import Batch
from custom_ppo.recipe import Recipe
from harness.crosscheck.deviations.deviation import Deviation
from harness.crosscheck.deviations.surgery import (
    PPO_ONLY,
    WALK,
    Surgery,
    at_every_epoch,
    huang,
    learning_with,
    wrap,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["BATCHES"]


def _advantages_by_time(agent: PPOAgent, batch: Batch) -> tuple[Batch, Recipe]:
    flat = agent.memory.advantages.reshape(-1)
    return replace(batch, advantages=torch.tensor(flat, device=agent.device)), agent.recipe


def _log_probs_again(agent: PPOAgent, batch: Batch, epoch: int) -> None:
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
    at_every_epoch(prepare)(model)


def _normalised_over_rollout(normalise: Callable[[Any], Any]) -> Surgery:
    """Surgery: advantages [T, N] are normalised before the first epoch, by NumPy, and no more for a minibatch."""

    def change(agent: PPOAgent, batch: Batch) -> tuple[Batch, Recipe]:
        if not agent.config.normalize_advantage:
            return batch, agent.recipe
        normalised = np.ascontiguousarray(normalise(agent.memory.advantages).T).reshape(-1)
        return replace(batch, advantages=torch.tensor(normalised, device=agent.device)), agent.recipe

    def surgery(model: CustomPPO) -> None:
        model.agent.recipe = model.agent.recipe.replace(normalize_advantages=lambda advantages: advantages)
        learning_with(change)(model)

    return surgery


def _by_numpy(advantages: Any) -> Any:
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def _by_tensor(advantages: Any) -> Any:
    tensor = torch.tensor(advantages).flatten()  # time after time, as the memory lies
    return ((tensor - tensor.mean()) / (tensor.std() + 1e-8)).numpy().reshape(advantages.shape)


BATCHES: tuple[Deviation, ...] = (
    Deviation(
        id="old_log_prob_recomputed_per_epoch",
        description="The log-probabilities of acting time are computed again before every epoch, by the current policy",
        stage="old_log_prob",
        source="tensorforce/tensorforce#312",
        remedy="Keep the log-probabilities that were stored while acting",
        shows="more than one epoch; rounding in the first",
        surgery=at_every_epoch(_log_probs_again),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="advantages_recomputed_per_epoch",
        description="From the second epoch on, advantages and returns are estimated again by the current critic",
        stage="batch_advantage",
        source="michaelnny/deep_rl_zoo#5",
        remedy="Estimate advantages once for an update",
        shows="more than one epoch",
        surgery=_advantages_again,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="advantages_flattened_by_time",
        description="Advantages are flattened step after step, all else environment after environment",
        stage="batch_advantage",
        source=WALK,
        remedy="Swap the axes of every array before flattening",
        shows="more than one environment",
        surgery=learning_with(_advantages_by_time),
    ),
    Deviation(
        id="advantages_normalised_per_rollout",
        description="Advantages are normalised once over the rollout by NumPy (biased deviation), not per minibatch",
        stage="batch_advantage",
        source=huang("core detail 7"),
        remedy="Normalise the advantages of every minibatch by themselves",
        shows="normalize_advantage and more than one minibatch, or the biased deviation",
        surgery=_normalised_over_rollout(_by_numpy),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="advantages_normalised_per_rollout_by_torch",
        description="Advantages are normalised once over the rollout by torch (unbiased deviation), not per minibatch",
        stage="batch_advantage",
        source="zhangchuheng123/Reinforcement-Implementation#3",
        remedy="Normalise the advantages of every minibatch by themselves",
        shows="normalize_advantage and more than one minibatch",
        surgery=_normalised_over_rollout(_by_tensor),
        algorithms=PPO_ONLY,
    ),
)
