"""One worker process as the executor sees it: its messages, its limits, what it prints, and its end."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext, ForkServerProcess
from time import monotonic, sleep
from typing import Any

from harness.errors import HarnessError
from harness.experiment.run_folder import n_attempts
from harness.experiment.run_records import RunRecord, read_record, write_record
from harness.training.executors.events import Job
from harness.training.executors.executor import Limits
from harness.training.executors.messages import PARENT_DIED, STOP, Beat, Paused, Unwritable
from harness.training.executors.processes import family_memory, signal_family
from harness.training.executors.run_log import RunLog

__all__ = ["WorkerProcess"]

STOP_SECONDS = 1.0
"""Time for a process to end by itself, after its last message or a polite signal, before it is killed."""

_CHUNK = 2**16
_CHUNKS_AT_ONCE = 16
_MEMORY_INTERVAL = 1.0
_TRACEBACK_SECONDS = 0.5


class WorkerProcess:
    """A running worker. The executor reads its messages with `receive`, and calls `exceeded_limit` now and then."""

    def __init__(self, job: Job, context: ForkServerContext, limits: Limits, target: Any) -> None:
        self.job = job
        self.limits = limits
        self.connection, other_end = context.Pipe(duplex=True)
        self.printed, printing = context.Pipe(duplex=False)
        self.process: ForkServerProcess = context.Process(target=target, args=(job, other_end, printing), daemon=True)
        self.process.start()
        other_end.close()
        printing.close()
        os.set_blocking(self.printed.fileno(), False)
        self.log = RunLog(job.run_path)
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.clock = monotonic()
        self.last_progress = self.clock
        self.last_measurement = self.clock
        self.env_steps = -1
        self.ends_by: float | None = None
        """Moment after which a process that has sent its last message is killed."""

    @property
    def pid(self) -> int:
        """Process id."""
        assert self.process.pid is not None
        return self.process.pid

    def awaited(self) -> list[Any]:
        """Return the objects to wait for: messages, printed text, and the end of the process."""
        awaited: list[Any] = [self.process.sentinel]
        if self.ends_by is None:
            awaited.append(self.connection)
        if not self.printed.closed:
            awaited.append(self.printed)
        return awaited

    def receive(self) -> tuple[list[Any], bool]:
        """Return the messages that have arrived, and True if no more can arrive because the connection is broken."""
        messages: list[Any] = []
        try:
            while self.ends_by is None and self.connection.poll():
                message = self.connection.recv()
                if not isinstance(message, Beat) or message.env_steps != self.env_steps:
                    self.last_progress = monotonic()
                if isinstance(message, Beat):
                    self.env_steps = message.env_steps
                else:
                    messages.append(message)
                    if isinstance(message, RunRecord | Paused | Unwritable):  # the last one
                        break
        except (EOFError, OSError):  # OSError: killed in the middle of a message
            return messages, True
        return messages, False

    def read_printed(self) -> None:
        """Move what the process has printed to the log of the run."""
        for _ in range(_CHUNKS_AT_ONCE):  # and no more: other workers wait
            if self.printed.closed:
                return
            try:
                data = os.read(self.printed.fileno(), _CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self.log.add(data)
            else:
                self.printed.close()

    def ask_to_stop(self) -> None:
        """Ask the run to pause at its next checkpoint."""
        with suppress(OSError):  # it has just ended
            self.connection.send(STOP)

    def exceeded_limit(self) -> dict[str, str] | None:
        """Return the error of a run that is beyond one of its limits, else None."""
        now = monotonic()
        allowed = self.limits.seconds_for(self.job.spec)
        if now - self.clock > allowed:
            return _error("TimeLimitExceeded", f"the run took more than its limit of {allowed:,.0f} s")
        if now - self.last_progress > self.limits.stall_seconds:
            seconds = f"{self.limits.stall_seconds:,.0f} s"
            return _error("RunStalled", f"no step of an environment and no other progress for {seconds}")
        allowed_bytes = self.limits.memory_bytes
        if allowed_bytes is not None and now - self.last_measurement > _MEMORY_INTERVAL:
            self.last_measurement = now
            used = family_memory(self.pid)
            if used > allowed_bytes:
                sizes = f"{used / 2**20:,.0f} MiB, more than its limit of {allowed_bytes / 2**20:,.0f} MiB"
                return _error("MemoryLimitExceeded", f"the run used {sizes}")
        return None

    def lost_connection(self) -> dict[str, str] | None:
        """Return the error of a run whose process has closed its connection; None if it has just ended."""
        self.process.join(STOP_SECONDS)
        return _error("WorkerDied", "the worker process closed its connection") if self.is_alive() else None

    def dump_traceback(self) -> None:
        """Let the process print where it hangs into the log of the run; without effect if it is stopped."""
        try:
            os.kill(self.pid, signal.SIGUSR1)
        except ProcessLookupError:
            return
        end = monotonic() + _TRACEBACK_SECONDS
        while monotonic() < end:
            self.read_printed()
            sleep(0.02)

    def is_alive(self) -> bool:
        """Return True while the process runs."""
        return self.process.is_alive()

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process and those it has started."""
        signal_family(self.pid, signal.SIGTERM)

    def close(self) -> None:
        """Release everything that belongs to a process that has ended."""
        self.read_printed()
        self.printed.close()
        self.log.close()
        self.connection.close()

    def record_of_end(self, error: dict[str, str] | None) -> RunRecord:
        """Return and write the record of a run whose process ended without sending one.

        error: reason if the executor ended it; None if it ended by itself.
        Raises HarnessError if the record cannot be written.
        """
        try:
            written = read_record(self.job.run_path)
            if written is not None:  # it ended after it wrote its record
                return written
            record = RunRecord(
                self.job.spec,
                "failed",
                self.started,
                monotonic() - self.clock,
                error=error or _error("WorkerDied", _cause_of_death(self.process.exitcode)),
                attempts=n_attempts(self.job.run_path),
                **self.job.context,
            )
            write_record(self.job.run_path, record)
        except (OSError, HarnessError) as problem:
            raise HarnessError(f"{self.job.run_path}: the result cannot be written ({problem})") from problem
        return record


def _error(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message, "traceback": ""}


def _cause_of_death(exitcode: int | None) -> str:
    if exitcode == 0:
        return "the worker process ended without a result (exit code 0): did the environment call os._exit?"
    if exitcode == PARENT_DIED:
        return "the worker process lost its connection to the harness: did the environment close all files?"
    if exitcode is None or exitcode > 0:
        return f"the worker process died (exit code {exitcode})"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    hint = ": probably out of memory, or killed by a user" if name == "SIGKILL" else ""
    return f"the worker process died ({name}{hint})"
