"""Functions that run in a worker process. The forkserver imports this module, so that torch and SB3 are loaded."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
import torch._dynamo  # imported by the first optimiser of a process, which takes seconds unless it is done here

from harness.errors import HarnessError
from harness.training.algorithms import import_target
from harness.training.executors.events import Job
from harness.training.progress import Progress
from harness.training.train import train_and_record

__all__ = ["call_main", "run_main"]

PARENT_DIED = 70
"""Exit code of a worker whose parent was killed."""


def run_main(job: Job, connection: Connection[Any, Any]) -> None:
    """Train the job; send its `Progress`, then its RunRecord, or the text of an OSError if that cannot be written."""
    _prepare()

    def report(progress: Progress) -> None:
        connection.send(progress)

    try:
        connection.send(train_and_record(job.spec, job.run_path, report))
    except OSError as error:  # the record cannot be written: the disk is full or disconnected
        connection.send(f"{type(error).__name__}: {error}")


def call_main(target: str, arguments: tuple[Any, ...], connection: Connection[Any, Any]) -> None:
    """Call the function at "module:name", and send its result or a HarnessError."""
    _prepare()
    try:
        connection.send(import_target(target)(*arguments))
    except HarnessError as error:
        connection.send(error)
    except Exception as error:  # from an algorithm or environment, whose author needs the traceback
        traceback.print_exc()
        connection.send(HarnessError(f"{type(error).__name__}: {' '.join(str(error).split())}"))


def _prepare() -> None:
    # Several threads would split sums differently, which changes bits, and be slower on networks of this size.
    torch.set_num_threads(1)
    # Ctrl-C is sent to the whole process group, but only the parent may stop its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", category=UserWarning, module="gymnasium|pygame")
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this process when the parent is killed, so that it cannot write into the folder of a restarted harness."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(PARENT_DIED)
