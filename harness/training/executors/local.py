"""Execute runs in processes of their own, N at a time, so that the death of a worker affects only its own run.

A process pool would be shorter, but it loses all tasks when one of its processes is killed. The processes are forked
from a forkserver that has loaded torch and SB3, so that a run starts in milliseconds and no random state is shared.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from time import monotonic
from typing import Any

from harness.errors import HarnessError
from harness.experiment.run_records import RECORD_NAME, RunRecord, read_record, write_record
from harness.training.executors.events import Finished, Job, OnEvent, Progressed, RunEvent, Started
from harness.training.executors.schedule import Schedule

__all__ = ["call_in_worker", "call_in_workers", "run_jobs"]

WORKER_MODULE = "harness.training.executors.worker"
STOP_SECONDS = 5.0
"""Time for a process to end by itself before it is killed."""


@dataclass(frozen=True)
class Worker:
    """A running process, and the receiving end of its pipe."""

    job: Job
    process: ForkServerProcess
    connection: Connection[Any, Any]
    started: str
    clock: float


def run_jobs(jobs: Iterable[Job], n_workers: int, on_event: OnEvent) -> None:
    """Run all jobs, at most n_workers at the same time; return when each has its record.

    Files in the folder of a job are removed first: they are the remains of an interrupted or failed run.
    An exception (KeyboardInterrupt in particular) stops the workers and is raised again; finished runs are kept.
    Raises HarnessError if a worker cannot write its record, because then no other worker can.
    """
    context = _context()
    schedule = Schedule(jobs)
    workers: list[Worker] = []

    def note(event: RunEvent) -> None:
        if isinstance(event, Finished):
            schedule.learn(event.record)
        on_event(event)

    try:
        while schedule.waiting or workers:
            while schedule.waiting and len(workers) < n_workers:
                workers.append(_start(context, schedule.next(), note))
            # Also on the sentinels: the pipe of a dead worker stays open if a child of the worker inherited it.
            wait([w.connection for w in workers] + [w.process.sentinel for w in workers])
            workers = [worker for worker in workers if _is_running(worker, note)]
    finally:
        _stop(workers)


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
    context = _context()
    running = []
    try:
        for arguments in calls:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_call, args=(target, arguments, sender), daemon=True)
            process.start()
            sender.close()  # the worker holds the only other copy, so its death ends the pipe instead of blocking recv
            running.append((process, receiver))
        return [_received(process, receiver) for process, receiver in running]
    except BaseException:
        for process, _ in running:
            process.terminate()
        raise
    finally:
        for process, receiver in running:
            receiver.close()
            process.join()


def _received(process: ForkServerProcess, receiver: Connection[Any, Any]) -> Any:
    """Return the result that a worker sends; raise HarnessError if it sends one or dies."""
    try:
        result = receiver.recv()
    except EOFError:
        process.join()
        raise HarnessError(f"a worker process died ({_cause_of_death(process.exitcode)})") from None
    if isinstance(result, HarnessError):
        raise result
    return result


def _context() -> ForkServerContext:
    # Set before the forkserver starts: libraries read these variables when they are loaded.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([WORKER_MODULE])
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


# The two targets of processes import the worker module only when called: it loads torch, which this process need not.
def _run(job: Job, connection: Connection[Any, Any]) -> None:
    from harness.training.executors.worker import run_main

    run_main(job, connection)


def _call(target: str, arguments: tuple[Any, ...], connection: Connection[Any, Any]) -> None:
    from harness.training.executors.worker import call_main

    call_main(target, arguments, connection)


def _start(context: ForkServerContext, job: Job, on_event: OnEvent) -> Worker:
    _clear(job)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    on_event(Started(job))
    return Worker(job, process, receiver, datetime.now(UTC).isoformat(timespec="seconds"), monotonic())


def _clear(job: Job) -> None:
    """Empty the folder of a run without finished record; records of failed attempts are kept as failed-N.json."""
    path = job.run_path
    if not path.exists():
        return
    for entry in path.iterdir():
        if entry.name == RECORD_NAME:
            attempts = sum(1 for _ in path.glob("failed-*.json"))
            entry.rename(path / f"failed-{attempts + 1}.json")
        elif not entry.name.startswith("failed-"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _is_running(worker: Worker, on_event: OnEvent) -> bool:
    """Pass the messages of a worker on as events; return False once the run has ended."""
    # Checked before the pipe is read: a process found dead here has sent everything, so nothing can be missed.
    alive = worker.process.is_alive()
    try:
        while worker.connection.poll():
            message = worker.connection.recv()
            if isinstance(message, RunRecord):
                return _finish(worker, message, on_event)
            if isinstance(message, str):
                raise HarnessError(f"{worker.job.run_path}: the result cannot be written ({message})")
            on_event(Progressed(worker.job, message))
    except (EOFError, OSError):  # OSError: killed in the middle of a message
        alive = False
    return True if alive else _finish(worker, _record_of_dead(worker), on_event)


def _finish(worker: Worker, record: RunRecord, on_event: OnEvent) -> bool:
    worker.process.join(STOP_SECONDS)
    _stop([worker])  # threads of an environment may keep the process from ending
    worker.connection.close()
    on_event(Finished(worker.job, record))
    return False


def _record_of_dead(worker: Worker) -> RunRecord:
    """Return and write the record of a run whose process died before it sent one."""
    worker.process.join()
    written = read_record(worker.job.run_path)
    if written is not None:  # the process died after writing its record
        return written
    message = f"the worker process died ({_cause_of_death(worker.process.exitcode)})"
    error = {"type": "WorkerDied", "message": message, "traceback": ""}
    seconds = monotonic() - worker.clock
    record = RunRecord(worker.job.spec, "failed", worker.started, seconds, error=error)
    write_record(worker.job.run_path, record)
    return record


def _cause_of_death(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"exit code {exitcode}"
    name = signal.Signals(-exitcode).name
    hint = ": probably out of memory, or killed by a user" if name == "SIGKILL" else ""
    return f"{name}{hint}"


def _stop(workers: Iterable[Worker]) -> None:
    """End processes that are still running; their runs have no record, so that they will be run again."""
    running = list(workers)
    for worker in running:
        worker.process.terminate()
    for worker in running:
        worker.process.join(STOP_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
