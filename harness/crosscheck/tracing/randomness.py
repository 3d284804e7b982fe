"""States of the global random generators, which all implementations in a process share."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.crosscheck.tracing.trace import digest

__all__ = ["random_states", "randomness_digest", "restore_random_states"]

Array = NDArray[Any]


def random_states() -> tuple[Any, Any, Any]:
    """Return the states of Python's, NumPy's and torch's global generators."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - SB3 draws from it


def restore_random_states(states: tuple[Any, Any, Any]) -> None:
    """Restore the states of the three generators."""
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


def randomness_digest() -> Array:
    """Return digests of the states of torch's and NumPy's generators, uint8 [2, 16]."""
    # Python's generator is left out: SB3 never draws from it. NumPy's position is included, since its keys change only
    # after 624 draws.
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
    of_numpy = digest(np.append(keys, np.uint32(position)))
    return np.frombuffer(digest(torch.get_rng_state().numpy()) + of_numpy, dtype=np.uint8).reshape(2, 16)
