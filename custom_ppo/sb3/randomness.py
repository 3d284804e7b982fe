"""State of the process-global random generators: read it, and restore it."""

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
    """State of the global generators of PyTorch, NumPy and Python, from which SB3's algorithms and ours draw."""

    torch: Tensor
    cuda: Sequence[Tensor]
    """States of all devices; empty if CUDA was not used."""
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> Randomness:
        """Return the current state."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        return cls(torch.get_rng_state(), cuda, np.random.get_state(), random.getstate())  # noqa: NPY002

    def restore(self) -> None:
        """Set the generators to this state."""
        torch.set_rng_state(self.torch)
        # Only devices of this machine: a checkpoint may come from one with more of them, or with none.
        for device, state in enumerate(self.cuda[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)
        np.random.set_state(self.numpy)  # noqa: NPY002
        random.setstate(self.python)


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Restore the generators at the end of the `with` block, as if nothing had been drawn inside it."""
    before = Randomness.now()
    try:
        yield
    finally:
        before.restore()
