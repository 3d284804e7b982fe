"""CustomPPO and CustomA2C whose rollouts take the lean loop with any engine, by an actor that calls the policy."""

from __future__ import annotations

from typing import Any

from custom_ppo import CustomPPO
from custom_ppo.agent import PPOAgent
from custom_ppo.engines import AutogradEngine, Engine
from custom_ppo.sb3 import CustomA2C
from custom_ppo.sb3.exchanged_policy import PolicyActor

__all__ = ["LeanA2C", "LeanPPO"]


class _ActingEngine(AutogradEngine):
    """Readable engine with an actor; `actors` holds those that were made."""

    agent: PPOAgent
    actors: list[PolicyActor]

    def actor(self, policy: Any, n_envs: int) -> PolicyActor:
        actor = PolicyActor(self.agent)
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
        engine.agent, engine.actors = self.agent, self.actors
        return engine


class LeanPPO(_Lean, CustomPPO):
    """CustomPPO in the lean loop."""


class LeanA2C(_Lean, CustomA2C):
    """CustomA2C in the lean loop."""
