from __future__ import annotations

import signal

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


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C works in the tests, also below a shell that ignores it for what it runs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
