"""A slot, which executes runs for a cluster, without a cluster."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.experiment.plan import RunSpec
from harness.experiment.run_records import read_record
from harness.training.executors import slot as module
from harness.training.executors.events import Job
from harness.training.executors.executor import Limits
from harness.training.executors.local import run_jobs
from harness.training.executors.parcels import Parcel, publish, unpack
from harness.training.executors.slot import Broken, Ended, PausedAt, Slot, Stored, Task, this_machine
from harness.training.progress import Progress
from tests.harness.processes import is_running, wait_until
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec
from tests.harness.training.same_results import differences

LONG = replace(tiny_spec("custom_ppo", n_timesteps=4096), eval_freq=512)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder in which slots work; nothing may be left in it, and no process."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setattr(module, "_SCRATCH", path)
    yield path
    assert list(path.iterdir()) == []
    assert multiprocessing.active_children() == []


def task(folder: Path, spec: RunSpec, attempt: str = "a", **files: bytes) -> Task:
    job = Job(spec, folder / "runs" / spec.run_dir, checkpoint_seconds=0.0, context={"command": "harness"})
    return Task(job, attempt, "run", {f"{name}.json": content for name, content in files.items()})


def until(slot: Slot, *kinds: type, stop: bool = False) -> list[Any]:
    """Return all messages until one of these kinds, or the last one."""
    found: list[Any] = []
    while True:
        for message in slot.messages(len(found), stop):
            found.append(message)
            if isinstance(message, (*kinds, Ended, PausedAt, Broken)):
                return found


def published(slot: Slot, last: Any, place: Path) -> Path:
    """Bring the files of a run that has ended into a folder."""
    assert isinstance(last, Ended), last
    slot.storage.download(last.parcel.name, place.with_suffix(".tar"))
    publish(place.with_suffix(".tar"), place)
    return place


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    run_jobs([Job(LONG, path)], 1, lambda _: None)
    return path


def test_a_paused_run_is_continued_by_another_slot_to_the_same_files(tmp_path: Path, undisturbed: Path) -> None:
    storage = str(tmp_path / "storage")
    first = Slot(storage, Limits())
    first.start(task(tmp_path, LONG))
    until(first, Stored)

    messages = until(first, stop=True)

    assert messages[-1] == PausedAt()
    assert all(isinstance(message, Progress | Stored) for message in messages[:-1])
    # What a machine leaves that is lost while it stores: a description without its parcel, and half a description.
    last_stored = [message.parcel for message in messages if isinstance(message, Stored)][-1]
    text = replace(last_stored, name="run/lost.tar", steps=4000).as_text().encode()
    first.storage.write("run/lost.tar.json", text)
    first.storage.write("run/half.tar.json", text[:20])
    second = Slot(storage, Limits())
    second.start(task(tmp_path, LONG, "b"))
    last = until(second)[-1]
    place = published(second, last, tmp_path / "place")
    assert last.record == read_record(place)
    assert last.record.nodes == (socket.gethostname(),) * 2
    assert len(last.record.resumed_at) == 1
    assert last.record.command == "harness"
    assert list(differences(undisturbed, place)) == []


def test_a_checkpoint_is_stored_without_a_record_that_has_just_been_written(tmp_path: Path) -> None:
    slot = Slot(str(tmp_path / "storage"), Limits())
    run_path = tmp_path / "run"
    run_path.mkdir()
    for name in ("run.json", "checkpoint.bin", "failed-1.json"):
        (run_path / name).write_text("")

    parcel = slot._store(task(tmp_path, LONG), run_path, tmp_path, Parcel("0", 0, "", steps=64))

    slot.storage.download(parcel.name, tmp_path / "parcel")
    unpack(tmp_path / "parcel", tmp_path / "continued")
    assert sorted(path.name for path in (tmp_path / "continued").iterdir()) == ["checkpoint.bin", "failed-1.json"]


def test_a_run_that_kills_itself_is_a_failed_record_with_its_files(tmp_path: Path) -> None:
    spec = tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "kill"})
    slot = Slot(str(tmp_path / "storage"), Limits(retries=3))  # they are left to the caller
    slot.start(task(tmp_path, spec, run=b"{}", **{"failed-1": b"{}"}))

    last = until(slot)[-1]

    place = published(slot, last, tmp_path / "place")
    assert last.record.status == "failed"
    assert last.record.error["message"].startswith("the worker process died (SIGKILL")
    assert last.record.attempts == 3
    assert sorted(path.name for path in place.glob("*.json")) == ["failed-1.json", "failed-2.json", "run.json"]


def test_a_request_that_is_repeated_starts_nothing_and_loses_no_message(tmp_path: Path) -> None:
    slot = Slot(str(tmp_path / "storage"), Limits())
    assignment = task(tmp_path, tiny_spec())
    slot.start(assignment)
    slot.start(assignment)
    assert wait_until(lambda: isinstance(slot.messages(0, False)[-1:][0], Ended))

    everything = slot.messages(0, False)

    assert slot.messages(0, False) == everything
    assert slot.messages(len(everything) - 1, False) == everything[-1:]
    assert slot.messages(len(everything) - 1, False) == everything[-1:]
    assert not slot._stop.requested


def test_a_storage_that_cannot_be_written_breaks_the_experiment_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("")
    slot = Slot(str(tmp_path / "storage"), Limits())
    slot.start(task(tmp_path, tiny_spec()))

    last = until(slot)[-1]

    assert isinstance(last, Broken)
    assert last.reason.startswith(f"{socket.gethostname()}: ppo CartPole-v1 seed 0: {tmp_path}/storage: cannot be ")
    assert "\n" not in last.reason


def test_a_machine_says_if_it_sees_what_was_written_elsewhere(tmp_path: Path) -> None:
    slot = Slot(str(tmp_path / "storage"), Limits())
    probe = slot.storage.probe()

    assert slot.machine(probe) == this_machine()
    assert Slot(str(tmp_path / "other"), Limits()).machine(probe) == replace(this_machine(), sees=False)
    assert {"python", "torch", "stable_baselines3"} <= this_machine().versions.keys()


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, scratch: Path) -> None:
    assignment = task(tmp_path, tiny_spec())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = module._scratch_of(assignment)
    link.symlink_to(elsewhere)
    slot = Slot(str(tmp_path / "storage"), Limits())
    slot.start(assignment)

    last = until(slot)[-1]

    assert isinstance(last, Broken)
    assert "belongs to somebody else" in last.reason
    assert list(elsewhere.iterdir()) == []
    link.unlink()


def test_the_end_of_a_slot_ends_a_run_that_hangs_and_its_children(tmp_path: Path) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    spec = tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "children, then hang", "path": str(folder)})
    slot = Slot(str(tmp_path / "storage"), Limits())
    slot.start(task(tmp_path, spec))
    assert wait_until(lambda: len(list(folder.iterdir())) == 4)

    slot.end()

    assert [path.name for path in folder.iterdir() if is_running(int(path.name))] == []
