"""What tests ask about processes that are not their children."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["group_members", "is_loading_torch", "is_running", "wait_until"]


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie, which only waits for its parent to notice."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def group_members(group: int) -> list[int]:
    """Processes of a process group that are running."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if is_running(pid) and _stat(pid)[2:3] == [str(group)]]


def is_loading_torch(pid: int) -> bool:
    """Whether the process has opened PyTorch's library: most of what it imports is still to come."""
    try:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(true: Callable[[], bool]) -> bool:
    """Whether it becomes true before a test would be hopeless."""
    for _ in range(600):
        if true():
            return True
        time.sleep(0.05)
    return False


def _stat(pid: int) -> list[str]:
    """State, parent, group and so on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
