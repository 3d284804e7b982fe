from __future__ import annotations

import pytest
import torch
from hypothesis import settings

# A deadline is wall-clock time: on a busy machine it fails tests that have nothing wrong with them.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(autouse=True, scope="session")
def _single_thread() -> None:
    """Another number of threads gives other last bits of the same sums, so every comparison is made with one."""
    torch.set_num_threads(1)
