"""Acting in a rollout whose callbacks exchange parts of the policy: an `Actor` has bound itself to the old ones.

watch = PolicyWatch(policy)
...                             # a callback replaces a layer or a weight, or adds a hook
if watch.has_changed():
    actor = PolicyActor(agent)  # for the rest of the rollout
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from custom_ppo.agent import PPOAgent, to_tensor
from custom_ppo.engines.fingerprint import switches
from custom_ppo.memory import Observation, TrajectoryMemory

__all__ = ["PolicyActor", "PolicyWatch"]


class PolicyActor:
    """Actor that calls the policy's modules: right for every policy, and slower."""

    def __init__(self, agent: PPOAgent) -> None:
        self.agent = agent

    def begin(self, memory: TrajectoryMemory) -> None:
        """Take the arrays of a memory."""
        self.memory = memory

    @torch.no_grad()
    def act(self, step: int, observations: Observation) -> NDArray[Any]:
        """Sample actions; see `engines.Actor.act`."""
        agent, memory = self.agent, self.memory
        actions, values, log_probs = agent.policy(to_tensor(observations, agent.device))
        memory.values[step] = values.cpu().numpy().reshape(-1)  # [N, 1] -> [N]
        memory.log_probs[step] = log_probs.cpu().numpy()
        sampled: NDArray[Any] = actions.cpu().numpy()
        return sampled if sampled.ndim == 1 else sampled.reshape(len(sampled), -1)  # [N, ...] -> [N, A]

    def values(self, observations: Observation) -> NDArray[np.float32]:
        """Return V(s), [N]."""
        values: NDArray[np.float32] = self.agent.value(to_tensor(observations, self.agent.device)).cpu().numpy()
        return values.reshape(-1)  # [N, 1] -> [N]


class PolicyWatch:
    """Finds out if layers, weights, hooks, methods or switches of a policy were exchanged since this object was made.

    Weights that were changed in place need not be found: an actor sees them. The policy must have no hooks.
    """

    def __init__(self, policy: nn.Module) -> None:
        self._policy = policy
        # These lists also keep the objects alive, so that no new one has the id of an old one.
        self._modules, self._parameters = list(policy.modules()), list(policy.parameters())
        self._attributes = [vars(module) for module in self._modules]
        self._members = [state[name] for state in self._attributes for name in ("_modules", "_parameters")]
        self._hooks = [state[name] for state in self._attributes for name in ("_forward_hooks", "_forward_pre_hooks")]
        self._before = self._now()

    def has_changed(self) -> bool:
        """Return True if a part was exchanged, added or removed."""
        return any(self._hooks) or self._now() != self._before

    def _now(self) -> tuple[list[Any], ...]:
        # A wrapped method is one attribute more.
        return (
            [*map(len, self._attributes)],
            [id(member) for members in self._members for member in members.values()],
            [parameter.data_ptr() for parameter in self._parameters],
            switches(self._policy),
        )
