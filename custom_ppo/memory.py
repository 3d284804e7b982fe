"""Memory between two updates: T steps in N environments, then the same transitions as one batch of T * N.

TrajectoryMemory [T, N]  -> flatten() ->  Batch [T * N]  -> minibatches() ->  Batch [B]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Batch", "Observation", "TensorObservation", "TrajectoryMemory"]

Array = NDArray[np.generic]
Float32 = NDArray[np.float32]
Observation = Array | dict[str, Array]
"""Observations of N environments, [N, ...], or one such array for each key of a Dict space."""

TensorObservation = Tensor | dict[str, Tensor]
"""Observations as tensors."""

_LARGEST_COPY = 2**24
"""Bytes of a batch that is copied as a whole to permute it; images are copied minibatch by minibatch."""


@dataclass(frozen=True)
class Batch:
    """B transitions as tensors; observations are a dict of tensors for Dict spaces."""

    observations: TensorObservation
    actions: Tensor
    """Sampled actions, [B] for Discrete, else [B, A]."""
    old_values: Tensor
    """V(s) as predicted while acting, [B]."""
    old_log_prob: Tensor
    """log pi_old(a|s) of the behaviour policy, [B]."""
    advantages: Tensor
    returns: Tensor

    def __len__(self) -> int:
        return len(self.returns)

    def __getitem__(self, indices: Tensor) -> Batch:
        """Return the transitions with these indices, [B]."""
        observations = self.observations
        return Batch(
            {key: value[indices] for key, value in observations.items()}
            if isinstance(observations, dict)
            else observations[indices],
            self.actions[indices],
            self.old_values[indices],
            self.old_log_prob[indices],
            self.advantages[indices],
            self.returns[indices],
        )

    def minibatches(self, batch_size: int | None, permutation: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield the batch in minibatches of batch_size, in the order of the permutation; the last one may be smaller.

        batch_size None gives the whole batch at once, permuted all the same: the order decides the last bits of sums.
        Indices that are not in the permutation are in no minibatch.
        """
        indices = torch.from_numpy(permutation).to(self.returns.device)
        size = batch_size or len(indices) or 1  # `range` refuses steps of 0, the size of an empty permutation
        if len(indices) and self._cuts_alike(size):
            yield from self._cut(indices, size)
            return
        for start in range(0, len(indices), size):
            yield self[indices[start : start + size]]

    def _cuts_alike(self, size: int) -> bool:
        """Return True if parts of this size can be views of the permuted batch, instead of copies."""
        tensors = self._tensors()
        # Copies begin at multiples of 64 bytes, and matrix products may sum in another order where a part does not.
        aligned = all(size * math.prod(o.shape[1:]) * o.element_size() % 64 == 0 for o in self._observed())
        return aligned and sum(tensor.numel() * tensor.element_size() for tensor in tensors) < _LARGEST_COPY

    def _tensors(self) -> list[Tensor]:
        rest = [self.actions, self.old_values, self.old_log_prob, self.advantages, self.returns]
        return [*self._observed(), *rest]

    def _observed(self) -> list[Tensor]:
        observations = self.observations
        return list(observations.values()) if isinstance(observations, dict) else [observations]

    def _cut(self, indices: Tensor, size: int) -> Iterator[Batch]:
        """Yield the permuted batch in parts, gathered all at once: a call for every part costs more than its copies."""
        columns = [torch.split(tensor.index_select(0, indices), size) for tensor in self._tensors()]
        for *observations, actions, old_values, old_log_prob, advantages, returns in zip(*columns, strict=True):
            yield Batch(
                dict(zip(self.observations, observations, strict=True))
                if isinstance(self.observations, dict)
                else observations[0],
                actions,
                old_values,
                old_log_prob,
                advantages,
                returns,
            )


