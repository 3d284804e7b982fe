"""Execute runs on a Ray cluster: one actor for each run at a time, in which a `Slot` supervises the run's process.

An actor of Ray is a process on one of the cluster's machines. It never trains: a run that crashes, hangs or needs too
much memory ends only its own process, is recorded as on one machine, and retried as often. If the actor itself is lost,
with its machine, a pre-empted node, or by Ray's own guard of the memory, that is no failure of the run: it goes on from
its last checkpoint in the storage on another machine, or begins anew.

Files reach the folder of results in one piece: a run is packed and stored when it has ended, and unpacked with its
record last. Each attempt stores under a name of its own, so that a machine that was only unreachable for a while, and
still computes, gets in the way of nothing.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from harness.errors import HarnessError
from harness.experiment.run_folder import n_attempts, prepare_folder
from harness.experiment.run_records import RECORD_NAME, RunRecord, write_record
from harness.printable import one_line
from harness.training.checkpoint_file import key_of_user
from harness.training.executors.attempts import Attempts
from harness.training.executors.events import (
    Finished,
    Job,
    NodeLost,
    OnEvent,
    Paused,
    Progressed,
    Retried,
    Started,
    Stopping,
)
from harness.training.executors.executor import Limits
from harness.training.executors.parcels import DamagedParcelError, Parcel, check_parcel, publish
from harness.training.executors.ray_connection import AUTO, connected
from harness.training.executors.schedule import Schedule
from harness.training.executors.slot import (
    Broken,
    Ended,
    Machine,
    PausedAt,
    SlotProcess,
    Stored,
    Task,
    this_machine,
)
from harness.training.executors.stopping import StopRequest
from harness.training.executors.storage import Storage
from harness.training.progress import Progress

__all__ = ["RayExecutor"]

MAX_LOSSES = 5
"""Machines that a run may lose one after another, without a new checkpoint in between, before it counts as failed."""

PATIENCE_SECONDS = 1800.0
"""Time to wait for any machine while there is none."""

_POLL_SECONDS = 0.5
_UNAVAILABLE_SECONDS = 1.0
_END_SECONDS = 5.0


class RayExecutor:
    """Executor on a Ray cluster that exists already; see `executor.Executor`.

    n_workers: number of runs in parallel; None for one for each core of the cluster, whose number may change.
    storage: folder that all machines share, or URL of one for fsspec.
    address: HOST:PORT of the cluster's head, or "auto" for the cluster of this machine.
    Raises HarnessError if the cluster cannot be reached or the storage cannot be written.
    """

    def __init__(self, n_workers: int | None, limits: Limits, *, storage: str, address: str = AUTO) -> None:
        self.limits = limits
        self.address = address
        self.wanted = n_workers
        self.storage = Storage(storage)
        self.storage.remove(self.storage.probe())
        with connected(address) as ray:
            self.n_workers = n_workers or _cores_of(ray)

    def run(self, jobs: Iterable[Job], on_event: OnEvent, stop: StopRequest) -> None:
        """Execute jobs until each has its record, or until the runs have heeded a request to stop."""
        with connected(self.address) as ray:
            _Execution(ray, self, jobs, on_event, stop).run()


def _cores_of(ray: Any) -> int:
    """Return the number of cores of a cluster; 1 if it has none yet, so that an autoscaler is asked for one."""
    return max(int(ray.cluster_resources().get("CPU", 0)), 1)


class _Worker:
    """An actor as the harness sees it. Exactly one request is under way at any time, except in a pause for a retry."""

    def __init__(self, actor: Any, probe: str) -> None:
        self.actor = actor
        self.machine: Machine | None = None
        """Machine of the actor, once it has started."""
        self.job: Job | None = None
        self.started = ""
        self.n_seen = 0
        self.task: Task | None = None
        """Attempt that is being started; None once it was."""
        self.retry_at: float | None = None
        self._probe = probe
        self.request: Any = None
        self.ask(stop=False)

    @property
    def name(self) -> str:
        """Name of the machine."""
        return "unknown" if self.machine is None else self.machine.name

    @property
    def is_idle(self) -> bool:
        """Return True if the actor can take a job."""
        return self.machine is not None and self.job is None

    def ask(self, *, stop: bool) -> None:
        """Send the next request: for the machine, for the start of an attempt, or for messages."""
        self.retry_at = None
        if self.machine is None:
            self.request = self.actor.machine.remote(self._probe)
        elif self.task is not None:
            self.request = self.actor.start.remote(self.task)
        elif self.job is not None:
            self.request = self.actor.messages.remote(self.n_seen, stop)
        else:
            self.request = None

    def begin(self, job: Job, task: Task) -> None:
        """Start an attempt."""
        self.job, self.task, self.n_seen = job, task, 0
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.ask(stop=False)


class _Execution:
    """One call of `RayExecutor.run`."""

    def __init__(self, ray: Any, executor: RayExecutor, jobs: Iterable[Job], on_event: OnEvent, stop: StopRequest):
        self.ray = ray
        self.limits = executor.limits
        self.wanted = executor.wanted
        self.storage = executor.storage
        self.schedule = Schedule(jobs)
        self.on_event = on_event
        self.stop = stop
        self.attempts = Attempts(self.limits.retries)
        self.workers: list[_Worker] = []
        self.losses: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        """Folder of a run -> steps of its furthest checkpoint in the storage."""
        self.here = this_machine()
        self.probe = ""
        memory = {} if self.limits.memory_bytes is None else {"memory": self.limits.memory_bytes}
        # Ray must restart and repeat nothing by itself: a run that was lost is started by this class.
        self.actor_class = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, **memory)(SlotProcess)
        self.last_machine_at = monotonic()

    @property
    def running(self) -> list[Job]:
        """Jobs that are executed now."""
        return [worker.job for worker in self.workers if worker.job is not None]

    def run(self) -> None:
        self.probe = self.storage.probe()
        told = False
        try:
            while self.running or (self.schedule.waiting and not self.stop.requested):
                if self.stop.requested and not told:
                    told = True
                    self.on_event(Stopping(tuple(self.running)))
                if not told:
                    self._hire()
                    self._hand_out()
                self._attend()
                self._check_patience()
        finally:
            self._dismiss()
            self.storage.remove(self.probe)

    def _hire(self) -> None:
        """Ask Ray for as many actors as there are runs for them; it may place them much later."""
        wanted = self.wanted or _cores_of(self.ray)
        while len(self.workers) < min(wanted, len(self.schedule.waiting) + len(self.running)):
            actor = self.actor_class.remote(self.storage.place, self.limits, key_of_user().hex(), os.getcwd())
            self.workers.append(_Worker(actor, self.probe))

    def _hand_out(self) -> None:
        """Give each idle actor a job."""
        for worker in self.workers:
            if worker.is_idle and self.schedule.waiting:
                job = self.schedule.next()
                worker.begin(job, self._task(job))
                self.on_event(Started(job))

    def _task(self, job: Job) -> Task:
        # The records of earlier attempts, by which the next one is counted.
        names = [job.run_path / RECORD_NAME, *job.run_path.glob("failed-*.json")]
        files = {path.name: path.read_bytes() for path in names if path.is_file()}
        return Task(job, uuid4().hex, self._folder(job), files)

    def _folder(self, job: Job) -> str:
        """Return the folder of a run in the storage: another one for each folder of results and each spec."""
        identity = hashlib.sha256(f"{job.run_path} {job.spec.digest}".encode()).hexdigest()
        return f"{job.spec.run_dir}-{identity[:16]}"

    def _attend(self) -> None:
        """Wait for an answer of any actor, and handle all answers that have come."""
        for worker in self.workers:
            if worker.retry_at is not None and monotonic() >= worker.retry_at:
                worker.ask(stop=self.stop.requested)
        requests = {worker.request: worker for worker in self.workers if worker.request is not None}
        if not requests:
            sleep(_POLL_SECONDS)
            return
        ready, _ = self.ray.wait(list(requests), num_returns=1, timeout=_POLL_SECONDS)
        # All that are ready, so that none waits behind an actor that always is.
        ready, _ = self.ray.wait(list(requests), num_returns=len(requests), timeout=0) if ready else ([], [])
        for request in ready:
            self._answer(requests[request])

    def _answer(self, worker: _Worker) -> None:
        errors = self.ray.exceptions
        try:
            answer = self.ray.get(worker.request)
        except errors.ActorUnavailableError:  # of the network: the actor may come back, or be declared dead
            worker.request, worker.retry_at = None, monotonic() + _UNAVAILABLE_SECONDS
            return
        except errors.RayTaskError as error:
            raise HarnessError(f"{worker.name}: {_last_line(error)}") from error
        except errors.RayError as error:
            if getattr(error, "actor_init_failed", False):
                raise HarnessError(
                    f"a machine of the cluster cannot execute runs ({_last_line(error)}); the harness, the packages of "
                    "the experiment and that of the storage must be installed on all of them"
                ) from error
            self._lose(worker)
            return
        if isinstance(answer, Machine):
            self._welcome(worker, answer)
        elif worker.task is not None:
            worker.task = None
        else:
            for message in answer:
                worker.n_seen += 1
                self._pass_on(worker, message)
        if worker in self.workers:
            worker.ask(stop=self.stop.requested)

    def _welcome(self, worker: _Worker, machine: Machine) -> None:
        """Take note of the machine of an actor; raise HarnessError if its runs would not have the same bits."""
        for problem in _obstacles(machine, self.here, self.storage.place):
            raise HarnessError(f"{machine.name}: {problem}")
        worker.machine = machine

    def _pass_on(self, worker: _Worker, message: Any) -> None:
        job = worker.job
        assert job is not None
        match message:
            case Progress():
                self.on_event(Progressed(job, message))
            case Stored(parcel=parcel):
                if parcel.steps > self.steps[job.spec.run_dir]:
                    self.steps[job.spec.run_dir] = parcel.steps
                    self.losses[job.spec.run_dir] = 0
            case Ended(record=record, parcel=parcel):
                worker.job = None
                self._collect(worker, job, record, parcel)
            case PausedAt():
                worker.job = None
                self.on_event(Paused(job))
            case Broken(reason=reason):
                raise HarnessError(reason)

    def _collect(self, worker: _Worker, job: Job, record: RunRecord, parcel: Parcel) -> None:
        """Bring the files of a run that has ended into its folder here."""
        with tempfile.TemporaryDirectory(prefix="harness-ray-") as folder:
            archive = Path(folder) / "run.tar"
            try:
                self.storage.download(parcel.name, archive)
                check_parcel(archive, parcel)
            except DamagedParcelError:  # the storage has lost something: as if the machine was lost before
                self._start_again(worker, job)
                return
            publish(archive, job.run_path)
        if record.status == "finished":
            self.storage.remove(self._folder(job))
        else:  # its checkpoint remains: the next attempt goes on from there, as on one machine
            self.storage.remove(parcel.name)
        self._finish(job, record)

    def _finish(self, job: Job, record: RunRecord) -> None:
        self.schedule.learn(record)
        if not self.stop.requested and self.attempts.again(job, record):
            self.on_event(Retried(job, record))
            self.schedule.add(job)
        else:
            self.on_event(Finished(job, record))

    def _lose(self, worker: _Worker) -> None:
        """Start the run of an actor that is gone again."""
        self.workers.remove(worker)
        with suppress(Exception):  # it may live on where Ray does not see it
            self.ray.kill(worker.actor)
        if worker.job is not None:
            self._start_again(worker, worker.job)

    def _start_again(self, worker: _Worker, job: Job) -> None:
        self.losses[job.spec.run_dir] += 1
        if self.losses[job.spec.run_dir] <= MAX_LOSSES:
            self.on_event(NodeLost(job, worker.name))
            self.schedule.waiting.insert(0, job)
            return
        self.losses[job.spec.run_dir] = 0
        message = (
            f"{MAX_LOSSES + 1} machines or workers were lost while they executed this run, the last one {worker.name}: "
            "does the run need more memory than they have?"
        )
        job.run_path.mkdir(parents=True, exist_ok=True)
        prepare_folder(job.run_path, keep_checkpoint=False)
        error = {"type": "NodeLost", "message": one_line(message, 300), "traceback": ""}
        attempts = n_attempts(job.run_path)
        record = RunRecord(job.spec, "failed", worker.started, 0.0, error=error, attempts=attempts, **job.context)
        write_record(job.run_path, record)
        self._finish(job, record)

    def _check_patience(self) -> None:
        """Raise HarnessError if there has been no machine for too long."""
        if any(worker.machine is not None for worker in self.workers):
            self.last_machine_at = monotonic()
        elif monotonic() - self.last_machine_at > PATIENCE_SECONDS:
            raise HarnessError(
                f"no machine of the cluster has taken a run for {PATIENCE_SECONDS / 60:.0f} minutes: each run needs a "
                "free core, and the memory that --memory-limit names; finished runs are kept, run the same command "
                "again to continue"
            )

    def _dismiss(self) -> None:
        """End all actors, and with them the runs that still go on."""
        with suppress(Exception):  # the cluster may be gone
            ends = [worker.actor.end.remote() for worker in self.workers if worker.machine is not None]
            if ends:
                self.ray.wait(ends, num_returns=len(ends), timeout=_END_SECONDS)
        for worker in self.workers:
            with suppress(Exception):
                self.ray.kill(worker.actor)


def _obstacles(machine: Machine, here: Machine, place: str) -> Iterator[str]:
    """Yield the reasons why a machine would not give the same bits, or its files would not arrive."""
    if not machine.sees:
        yield f"does not find in {place} what this machine wrote there; name a folder or URL that all machines share"
    if machine.code != here.code:
        yield "has other code of the harness than this machine; install the same commit on all machines"
    for package, version in here.versions.items():
        other = machine.versions.get(package, "not installed")
        if other != version:
            yield f"{package} is {other}, and {version} on this machine; install the same versions on all machines"


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else type(error).__name__, 300)
