"""The process from which workers are forked: a forkserver of the standard library that has loaded torch and SB3."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext
from typing import Any

__all__ = ["kill_server", "server_pid", "start_server"]

_PRELOADED = (
    "harness.training.executors.forked",
    "harness.training.executors.worker",
    "custom_ppo.sb3",  # its vector environments step those of every run
    # Imported by a run when it needs them, which would take each of them 10 ms: by evaluations, by the first model that
    # is saved, and by the first environment of this family.
    "custom_ppo.engines.native.prediction",
    "torch.utils.serialization",
    "gymnasium.envs.classic_control",
    "harness.cli",  # every process imports the main module of its parent first
)
"""Modules that the forkserver loads, so that its children need not."""


def start_server() -> ForkServerContext:
    """Start the forkserver unless it runs already, and return the context that makes processes with it."""
    # Set before the forkserver starts: libraries read these variables when they are loaded.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    # Ctrl-C is sent to every process of the terminal. A forkserver that is loading torch, and a worker that does not
    # yet ignore the signal, would print a traceback, so both inherit a blocked SIGINT. The resource tracker must be
    # running before, since starting it unblocks SIGINT.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return context


def server_pid() -> int | None:
    """Return the process id of the forkserver, or None if there is none."""
    server: Any = forkserver._forkserver
    pid: int | None = server._forkserver_pid
    return pid


def kill_server() -> None:
    """Kill the forkserver, which kills its workers and closes the pipes by which it tells of their end."""
    pid = server_pid()
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
