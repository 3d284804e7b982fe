"""Executors and displays by name, as the command line offers them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from rich.console import Console

from harness.config import ExecutionConfig
from harness.training.executors.display import Display
from harness.training.executors.events import Job, OnEvent
from harness.training.executors.executor import Executor, Limits
from harness.training.executors.json_progress import JsonProgress
from harness.training.executors.local import LocalExecutor
from harness.training.executors.server import kill_server

__all__ = ["EXECUTORS", "displays", "end_server", "executor_named"]


def executor_named(name: str, n_workers: int, execution: ExecutionConfig) -> Executor:
    """Return an executor with these limits; name: a key of EXECUTORS."""
    limits = Limits(execution.time_limit, execution.stall_limit, execution.memory_limit, execution.retries)
    return EXECUTORS[name](n_workers, limits)


EXECUTORS: dict[str, Callable[[int, Limits], Executor]] = {"local": LocalExecutor}
"""Name -> function that makes the executor."""


def end_server() -> None:
    """End the process that forks workers at once, even while it is loading its libraries, which takes seconds."""
    kill_server()


def displays(as_json: bool) -> Callable[[Sequence[Job], int, Console], AbstractContextManager[OnEvent]]:
    """Return the function that makes the display of a comparison: for people, or JSON on standard output."""
    if not as_json:
        return Display
    return lambda jobs, n_workers, _: JsonProgress(jobs, n_workers, sys.stdout)
