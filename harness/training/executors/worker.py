"""The process of one run. The forkserver imports this module once, so workers start with torch and SB3 loaded."""

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
import torch._dynamo  # every first optimiser of a process waits seconds for it, unless the forkserver has it

from harness.errors import HarnessError
from harness.experiment.progress import Progress
from harness.training.algorithms import import_target
from harness.training.executors.events import Job
from harness.training.train import train_and_record

__all__ = ["call_main", "run_main"]

PARENT_DIED = 70


def run_main(job: Job, connection: Connection[Any, Any]) -> None:
    """Train the job; sends `Progress`, and at the end the RunRecord, or the text of the OSError that ended it."""
    _prepare()

    def report(progress: Progress) -> None:
        connection.send(progress)

    try:
        connection.send(train_and_record(job.spec, job.run_path, report))
    except OSError as error:  # the record itself could not be written: the disk is full or gone
        connection.send(f"{type(error).__name__}: {error}")


def call_main(target: str, arguments: tuple[Any, ...], connection: Connection[Any, Any]) -> None:
    """Send what the function at "module:name" returns: work that needs torch, for a process that has not loaded it."""
    _prepare()
    try:
        connection.send(import_target(target)(*arguments))
    except HarnessError as error:
        connection.send(error)
    except Exception as error:  # of an algorithm or environment: its author needs the traceback
        traceback.print_exc()
        connection.send(HarnessError(f"{type(error).__name__}: {' '.join(str(error).split())}"))


def _prepare() -> None:
    # One thread: two give other bits (sums are split differently), and are slower on networks of this size.
    torch.set_num_threads(1)
    # Ctrl-C goes to the whole process group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", category=UserWarning, module="gymnasium|pygame")
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this process when the parent is killed, or a restarted harness would find it writing to the same folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(PARENT_DIED)
