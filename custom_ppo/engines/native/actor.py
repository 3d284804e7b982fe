"""Policy and critic inside the compiled kernels: one call per step of a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from custom_ppo.engines.native import self_check
from custom_ppo.engines.native.encoding import encoder
from custom_ppo.memory import Observation, TrajectoryMemory

if TYPE_CHECKING:
    from custom_ppo.engines.native.engine import NativeEngine

__all__ = ["NativeActor", "make_actor"]

Float32 = NDArray[np.float32]


class NativeActor:
    """Actor of `engines.engine.Actor`, by the kernels.

    n_envs: states per step. The weights are the tensors of the engine's flat vector, which updates change in place.
    """

    def __init__(self, engine: NativeEngine, n_envs: int) -> None:
        self.engine = engine
        self.policy = engine.policy
        self.n_envs = n_envs
        engine.flat.bind_values()
        self.learner = engine.learner(n_envs)
        head = self.learner.head
        self._handle = self.learner.handle
        self._act, self._values = self.learner.kernels.learner_act, self.learner.kernels.learner_values
        self._draw, self._noise_address = head.make_noise(n_envs)
        self._actions = np.empty((n_envs, *head.action_shape), head.action_dtype)
        self._actions_address = self._actions.ctypes.data
        self._features = np.empty((n_envs, self.learner.n_features), np.float32)
        self._features_address = self._features.ctypes.data
        self._encode = encoder(self.policy, self._features)

    def begin(self, memory: TrajectoryMemory) -> None:
        """Bind to the arrays of a memory that was just reset."""
        self._rows = memory.values, memory.log_probs  # kept alive, as a reset of the memory makes other ones
        self._values_address, self._log_probs_address = memory.values.ctypes.data, memory.log_probs.ctypes.data

    def act(self, step: int, observations: Observation) -> NDArray[Any]:
        """Sample actions in N states, and write their values and log-probabilities in a row of the memory.

        Raises ValueError if a probability is not finite, so that no action can be drawn.
        """
        self._encode(observations)
        self._draw()
        offset = 4 * self.n_envs * step
        possible = self._act(
            self._handle, self._features_address, self.n_envs, self._noise_address(), self._actions_address,
            self._values_address + offset, self._log_probs_address + offset,
        )  # fmt: skip
        if not possible:
            raise ValueError("no action can be drawn from probabilities that are not finite")
        return self._actions.copy()

    def values(self, observations: Observation) -> Float32:
        """Return V(s), [N], of observations [N, ...]."""
        values = np.empty(self.n_envs, np.float32)
        self._encode(observations)
        self._values(self._handle, self._features_address, self.n_envs, values.ctypes.data)
        return values


def make_actor(engine: NativeEngine, n_envs: int) -> NativeActor | None:
    """Return an actor for N parallel environments, or None if the kernels do not give PyTorch's bits here."""
    actor = NativeActor(engine, n_envs)
    return actor if self_check.acting_agrees(actor) else None
