"""Stop an experiment on a signal: the first asks for a safe end, the second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["STOP_SIGNALS", "Interrupted", "StopRequest", "signals_held", "stop_on_signals"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_held() -> Iterator[None]:
    """Deliver SIGINT, SIGTERM and SIGHUP to this thread only after the `with` block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Interrupted(KeyboardInterrupt):
    """A signal has ended the experiment; everything that was finished is kept."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Number of the signal."""


class StopRequest:
    """Request to stop, which a signal handler makes and an executor reads or waits for."""

    def __init__(self) -> None:
        self.number: int | None = None
        """Number of the signal that made the request, or None."""
        self.is_heeded = False
        """True while an executor runs, which ends safely; at other moments the first signal ends everything."""
        self._reader, self._writer = os.pipe()

    @property
    def requested(self) -> bool:
        """True once the executor must start nothing more."""
        return self.number is not None

    def fileno(self) -> int:
        """Return a file descriptor that becomes readable with the request."""
        return self._reader

    def request(self, number: int) -> None:
        """Ask the executor to stop."""
        if self.number is None:
            self.number = number
            os.write(self._writer, b"\0")

    def close(self) -> None:
        """Close the file descriptors."""
        os.close(self._reader)
        os.close(self._writer)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and SIGHUP within the `with` block into a StopRequest, and a second one into Interrupted.

    A signal that is ignored already, as SIGHUP is below `nohup`, stays ignored. Other threads than the main one get a
    request that nobody makes, as signals are handled in the main thread.
    """
    stop = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested or not stop.is_heeded:
            # Further ones would interrupt the end itself, which takes seconds at most.
            for other in handlers:
                signal.signal(other, signal.SIG_IGN)
            raise Interrupted(number)
        stop.request(number)

    handlers = {
        number: signal.signal(number, handle)
        for number in STOP_SIGNALS
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        stop.close()
