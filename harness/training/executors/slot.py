"""One run at a time on a machine of a cluster, started and asked from elsewhere. The module knows of no cluster.

A run is executed as on one machine, by a `LocalExecutor` with one worker: in a process of its own, with the same
limits, messages and records. It writes into a folder of this machine, which is packed and stored at each checkpoint and
at its end. The folder has the same path on all machines, as a checkpoint holds absolute paths.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.experiment.run_folder import CHECKPOINT_NAME, lock_folder
from harness.experiment.run_records import RECORD_NAME, RunRecord
from harness.printable import message_of
from harness.training.checkpoint_file import KEY_VARIABLE, read_checkpoint
from harness.training.executors.events import Finished, Job, Paused, Progressed, RunEvent
from harness.training.executors.executor import Limits
from harness.training.executors.local import LocalExecutor
from harness.training.executors.parcels import DamagedParcelError, Parcel, check_parcel, pack, unpack
from harness.training.executors.stopping import StopRequest
from harness.training.executors.storage import Storage, StorageError
from harness.training.progress import Progress
from harness.training.provenance import provenance

__all__ = ["Broken", "Ended", "Machine", "PausedAt", "Slot", "SlotProcess", "Stored", "Task", "this_machine"]

WAIT_SECONDS = 1.0
"""Longest time that a request for messages waits for one."""

END_SECONDS = 4.0
"""Time for a run to end at once."""

_SCRATCH = Path("/tmp")  # and not $TMPDIR, which may differ between machines


@dataclass(frozen=True)
class Machine:
    """Machine of a cluster, with what must be equal on all of them for the same bits."""

    name: str
    versions: Mapping[str, str]
    code: str
    """SHA-256 of the source files of the harness and of custom_ppo."""

    sees: bool = True
    """True if the machine reads in the storage what the harness has written there."""


@dataclass(frozen=True)
class Task:
    """An attempt of a run."""

    job: Job
    attempt: str
    """Identifier of the attempt: what a lost machine still writes gets in the way of no later attempt."""

    folder: str
    """Folder of the run in the storage."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    """Name -> contents of the records of earlier attempts, in the folder of the run."""


@dataclass(frozen=True)
class Stored:
    """A checkpoint of the run is in the storage."""

    parcel: Parcel


@dataclass(frozen=True)
class Ended:
    """The run has ended, and its files are in the storage."""

    record: RunRecord
    parcel: Parcel


@dataclass(frozen=True)
class PausedAt:
    """The run has stopped at a checkpoint, which is in the storage."""


@dataclass(frozen=True)
class Broken:
    """The run cannot be executed or its files cannot be stored, so that the experiment must end."""

    reason: str


Message = Progress | Stored | Ended | PausedAt | Broken


class Slot:
    """Place for one run at a time on this machine.

    storage: see `Storage`. limits: of each run; retries are left to the caller.
    """

    def __init__(self, storage: str, limits: Limits) -> None:
        self.storage = Storage(storage)
        self.limits = replace(limits, retries=0)
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._n_forgotten = 0
        self._task: Task | None = None
        self._stop = _StopOrEnd()
        self._thread: threading.Thread | None = None
        self._stored: Parcel | None = None
        self._n_stored = 0
        self._seen: tuple[int, int] | None = None
        """Inode and time of the checkpoint that was looked at last."""

    def machine(self, probe: str) -> Machine:
        """Return this machine; probe: name and contents of a file that the harness has written to the storage."""
        try:
            sees = self.storage.read(probe) == probe.encode()
        except StorageError:
            sees = False
        return replace(this_machine(), sees=sees)

    def start(self, task: Task) -> None:
        """Start an attempt, unless it is started already; the one before must have ended."""
        if self._task is not None and self._task.attempt == task.attempt:
            return
        if self._thread is not None:
            self._thread.join()  # it has told the last message of its run, and only has to end
        self._task = task
        self._messages, self._n_forgotten = [], 0
        self._stop.close()
        self._stop = _StopOrEnd()
        self._stored, self._n_stored, self._seen = None, 0, None
        self._thread = threading.Thread(target=self._work, args=(task,), daemon=True)
        self._thread.start()

    def messages(self, n_seen: int, stop: bool) -> list[Message]:
        """Return the messages of the run after the first `n_seen`, which are forgotten; wait a second for one.

        stop: True asks the run to pause at its next checkpoint. A request that was lost on its way can be repeated.
        """
        if stop:
            self._stop.request(1)
        with self._changed:
            del self._messages[: n_seen - self._n_forgotten]
            self._n_forgotten = max(n_seen, self._n_forgotten)
            self._changed.wait_for(lambda: self._messages, WAIT_SECONDS)
            return list(self._messages)

    def end(self) -> None:
        """End the run at once, with all that it has started, and remove its folder."""
        self._stop.end()
        if self._thread is not None:
            self._thread.join(END_SECONDS)

    def _tell(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    def _work(self, task: Task) -> None:
        try:
            with _own_folder(_scratch_of(task)) as scratch:
                last = self._execute(task, scratch)
        except Exception as error:  # the caller learns of everything, as nobody reads what this machine prints
            is_ours = isinstance(error, HarnessError)
            reason = str(error) if is_ours else f"{type(error).__name__}: {message_of(error)}"
            last = Broken(f"{socket.gethostname()}: {task.job.spec.label}: {reason}")
        # Only now, as the next attempt may need the same folder.
        self._tell(last)

    def _execute(self, task: Task, scratch: Path) -> Message:
        """Execute an attempt, store its files, and return its last message."""
        run_path = scratch / task.job.spec.run_dir
        nodes = (*self._continue(task, run_path, scratch), socket.gethostname())
        job = replace(task.job, run_path=run_path, context={**task.job.context, "nodes": nodes})
        outcome: list[RunRecord] = []

        def on_event(event: RunEvent) -> None:
            match event:
                case Progressed(progress=progress):
                    self._tell(progress)
                    self._store_checkpoint(task, run_path, scratch, nodes)
                case Paused():
                    self._store_checkpoint(task, run_path, scratch, nodes)
                case Finished(record=record):
                    outcome.append(record)

        LocalExecutor(1, self.limits).run([job], on_event, self._stop)
        if not outcome:
            return PausedAt()
        # After the executor has ended: what the run printed last is in its log only then.
        return Ended(outcome[0], self._store(task, run_path, scratch, Parcel("end", 0, "", nodes=nodes)))

    def _continue(self, task: Task, run_path: Path, scratch: Path) -> tuple[str, ...]:
        """Bring the folder of a run to the state of its last checkpoint; return the machines until then."""
        run_path.mkdir(parents=True)
        nodes: tuple[str, ...] = ()
        archive = scratch / "checkpoint.tar"
        for parcel in self._checkpoints(task):
            try:
                self.storage.download(parcel.name, archive)
                check_parcel(archive, parcel)
                unpack(archive, run_path)
            except (StorageError, DamagedParcelError):  # the machine was lost while it wrote this one
                continue
            nodes = parcel.nodes
            break
        archive.unlink(missing_ok=True)
        for name, content in task.files.items():
            (run_path / name).write_bytes(content)
        return nodes

    def _checkpoints(self, task: Task) -> list[Parcel]:
        """Return the checkpoints of a run that are in the storage, the furthest first."""
        found = []
        for name in self.storage.names(task.folder):
            if name.endswith(".json"):
                with suppress(StorageError, ValueError, TypeError, KeyError):  # half-written by a lost machine
                    found.append(Parcel.from_text(self.storage.read(name)))
        return sorted(found, key=lambda parcel: parcel.steps, reverse=True)

    def _store_checkpoint(self, task: Task, run_path: Path, scratch: Path, nodes: tuple[str, ...]) -> None:
        """Store the folder of the run if there is a newer checkpoint than the one that was stored last."""
        try:
            status = (run_path / CHECKPOINT_NAME).stat()
        except OSError:
            return
        if (status.st_ino, status.st_mtime_ns) == self._seen:
            return
        self._seen = status.st_ino, status.st_mtime_ns
        found = read_checkpoint(run_path / CHECKPOINT_NAME)
        if found is None or (self._stored is not None and found[0]["steps"] <= self._stored.steps):
            return
        before = self._stored
        parcel = self._store(
            task, run_path, scratch, Parcel(f"{self._n_stored}", 0, "", steps=found[0]["steps"], nodes=nodes)
        )
        self.storage.write(f"{parcel.name}.json", parcel.as_text().encode())
        self._stored, self._n_stored = parcel, self._n_stored + 1
        self._tell(Stored(parcel))
        if before is not None:
            self.storage.remove(f"{before.name}.json")
            self.storage.remove(before.name)

    def _store(self, task: Task, run_path: Path, scratch: Path, draft: Parcel) -> Parcel:
        archive = scratch / "parcel.tar"
        # A run that has just ended may have its record already, which would count as that of an earlier attempt.
        size, digest = pack(run_path, archive, without=[RECORD_NAME if draft.steps else CHECKPOINT_NAME])
        parcel = replace(draft, name=f"{task.folder}/{task.attempt}-{draft.name}.tar", size=size, digest=digest)
        self.storage.upload(archive, parcel.name)
        archive.unlink()
        return parcel


class _EndedError(HarnessError):
    """The run was ended at once."""


class _StopOrEnd(StopRequest):
    """Request to stop that can also end the executor at once: it then raises where the executor asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self._is_ended = False

    @property
    def requested(self) -> bool:
        """True once the executor must start nothing more; raises after `end`, which ends all runs."""
        if self._is_ended:
            raise _EndedError("the run was ended")
        return super().requested

    def end(self) -> None:
        """End the executor, which looks at this request every half second, and at once when it is made."""
        self._is_ended = True
        self.request(1)


