"""Call a function in processes that have torch and SB3 loaded, which this process need not load."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from time import monotonic
from typing import Any

from harness.errors import HarnessError
from harness.training.executors.processes import end_family
from harness.training.executors.server import server_pid, start_server

__all__ = ["Call", "WorkerEndedError", "call_in_worker", "call_in_workers", "finished_calls", "outcomes_of_calls"]


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


def finished_calls(
    target: str, calls: Sequence[tuple[Any, ...]], *, n_workers: int, timeout: float | None = None, silent: bool = False
) -> Generator[tuple[int, Any | HarnessError], None, None]:
    """Call a function several times, at most n_workers at once; yield (index of the call, its result or its error).

    Calls are yielded in the order in which they end, each as soon as it has. A call that raises, dies, or has not ended
    `timeout` seconds after its start costs no other call. All that still run are ended when the generator is closed.
    silent: True drops everything that the processes print.
    """
    waiting = deque(enumerate(calls))
    running: dict[int, tuple[Call, float]] = {}
    try:
        while running or waiting:
            while waiting and len(running) < n_workers:
                index, arguments = waiting.popleft()
                running[index] = Call(target, arguments, silent=silent), monotonic()
            left = [timeout - (monotonic() - start) for _, start in running.values()] if timeout is not None else []
            ready = wait([call.receiver for call, _ in running.values()], timeout=max(min(left), 0.0) if left else None)
            for index, (call, start) in list(running.items()):
                if call.receiver not in ready and (timeout is None or monotonic() - start < timeout):
                    continue
                outcome: Any = None
                try:
                    outcome = call.result(0.0)
                except WorkerEndedError as error:
                    late = WorkerEndedError(f"a worker process has not answered for {timeout or 0:.0f} s")
                    outcome = error if call.receiver in ready else late
                except HarnessError as error:
                    outcome = error
                del running[index]
                others = [other.process.pid for other, _ in running.values() if other.process.pid is not None]
                call.end(keep=others)
                yield index, outcome
    finally:
        for call, _ in running.values():
            call.end()


def outcomes_of_calls(
    target: str, calls: Sequence[tuple[Any, ...]], *, n_workers: int, timeout: float
) -> list[Any | HarnessError]:
    """Return the result or error of each call of `finished_calls`, silently, in the order of the calls."""
    found = dict(finished_calls(target, calls, n_workers=n_workers, timeout=timeout, silent=True))
    return [found[index] for index in range(len(calls))]


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
