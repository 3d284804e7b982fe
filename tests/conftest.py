from __future__ import annotations

import signal

import pytest
import torch
from hypothesis import settings

# Deadlines measure wall-clock time, so that correct tests would fail on a busy machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(autouse=True, scope="session")
def _single_thread() -> None:
    """Set one thread: another number of threads changes the last bits of sums, and with them every comparison."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Restore Ctrl-C if a shell has ignored it, as shells do for background processes; tests send it to workers."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
