"""Executors and displays by name, as the command line offers them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console

from harness.config import ExecutionConfig
from harness.errors import HarnessError
from harness.training.executors.display import Display
from harness.training.executors.events import Job, OnEvent
from harness.training.executors.executor import Executor, Limits
from harness.training.executors.json_progress import JsonProgress
from harness.training.executors.local import LocalExecutor
from harness.training.executors.server import kill_server

__all__ = ["EXECUTORS", "check_executor", "cores", "displays", "end_server", "executor_named"]


def executor_named(
    name: str,
    n_workers: int | None,
    execution: ExecutionConfig,
    *,
    address: str | None = None,
    storage: str | None = None,
) -> Executor:
    """Return an executor with these limits; name: a key of EXECUTORS.

    n_workers: number of runs in parallel; None for one per core, of this machine or of the cluster.
    address, storage: of the cluster; see `RayExecutor`. Raises HarnessError if it cannot be used.
    """
    check_executor(name, address=address, storage=storage)
    limits = Limits(execution.time_limit, execution.stall_limit, execution.memory_limit, execution.retries)
    return EXECUTORS[name](n_workers, limits, address, storage)


def check_executor(name: str, *, address: str | None, storage: str | None) -> None:
    """Raise HarnessError if an executor is unknown, or lacks a setting, or has one that is not its own."""
    if name not in EXECUTORS:
        raise HarnessError(f"--executor: expected {' or '.join(EXECUTORS)}, got {name!r:.50}")
    if name == "ray" and storage is None:
        raise HarnessError(
            "--executor ray needs --storage: a folder that all machines share, or a URL such as s3://..."
        )
    for option, value in (("address", address), ("storage", storage)):
        if name == "local" and value is not None:
            raise HarnessError(f"--{option} is for --executor ray; the executor is local")


def cores() -> int:
    """Return the number of cores that this process may use."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _local(n_workers: int | None, limits: Limits, address: str | None, storage: str | None) -> Executor:
    return LocalExecutor(n_workers or cores(), limits)


def _ray(n_workers: int | None, limits: Limits, address: str | None, storage: str | None) -> Executor:
    # Imported here: it prepares for other machines what this one alone does not need.
    from harness.training.executors.ray_cluster import RayExecutor
    from harness.training.executors.ray_connection import AUTO

    assert storage is not None
    return RayExecutor(n_workers, limits, storage=storage, address=address or AUTO)


EXECUTORS: dict[str, Callable[[int | None, Limits, str | None, str | None], Executor]] = {"local": _local, "ray": _ray}
"""Name -> function that makes the executor."""


def end_server() -> None:
    """End the process that forks workers at once, even while it is loading its libraries, which takes seconds."""
    kill_server()


def displays(as_json: bool) -> Callable[[Sequence[Job], int, Console], AbstractContextManager[OnEvent]]:
    """Return the function that makes the display of a comparison: for people, or JSON on standard output."""
    if not as_json:
        return Display
    return lambda jobs, n_workers, _: JsonProgress(jobs, n_workers, sys.stdout)
