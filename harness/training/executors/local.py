"""Execute runs in processes of their own, N at a time, so that the end of a worker affects only its own run.

A process pool would be shorter, but it loses all tasks when one of its processes is killed. The processes are forked
from a forkserver that has loaded torch and SB3, so that a run starts in milliseconds and no random state is shared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from multiprocessing.connection import Connection, wait
from time import monotonic, sleep
from typing import Any

from harness.errors import HarnessError
from harness.experiment.run_records import RECORD_NAME, RunRecord, write_record
from harness.training.executors.attempts import Attempts
from harness.training.executors.events import Finished, Job, OnEvent, Paused, Progressed, Retried, Started, Stopping
from harness.training.executors.executor import Limits
from harness.training.executors.messages import Paused as PausedMessage
from harness.training.executors.messages import Unwritable
from harness.training.executors.processes import end_family
from harness.training.executors.schedule import Schedule
from harness.training.executors.server import kill_server, server_pid, start_server
from harness.training.executors.stopping import StopRequest
from harness.training.executors.worker_process import STOP_SECONDS, WorkerProcess
from harness.training.progress import Progress

__all__ = ["LocalExecutor", "run_jobs"]

_POLL_SECONDS = 0.5
"""Time between two looks at the limits of the workers."""


class LocalExecutor:
    """Executor that runs at most n_workers processes on this machine; see `executor.Executor`."""

    def __init__(self, n_workers: int, limits: Limits) -> None:
        self.n_workers = n_workers
        self.limits = limits

    def run(self, jobs: Iterable[Job], on_event: OnEvent, stop: StopRequest) -> None:
        """Execute jobs until each has its record, or until the workers have heeded a request to stop."""
        _Execution(jobs, self.n_workers, self.limits, on_event, stop).run()


def run_jobs(jobs: Iterable[Job], n_workers: int, on_event: OnEvent, limits: Limits | None = None) -> None:
    """Run all jobs, at most n_workers at the same time; return when each has its record. See `LocalExecutor`."""
    stop = StopRequest()
    try:
        LocalExecutor(n_workers, limits or Limits()).run(jobs, on_event, stop)
    finally:
        stop.close()


class _Execution:
    """One call of `LocalExecutor.run`."""

    def __init__(
        self, jobs: Iterable[Job], n_workers: int, limits: Limits, on_event: OnEvent, stop: StopRequest
    ) -> None:
        self.context = start_server()
        self.schedule = Schedule(jobs)
        self.n_workers = n_workers
        self.limits = limits
        self.on_event = on_event
        self.stop = stop
        self.attempts = Attempts(limits.retries)
        self.workers: list[WorkerProcess] = []

    def run(self) -> None:
        told = False
        try:
            while self.workers or (self.schedule.waiting and not self.stop.requested):
                while self.schedule.waiting and len(self.workers) < self.n_workers and not self.stop.requested:
                    self._start(self.schedule.next())
                if self.stop.requested and not told:
                    told = True
                    self.on_event(Stopping(tuple(worker.job for worker in self.workers)))
                    for worker in self.workers:
                        worker.ask_to_stop()
                awaited = [item for worker in self.workers for item in worker.awaited()]
                wait(awaited if told else [*awaited, self.stop.fileno()], timeout=_POLL_SECONDS)
                self.workers = [worker for worker in self.workers if self._attend_to(worker)]
        finally:
            _end(self.workers)

    def _start(self, job: Job) -> None:
        self.workers.append(WorkerProcess(job, self.context, self.limits, _run))
        self.on_event(Started(job))

    def _attend_to(self, worker: WorkerProcess) -> bool:
        """Pass the messages of a worker on as events, and hold it to its limits; return False once it has ended."""
        # Asked before the pipe is read: a process found dead here has sent everything, so nothing can be missed.
        alive = worker.is_alive()
        error = None
        worker.read_printed()
        messages, is_broken = worker.receive()
        for message in messages:
            self._pass_on(worker, message)
        if is_broken:
            error = worker.lost_connection() if worker.is_alive() else None
            alive = False
        if worker.ends_by is not None:  # its run is over, and only the process has not ended yet
            if alive and monotonic() < worker.ends_by:
                return True
            self._bury(worker)
            return False
        if alive:
            error = worker.exceeded_limit()
            if error is None:
                return True
            worker.dump_traceback()
        self._bury(worker)
        self._finish(worker.job, worker.record_of_end(error))
        return False

    def _pass_on(self, worker: WorkerProcess, message: Any) -> None:
        match message:
            case Progress():
                self.on_event(Progressed(worker.job, message))
            case RunRecord():
                worker.ends_by = monotonic() + STOP_SECONDS
                if not (worker.job.run_path / RECORD_NAME).exists():
                    # The environment has moved or removed the folder: the result must not be lost.
                    write_record(worker.job.run_path, message)
                self._finish(worker.job, message)
            case PausedMessage():
                worker.ends_by = monotonic() + STOP_SECONDS
                self.on_event(Paused(worker.job))
            case Unwritable(reason=reason):
                raise HarnessError(f"{worker.job.run_path}: the result cannot be written ({reason})")

    def _finish(self, job: Job, record: RunRecord) -> None:
        self.schedule.learn(record)
        if not self.stop.requested and self.attempts.again(job, record):
            self.on_event(Retried(job, record))
            self.schedule.add(job)
        else:
            self.on_event(Finished(job, record))

    def _bury(self, worker: WorkerProcess) -> None:
        """End a worker with everything that it has started."""
        _kill([worker], [other.pid for other in self.workers if other is not worker])


def _end(workers: Collection[WorkerProcess]) -> None:
    """End workers that are still running; their runs have no record, so that they will be run again."""
    for worker in workers:
        worker.ask_to_end()
    deadline = monotonic() + STOP_SECONDS
    while monotonic() < deadline and any(worker.is_alive() for worker in workers):
        sleep(0.01)
    _kill(workers, ())


def _kill(workers: Collection[WorkerProcess], keep: Collection[int]) -> None:
    if not workers:
        return
    for worker in workers:
        end_family(worker.pid, server_pid(), [*keep, *(other.pid for other in workers)])
    for worker in workers:
        worker.process.join(STOP_SECONDS)
    if any(worker.is_alive() for worker in workers):
        kill_server()  # it does not tell of the end of its children, as if it was stopped
    for worker in workers:
        worker.process.join()
        worker.close()


# The target of processes imports the worker module only when called: it loads torch, which this process need not.
def _run(job: Job, connection: Connection[Any, Any], printing: Connection[Any, Any]) -> None:
    from harness.training.executors.worker import isolate, run_main

    isolate()
    run_main(job, connection, printing)
