"""CustomPPO and CustomA2C whose rollouts take the lean loop with any engine, by an actor that calls the policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from custom_ppo import CustomPPO
from custom_ppo.agent import PPOAgent, to_tensor
from custom_ppo.engines import AutogradEngine, Engine
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.sb3 import CustomA2C

__all__ = ["LeanA2C", "LeanPPO", "PolicyActor"]


class PolicyActor:
    """Actor that calls the policy's modules: the bits of any policy, without any speed."""

    def __init__(self, agent: PPOAgent) -> None:
        self.agent = agent

    def begin(self, memory: TrajectoryMemory) -> None:
        self.memory = memory

    @torch.no_grad()
    def act(self, step: int, observations: NDArray[Any]) -> NDArray[Any]:
        memory = self.memory
        actions, values, log_probs = self.agent.policy(to_tensor(observations, self.agent.device))
        memory.values[step] = values.numpy().reshape(-1)
        memory.log_probs[step] = log_probs.numpy()
        discrete = actions.ndim == 1
        return actions.numpy() if discrete else actions.numpy().reshape(memory.n_envs, -1)

    @torch.no_grad()
    def values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        states = to_tensor(observations, self.agent.device)
        values: NDArray[np.float32] = self.agent.policy.predict_values(states).numpy().reshape(-1)
        return values


class _ActingEngine(AutogradEngine):
    """Readable engine with an actor; `actors` holds those that were made."""

    actors: list[PolicyActor]

    def actor(self, agent: PPOAgent) -> PolicyActor:
        actor = PolicyActor(agent)
        self.actors.append(actor)
        return actor


class _Lean:
    """Mixin for models that act by `PolicyActor` and learn by the readable engine."""

    agent: PPOAgent
    actors: list[PolicyActor]
    """Actors that were made, one for each rollout."""

    def choose_engine(self) -> Engine:
        if not isinstance(self.agent.engine, _ActingEngine):
            self.actors = []
        engine = _ActingEngine(self.agent.policy, self.agent.optimizer, self.agent.recipe)
        engine.actors = self.actors
        return engine


class LeanPPO(_Lean, CustomPPO):
    """CustomPPO in the lean loop."""


class LeanA2C(_Lean, CustomA2C):
    """CustomA2C in the lean loop."""