class SlotProcess(Slot):
    """A slot in a process of its own, which is prepared for it.

    key: key that signs checkpoints, in hexadecimal. home: working directory of the harness, which is taken if this
    machine has it, too.
    """

    def __init__(self, storage: str, limits: Limits, key: str, home: str) -> None:
        with suppress(OSError):
            os.chdir(home)
        os.environ[KEY_VARIABLE] = key  # before the process starts from which runs are forked
        _forget_main_module()
        super().__init__(storage, limits)


def this_machine() -> Machine:
    """Return the name, the versions of packages and the code of this machine."""
    return Machine(socket.gethostname(), provenance()["versions"], _code())


def _code() -> str:
    digest = hashlib.sha256()
    for package in ("custom_ppo", "harness"):
        spec = find_spec(package)
        assert spec is not None
        for folder in spec.submodule_search_locations or ():
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(folder)}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _forget_main_module() -> None:
    """Keep processes of multiprocessing from importing the program of this process, which is none of the harness."""
    main: Any = sys.modules["__main__"]
    # Taken from multiprocessing.spawn.get_preparation_data, which asks for these two.
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__


def _scratch_of(task: Task) -> Path:
    """Return the folder of a run on any machine: the same for each attempt, and another for each folder of results."""
    identity = hashlib.sha256(f"{task.job.run_path} {task.job.spec.digest} {task.folder}".encode()).hexdigest()
    return _SCRATCH / f"ppo-harness-{identity[:16]}"


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder that only this user can enter, hold it against other slots, and remove it afterwards.

    Raises OSError if something else stands in its place, or another slot still works in it.
    """
    folder = _locked(path)
    try:
        _wait_for_runs(path)
        _empty(path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(folder)


def _locked(path: Path) -> int:
    """Return the file descriptor that holds the lock of a folder, which is made if it is missing."""
    while True:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if path.lstat().st_uid != os.geteuid() or path.is_symlink():
            raise OSError(f"{path} belongs to somebody else")
        folder = lock_folder(path)
        try:
            is_same = os.path.samestat(os.fstat(folder), path.lstat())
        except FileNotFoundError:
            is_same = False
        if is_same:
            return folder
        os.close(folder)  # the slot before has removed it meanwhile


def _wait_for_runs(path: Path) -> None:
    """Wait until the process of an earlier attempt on this machine, whose slot was lost, has ended."""
    for run_path in path.glob("*/*"):
        if run_path.is_dir():
            os.close(lock_folder(run_path))


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
