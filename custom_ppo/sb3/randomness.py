"""The random numbers that a process draws: where its global generators stand, and how to put them back there."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Randomness", "preserved_randomness"]


@dataclass(frozen=True)
class Randomness:
    """State of the global generators of PyTorch, NumPy and Python, from which SB3's algorithms draw, and ours too."""

    torch: Tensor
    cuda: Sequence[Tensor]
    """One for each device; none where CUDA was not used."""
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> Randomness:
        """The state at this moment."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        return cls(torch.get_rng_state(), cuda, np.random.get_state(), random.getstate())  # noqa: NPY002

    def restore(self) -> None:
        """Let the generators go on from here."""
        torch.set_rng_state(self.torch)
        # The devices that are here now: a checkpoint may come from a machine with more, or with none.
        for device, state in enumerate(self.cuda[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)
        np.random.set_state(self.numpy)  # noqa: NPY002
        random.setstate(self.python)


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Whatever is drawn inside the `with` block, what comes after it draws as if it had not been."""
    before = Randomness.now()
    try:
        yield
    finally:
        before.restore()
