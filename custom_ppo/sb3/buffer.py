"""Memory behind the interface of SB3's RolloutBuffer, for callbacks and tests that read one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import BaseBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples, RolloutBufferSamples
from torch import Tensor

from custom_ppo.gae import gae
from custom_ppo.memory import TrajectoryMemory, action_size, stored_shape

__all__ = ["RolloutMemory"]

Samples = RolloutBufferSamples | DictRolloutBufferSamples


class RolloutMemory(TrajectoryMemory):
    """TrajectoryMemory with the attributes and methods of SB3's RolloutBuffer and DictRolloutBuffer.

    Unlike there, `get` leaves the arrays as they are: they keep their shape [T, N, ...] after an update.
    model: the algorithm that this memory belongs to; gamma and gae_lambda are the model's.
    """

    generator_ready = False
    """False: the arrays are never flattened in place."""
    swap_and_flatten = staticmethod(BaseBuffer.swap_and_flatten)

    def __init__(self, model: Any) -> None:
        self.model = model
        super().__init__(model.n_steps, model.n_envs, model.observation_space, model.action_space)

    @property
    def buffer_size(self) -> int:
        """Number of steps T that fill the memory."""
        return self.n_steps

    @property
    def pos(self) -> int:
        """Number of steps that are remembered."""
        return self.position

    @property
    def device(self) -> torch.device:
        """Device of the tensors that `get` and `sample` return."""
        device: torch.device = self.model.device
        return device

    @property
    def gamma(self) -> float:
        """Discount factor, which is that of the model."""
        gamma: float = self.model.gamma
        return gamma

    @gamma.setter
    def gamma(self, gamma: float) -> None:
        self.model.gamma = gamma

    @property
    def gae_lambda(self) -> float:
        """Factor lambda of the advantages, which is that of the model."""
        gae_lambda: float = self.model.gae_lambda
        return gae_lambda

    @gae_lambda.setter
    def gae_lambda(self, gae_lambda: float) -> None:
        self.model.gae_lambda = gae_lambda

    @property
    def obs_shape(self) -> Any:
        """Shape of one observation, or a dict of shapes."""
        space = self.observation_space
        if isinstance(space, spaces.Dict):
            return {key: stored_shape(part) for key, part in space.spaces.items()}
        return stored_shape(space)

    @property
    def action_dim(self) -> int:
        """Number of components of one action."""
        return action_size(self.action_space)

    def size(self) -> int:
        """Return the number of steps that are remembered."""
        return self.position

    def add(  # under the names of SB3's arguments
        self,
        obs: Any,
        action: NDArray[Any],
        reward: NDArray[Any],
        episode_start: NDArray[Any],
        value: Tensor,
        log_prob: Tensor,
    ) -> None:
        """Remember one step of all N environments."""
        super().add(obs, action, reward, episode_start, value, log_prob)

    def extend(self, *args: Any, **kwargs: Any) -> None:
        """Add several steps: the arguments of `add`, each with a leading axis for the steps."""
        for step in zip(*args, strict=True):
            self.add(*step)

    def compute_returns_and_advantage(self, last_values: Tensor, dones: NDArray[np.bool_]) -> None:
        """Fill advantages and returns by `gae`; last_values [N, 1] and dones [N] follow the last step."""
        self.advantages, self.returns = gae(
            self.rewards,
            self.values,
            self.episode_starts,
            last_values.clone().cpu().numpy().flatten(),
            dones,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )

    def get(self, batch_size: int | None = None) -> Iterator[Samples]:
        """Yield all transitions of a full memory in random order, in minibatches of batch_size.

        The order is drawn from NumPy's global generator, as by SB3's buffer.
        """
        assert self.full, f"the memory holds {self.position} of {self.n_steps} steps"
        # Permuted even for one batch of all: sums in another order have other last bits.
        indices = np.random.permutation(self.n_steps * self.n_envs)  # noqa: NPY002
        size = batch_size or len(indices)
        for start in range(0, len(indices), size):
            yield self._get_samples(indices[start : start + size])

    def sample(self, batch_size: int, env: Any = None) -> Samples:
        """Return batch_size of the remembered transitions, drawn with replacement; env is not supported."""
        assert env is None, "a rollout is remembered as it was normalised while acting"
        steps = np.random.randint(0, self.size(), size=batch_size)  # noqa: NPY002
        environments = np.random.randint(0, self.n_envs, size=batch_size)  # noqa: NPY002
        # Steps and environments apart: in a memory that is not full yet, the remembered rows n * T + t are scattered.
        return self._get_samples(environments * self.n_steps + steps)

    def _get_samples(self, batch_inds: NDArray[Any], env: Any = None) -> Samples:
        def chosen(array: NDArray[Any]) -> Tensor:
            return self.to_torch(self.swap_and_flatten(array)[batch_inds])  # [T, N, ...] -> [N * T, ...] -> [B, ...]

        rest = (
            chosen(self.actions).to(torch.float32),
            *(chosen(array).flatten() for array in (self.values, self.log_probs, self.advantages, self.returns)),
        )
        if isinstance(self.observations, dict):
            return DictRolloutBufferSamples({key: chosen(array) for key, array in self.observations.items()}, *rest)
        return RolloutBufferSamples(chosen(self.observations), *rest)

    def to_torch(self, array: NDArray[Any], copy: bool = True) -> Tensor:
        """Return an array as a tensor on the model's device."""
        return torch.tensor(array, device=self.device) if copy else torch.as_tensor(array, device=self.device)


# Callbacks may check for SB3's class; none of its code is used.
RolloutBuffer.register(RolloutMemory)
