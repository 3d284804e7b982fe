"""Inspect processes that are not children of the test, by /proc."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["is_loading_torch", "is_running", "wait_until"]


def is_running(pid: int) -> bool:
    """Return True if the process exists and is not a zombie, which has ended but was not yet waited for."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def is_loading_torch(pid: int) -> bool:
    """Return True if the process has mapped PyTorch's library, which is the beginning of its import."""
    try:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait at most 30 s for a condition; return True if it became true."""
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on: state, parent, group ...; empty for no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
