"""Functions that run in a worker process. The forkserver imports this module, so that torch and SB3 are loaded."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy.ma  # noqa: F401  imported by np.quantile
import torch
import torch._dynamo  # imported by the first optimiser of a process, which takes seconds unless it is done here
from stable_baselines3.common.utils import get_system_info

from harness.errors import HarnessError
from harness.printable import message_of
from harness.training.algorithms import import_target
from harness.training.envs.checked import steps_made
from harness.training.executors.events import Job
from harness.training.executors.messages import PARENT_DIED, Beat, Paused, Unwritable
from harness.training.executors.processes import die_with_parent
from harness.training.job import Control, execute
from harness.training.provenance import provenance

__all__ = ["call_main", "isolate", "run_main"]

BEAT_SECONDS = 1.0
"""Time between two signs of life."""


# Both take tens of milliseconds, and processes that are forked from this one inherit what they have found.
provenance()
get_system_info(print_info=False)  # SB3 writes it into every model, and searches all folders for an old package


def isolate() -> None:
    """Make this process the leader of a session, which can be ended as a whole, and tie its life to the harness's."""
    os.setsid()
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Link:
    """Connection of a worker to its executor, which two threads use."""

    def __init__(self, connection: Connection[Any, Any], control: Control) -> None:
        self.connection = connection
        self.control = control
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Send a message."""
        with self._lock:
            self.connection.send(message)

    def watch(self) -> None:
        """Send signs of life, receive a request to stop, and end this process if the harness was killed."""
        parent = multiprocessing.parent_process()
        if parent is None:
            return
        awaited: list[Any] = [parent.sentinel, self.connection]
        while True:
            ready = wait(awaited, timeout=BEAT_SECONDS)
            if parent.sentinel in ready:  # it could write into the folder of a restarted harness
                os._exit(PARENT_DIED)
            try:
                if self.connection in ready:
                    self.connection.recv()
                    self.control.stop_requested = True
                self.send(Beat(steps_made()))
            except (EOFError, OSError):  # the run is over
                return


def run_main(job: Job, connection: Connection[Any, Any], printing: Connection[Any, Any] | None = None) -> None:
    """Train the job; send its `Progress`, then its RunRecord, or `Paused`, or `Unwritable`.

    printing: pipe that gets everything this process prints, from now on; None leaves it as it is.
    """
    _prepare()
    control = Control(checkpoint_seconds=job.checkpoint_seconds, logging=job.logging, context=dict(job.context))
    link = Link(connection, control)
    control.report = link.send
    threading.Thread(target=link.watch, daemon=True).start()
    try:
        record = execute(job.spec, job.run_path, control, lambda: _print_into(printing))
        link.send(Paused() if record is None else record)
    except OSError as error:  # the record cannot be written: the disk is full or disconnected
        link.send(Unwritable(f"{type(error).__name__}: {message_of(error)}"))


def _print_into(pipe: Connection[Any, Any] | None) -> None:
    """Redirect standard output and errors, those of libraries and child processes too."""
    if pipe is None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(pipe.fileno(), 1)
    os.dup2(pipe.fileno(), 2)
    # New ones, as the old ones believe to write to a file or terminal. By lines: a buffer is lost when a run is killed.
    sys.stdout = open(1, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    pipe.close()
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


def call_main(target: str, arguments: tuple[Any, ...], connection: Connection[Any, Any]) -> None:
    """Call the function at "module:name", and send its result or a HarnessError."""
    _prepare()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        connection.send(import_target(target)(*arguments))
    except HarnessError as error:
        connection.send(error)
    except Exception as error:  # from an algorithm or environment, whose author needs the traceback
        traceback.print_exc()
        connection.send(HarnessError(f"{type(error).__name__}: {message_of(error)}"))


def _prepare() -> None:
    # Several threads would split sums differently, which changes bits, and be slower on networks of this size.
    torch.set_num_threads(1)
    # Ctrl-C is sent to the whole process group, but only the parent may stop its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", category=UserWarning, module="gymnasium|pygame")


def _die_with_parent() -> None:
    """End this process when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(PARENT_DIED)
