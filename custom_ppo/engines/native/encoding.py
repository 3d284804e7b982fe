"""Features of observations for the compiled actor: written into one array by NumPy, with the bits of the policy's own.

A step of a rollout has few numbers, and PyTorch takes longer to begin with each part of a Dict than to encode it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from custom_ppo.engines.features import flat_features, flattened_keys, to_tensors
from custom_ppo.extractors import is_image, n_flat
from custom_ppo.memory import Observation
from custom_ppo.networks import ActorCritic

__all__ = ["encoder", "layout"]

Float32 = NDArray[np.float32]
Space = spaces.Space[Any]
Write = Callable[[Any], bool]
"""Function that writes the features of observations [N, ...]; returns False if PyTorch must do it, or refuse it."""


def encoder(policy: ActorCritic, features: Float32) -> Callable[[Observation], None]:
    """Return a function that writes the features of N observations into an array [N, F].

    policy: one that has no `reason_against_flattening`.
    """
    write = _writer(policy, features)
    target = torch.from_numpy(features)

    def encode(observations: Observation) -> None:
        if not write(observations):
            target.copy_(flat_features(policy, to_tensors(observations)))

    return encode


def layout(policy: ActorCritic) -> tuple[tuple[str, int], ...]:
    """Return kind and number of features of every part of an observation, in the order of the features."""
    return tuple((_kind(policy, space), n_flat(space)) for _, space in _parts(policy))


def _parts(policy: ActorCritic) -> list[tuple[str, Space]]:
    """Return the keys of a Dict and their spaces in the order of the features; one part, "", if it is no Dict."""
    space = policy.observation_space
    if isinstance(space, spaces.Dict):
        return [(key, space.spaces[key]) for key in flattened_keys(policy.pi_features_extractor)]
    return [("", space)]


def _kind(policy: ActorCritic, space: Space) -> str:
    """Return "numbers", "choices", or "other" for what is left to PyTorch."""
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return "other" if policy.normalize_images and is_image(space) else "numbers"
    is_choice = isinstance(space, spaces.Discrete) or (isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1)
    return "choices" if is_choice else "other"


def _writer(policy: ActorCritic, features: Float32) -> Write:
    parts, column = [], 0
    for key, space in _parts(policy):
        width = n_flat(space)
        columns = features[:, column : column + width]
        kind = _kind(policy, space)
        if kind == "other":
            return lambda _: False
        parts.append((key, _numbers(space, columns) if kind == "numbers" else _one_hot(space, columns)))
        column += width
    if not isinstance(policy.observation_space, spaces.Dict):
        return parts[0][1]

    def write(observations: Any) -> bool:
        for key, write_part in parts:
            if not write_part(observations[key]):
                return False
        return len(observations) == len(parts)  # PyTorch raises an error for a key that the space does not have

    return write


def _numbers(space: Space, columns: Float32) -> Write:
    """Return what copies numbers as float32."""
    rows = columns.reshape(len(columns), *(space.shape or ()))
    assert np.shares_memory(rows, columns)

    def write(observations: Any) -> bool:
        # Whatever type they have: a VecNormalize returns floats also where the space says bytes.
        np.copyto(rows, observations, casting="unsafe")
        return True

    return write


def _one_hot(space: Any, columns: Float32) -> Write:
    """Return what writes a 1 for every choice, and 0 elsewhere."""
    sizes = [int(space.n)] if isinstance(space, spaces.Discrete) else space.nvec.tolist()
    choice = np.concatenate([np.arange(size) for size in sizes])  # that a column stands for
    of_number = np.repeat(np.arange(len(sizes)), sizes)  # index of the number that makes this choice
    n_rows, n_ones = len(columns), len(columns) * len(sizes)

    def write(observations: Any) -> bool:
        numbers = observations.reshape(n_rows, -1)  # [N] -> [N, 1] for Discrete
        np.equal(numbers if len(sizes) == 1 else numbers.take(of_number, 1), choice, columns)
        # One too few where PyTorch truncates a fraction, or raises an error for a choice that does not exist.
        return int(np.count_nonzero(columns)) == n_ones

    return write
