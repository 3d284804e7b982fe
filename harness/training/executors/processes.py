"""Families of processes: find the descendants of a worker by /proc, measure their memory, and end all of them.

An environment may fork, or start programs, some of them in sessions of their own. Workers lead a session each, and the
process from which they are forked adopts orphans (see `forked`), so that nothing can leave the family unnoticed.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["adopt_orphans", "children_of", "die_with_parent", "end_family", "family_memory", "signal_family"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGESIZE")
_ROUNDS = 10
"""Largest number of searches for processes that were started while others were ended."""


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, even if it is stopped or hangs outside of Python."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Let the descendants of this process whose parent has ended become children of this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # of Linux only
        libc.prctl(option, value, 0, 0, 0)


def signal_family(leader: int, number: int) -> None:
    """Send a signal to all processes of the group that a worker leads; an ended group is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_family(leader: int | None, server: int | None, keep: Collection[int]) -> None:
    """Kill a worker and everything that descends from it.

    leader: process id of the worker, or None if there is none.
    server: process id of the process that forks workers: its children that are not in `keep` are killed with their
        descendants, as they are orphans of an ended worker.
    """
    if leader is not None:
        for pid in [leader, *_descendants(leader)]:
            signal_family(pid, signal.SIGKILL)  # a program in a session of its own leads its own group
            _kill(pid)
    for _ in range(_ROUNDS):
        orphans = [pid for pid in children_of(server) if pid not in keep and not _is_zombie(pid)] if server else []
        if not orphans:
            return
        for orphan in orphans:
            for pid in [orphan, *_descendants(orphan)]:
                _kill(pid)


def family_memory(leader: int) -> int:
    """Return the bytes of memory that a process and its descendants have for themselves, without files they mapped."""
    return sum(_memory(pid) for pid in [leader, *_descendants(leader)])


def _memory(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE  # resident minus shared


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is read
        found += [child for child in children_of(parent) if child not in found]
    return found[1:]


def children_of(pid: int) -> Iterator[int]:
    """Yield the ids of the child processes of a process, ended ones that were not waited for included."""
    # One file per thread, since a child belongs to the thread that started it.
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
        except OSError:
            continue
        yield from map(int, text.split())


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return True
