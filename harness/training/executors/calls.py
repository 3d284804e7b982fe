"""Call a function in processes that have torch and SB3 loaded, which this process need not load."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from harness.errors import HarnessError
from harness.training.executors.processes import end_family
from harness.training.executors.server import server_pid, start_server

__all__ = ["Call", "WorkerEndedError", "call_in_worker", "call_in_workers", "outcomes_of_calls"]


class WorkerEndedError(HarnessError):
    """The process of a call died, or was ended because it took too long."""


class Call:
    """A function that runs in a process of its own.

    target: "module:name" of the function.
    silent: True drops everything that the process prints.
    """

    def __init__(self, target: str, arguments: tuple[Any, ...], *, silent: bool = False) -> None:
        context = start_server()
        self.receiver, sender = context.Pipe(duplex=False)
        self.process: ForkServerProcess = context.Process(
            target=_call, args=(target, arguments, sender, silent), daemon=True
        )
        self.process.start()
        sender.close()  # the worker holds the only other copy, so its death ends the pipe instead of blocking recv

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result; raise HarnessError if the function raises one, or WorkerEndedError.

        timeout: seconds to wait; None waits for ever.
        """
        if not self.receiver.poll(timeout):
            raise WorkerEndedError(f"a worker process has not answered for {timeout:.0f} s")
        try:
            result = self.receiver.recv()
        except EOFError:
            self.process.join()
            raise WorkerEndedError(f"a worker process died ({_exit_of(self.process.exitcode)})") from None
        if isinstance(result, HarnessError):
            raise result
        return result

    def end(self, keep: Sequence[int] = ()) -> None:
        """End the process, if it still runs, with all that it has started.

        keep: ids of other processes of the forkserver, which go on.
        """
        self.receiver.close()
        assert self.process.pid is not None
        if self.process.is_alive():
            self.process.join(0.2)  # it has sent its result and ends by itself
        end_family(self.process.pid, server_pid(), keep)
        self.process.join()


def call_in_worker(target: str, *arguments: Any) -> Any:
    """Call the function at "module:name" in a process with torch and SB3 loaded, and return its result.

    A HarnessError of the function is raised again; any other exception, or the death of the process, becomes one.
    """
    (result,) = call_in_workers(target, [arguments])
    return result


def call_in_workers(target: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call a function several times in parallel, each in its own process; return the results in order of the calls.

    calls: the arguments of each call. An error of one call, or Ctrl-C in this process, ends all calls.
    """
    running: list[Call] = []
    is_done = False
    try:
        for arguments in calls:  # one by one, so that an interruption in between leaves none behind
            running.append(Call(target, arguments))  # noqa: PERF401
        results = [call.result() for call in running]
        is_done = True
        return results
    finally:
        if not is_done:
            for call in running:
                call.process.terminate()
        pids = [call.process.pid for call in running if call.process.pid is not None]
        for call in running:
            call.end([pid for pid in pids if pid != call.process.pid])


def outcomes_of_calls(
    target: str, calls: Sequence[tuple[Any, ...]], *, n_workers: int, timeout: float
) -> list[Any | HarnessError]:
    """Call a function several times, at most n_workers at once and silently; return a result or an error for each.

    timeout: seconds after which a call is ended. An error or the end of one process does not affect the other calls.
    """
    outcomes: list[Any | HarnessError] = []
    running: deque[Call] = deque()
    waiting = deque(calls)
    try:
        while running or waiting:
            while waiting and len(running) < n_workers:
                running.append(Call(target, waiting.popleft(), silent=True))
            try:
                outcomes.append(running[0].result(timeout))
            except HarnessError as error:
                outcomes.append(error)
            running[0].end(keep=[call.process.pid for call in list(running)[1:] if call.process.pid is not None])
            running.popleft()
    finally:
        for call in running:
            call.end()
    return outcomes


# The target imports the worker module only when called: it loads torch, which this process need not.
def _call(target: str, arguments: tuple[Any, ...], connection: Connection[Any, Any], silent: bool) -> None:
    from harness.training.executors.worker import call_main, isolate

    isolate()
    if silent:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    call_main(target, arguments, connection)


def _exit_of(exitcode: int | None) -> str:
    return f"exit code {exitcode}" if exitcode is None or exitcode >= 0 else signal.Signals(-exitcode).name