class TrajectoryMemory:
    """Arrays [T, N, ...], filled step by step with `add`, completed with advantages and returns.

    The attributes have SB3's names and types: observations (in the space's dtype), actions [T, N, A], rewards, values,
    log_probs, episode_starts, advantages, returns (float32 [T, N]).
    """

    def __init__(
        self, n_steps: int, n_envs: int, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> None:
        self.n_steps = n_steps
        self.n_envs = n_envs
        self.observation_space = observation_space
        self.action_space = action_space
        self.position = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything. The arrays are new ones, so a reference to the old ones still holds the last rollout."""
        shape = (self.n_steps, self.n_envs)
        if isinstance(self.observation_space, spaces.Dict):
            self.observations: Observation = {
                key: np.zeros((*shape, *stored_shape(space)), dtype=space.dtype)
                for key, space in self.observation_space.spaces.items()
            }
        else:
            self.observations = np.zeros((*shape, *stored_shape(self.observation_space)), self.observation_space.dtype)
        self.actions: Array = np.zeros((*shape, action_size(self.action_space)), dtype=action_dtype(self.action_space))
        # float32 for all numbers, as in SB3's buffer: the float64 rewards of many environments are rounded here, before
        # the advantages are estimated from them, and episode_starts are factors.
        self.rewards: Float32 = np.zeros(shape, dtype=np.float32)
        self.values: Float32 = np.zeros(shape, dtype=np.float32)
        self.log_probs: Float32 = np.zeros(shape, dtype=np.float32)
        self.episode_starts: Float32 = np.zeros(shape, dtype=np.float32)
        self.advantages: Float32 = np.zeros(shape, dtype=np.float32)
        self.returns: Float32 = np.zeros(shape, dtype=np.float32)
        self.position = 0

    @property
    def full(self) -> bool:
        """True if all T steps are remembered."""
        return self.position == self.n_steps

    def add(
        self,
        observations: Observation,
        actions: Array,
        rewards: Array,
        episode_starts: NDArray[np.bool_],
        values: Tensor,
        log_probs: Tensor,
    ) -> None:
        """Remember one step of all N environments; everything is copied, as environments reuse their arrays.

        Raises IndexError if the memory is full.
        """
        if self.full:
            raise IndexError(f"the memory holds n_steps={self.n_steps} steps and is full; reset() it first")
        step = self.position
        if isinstance(self.observations, dict):
            assert isinstance(observations, dict)
            for key, array in self.observations.items():
                array[step] = observations[key].reshape(array[step].shape)  # [N] -> [N, 1] for Discrete
        else:
            assert not isinstance(observations, dict)
            self.observations[step] = observations.reshape(self.observations[step].shape)
        self.actions[step] = actions.reshape(self.actions[step].shape)  # [N, ...] -> [N, A], [N] -> [N, 1] for Discrete
        self.rewards[step] = rewards
        self.episode_starts[step] = episode_starts
        self.values[step] = values.cpu().numpy().reshape(-1)  # [N, 1] -> [N]
        self.log_probs[step] = log_probs.cpu().numpy()
        self.position += 1

    def flatten(self, device: torch.device) -> Batch:
        """Return all T * N transitions, environment after environment: step t of environment n is row n * T + t."""
        # Through float32, as in SB3: log-probabilities of integer actions are computed from floats. Discrete ones
        # become indices, [T * N, 1] -> [T * N]: with two axes, torch.distributions broadcasts log_prob to [B, B].
        actions = _by_environment(self.actions, device).to(torch.float32)
        observations = self.observations
        return Batch(
            {key: _by_environment(array, device) for key, array in observations.items()}
            if isinstance(observations, dict)
            else _by_environment(observations, device),
            actions.long().flatten() if isinstance(self.action_space, spaces.Discrete) else actions,
            _by_environment(self.values, device),
            _by_environment(self.log_probs, device),
            _by_environment(self.advantages, device),
            _by_environment(self.returns, device),
        )


def _by_environment(array: Array, device: torch.device) -> Tensor:
    """Copy an array [T, N, ...] to a tensor [N * T, ...]."""
    # The axes are swapped first: a plain reshape would mix the environments, and the indices of minibatches, which are
    # drawn as in SB3, would mean other transitions.
    swapped = np.array(array.swapaxes(0, 1), order="C")  # [N, T, ...], copied once
    return torch.from_numpy(swapped.reshape(-1, *array.shape[2:])).to(device)


def stored_shape(space: spaces.Space[Any]) -> tuple[int, ...]:
    """Return the shape in which one observation is stored: that of the space, or (1,) for a Discrete one."""
    if isinstance(space, spaces.Discrete):
        return (1,)
    shape: Sequence[int] | None = space.shape
    if shape is None:
        raise NotImplementedError(f"observations of {space} cannot be remembered: it has no shape")
    return tuple(shape)


def action_size(space: spaces.Space[Any]) -> int:
    """Return A, how many numbers make up one action; 1 for Discrete."""
    return int(np.prod(space.shape)) if space.shape else 1


def action_dtype(space: spaces.Space[Any]) -> np.dtype[np.generic]:
    """Return the space's own type, or float32 for float64, as the policy computes in float32 anyway."""
    dtype: np.dtype[np.generic] = np.dtype(space.dtype)
    return np.dtype(np.float32) if dtype == np.float64 else dtype
