"""The Ray executor against a cluster that is acted out in this process, with faults that a real one rarely has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.experiment.run_records import RunRecord, read_record, write_record
from harness.training.executors import ray_cluster
from harness.training.executors.events import Finished, Job, NodeLost, Retried, RunEvent, Started
from harness.training.executors.executor import Limits
from harness.training.executors.parcels import Parcel, pack
from harness.training.executors.ray_cluster import _Execution
from harness.training.executors.slot import Broken, Ended, Stored, Task, this_machine
from harness.training.executors.stopping import StopRequest
from harness.training.executors.storage import Storage
from tests.harness.toy_subjects import tiny_spec
from tests.results_factory import failed, make_record


class ActedError(Exception):
    """Base of the errors of the acted cluster."""

    def __init__(self, message: str = "gone", actor_init_failed: bool = False) -> None:
        super().__init__(message)
        self.actor_init_failed = actor_init_failed


class TaskError(ActedError):
    pass


class UnavailableError(ActedError):
    pass


class DiedError(ActedError):
    pass


class Actor:
    """An actor that answers at once: `script` gives the answers to requests for messages, one after another."""

    def __init__(self, script: list[Any], first: Any = None) -> None:
        self.script = script
        self.first = first
        self.tasks: list[Task] = []
        for name in ("machine", "start", "messages", "end"):
            setattr(self, name, SimpleNamespace(remote=getattr(self, f"_{name}")))

    def _machine(self, probe: str) -> Any:
        return Reference(lambda: self.first or this_machine())

    def _start(self, task: Task) -> Any:
        self.tasks.append(task)
        return Reference(lambda: None)

    def _messages(self, n_seen: int, stop: bool) -> Any:
        return Reference(lambda: self.script.pop(0))

    def _end(self) -> Any:
        return Reference(lambda: None)


class Reference:
    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def get(self) -> Any:
        answer = self.call()
        answer = answer(self) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer


class Ray:
    """The functions of Ray that the executor uses; actors are taken from a list."""

    exceptions = SimpleNamespace(ActorUnavailableError=UnavailableError, RayTaskError=TaskError, RayError=ActedError)

    def __init__(self, actors: list[Actor]) -> None:
        self.actors = actors
        self.made: list[Actor] = []
        self.killed: list[Actor] = []
        self.options: dict[str, Any] = {}

    def remote(self, **options: Any) -> Any:
        self.options = options
        return lambda _: SimpleNamespace(remote=self.make)

    def make(self, *_: Any) -> Actor:
        self.made.append(self.actors.pop(0))
        return self.made[-1]

    def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return references, []

    def get(self, reference: Reference) -> Any:
        return reference.get()

    def kill(self, actor: Actor) -> None:
        self.killed.append(actor)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(ray_cluster, "_UNAVAILABLE_SECONDS", 0.0)
    monkeypatch.setattr(ray_cluster, "_POLL_SECONDS", 0.01)
    return Storage(str(tmp_path / "storage"))


def job(tmp_path: Path, seed: int = 0) -> Job:
    spec = tiny_spec(seed=seed)
    return Job(spec, tmp_path / "runs" / spec.run_dir)


def ended(storage: Storage, tmp_path: Path, record: RunRecord, name: str = "a.tar") -> Ended:
    """Store the folder of a run that has ended, and return its last message."""
    folder = tmp_path / "node" / name
    write_record(folder, record)
    parcel = Parcel(f"run/{name}", *pack(folder, tmp_path / name))
    storage.upload(tmp_path / name, parcel.name)
    return Ended(record, parcel)


def run(ray: Ray, storage: Storage, jobs: list[Job], limits: Limits | None = None) -> list[RunEvent]:
    events: list[RunEvent] = []
    stop = StopRequest()
    executor: Any = SimpleNamespace(limits=limits or Limits(), wanted=None, storage=storage)
    try:
        _Execution(ray, executor, jobs, events.append, stop).run()
    finally:
        stop.close()
    assert not any("probe" in name for name in storage.names("."))
    return events


def kinds(events: list[RunEvent]) -> list[type]:
    return [type(event) for event in events]


def test_an_actor_that_cannot_be_reached_for_a_moment_is_asked_again(tmp_path: Path, storage: Storage) -> None:
    last = ended(storage, tmp_path, make_record(tiny_spec()))
    actor = Actor([UnavailableError(), UnavailableError(), [last]])
    ray = Ray([actor])

    events = run(ray, storage, [job(tmp_path)])

    assert kinds(events) == [Started, Finished]
    assert read_record(job(tmp_path).run_path) == last.record
    assert len(actor.tasks) == 1
    assert ray.killed == [actor]


def test_ray_repeats_nothing_and_reserves_a_core_and_the_memory_of_a_run(tmp_path: Path, storage: Storage) -> None:
    ray = Ray([Actor([[ended(storage, tmp_path, make_record(tiny_spec()))]])])

    run(ray, storage, [job(tmp_path)], Limits(memory_bytes=2**30))

    assert ray.options == {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "memory": 2**30}


def test_a_run_of_a_lost_actor_is_the_next_one_to_start(tmp_path: Path, storage: Storage) -> None:
    lasts = [ended(storage, tmp_path, make_record(tiny_spec(seed=seed)), f"{seed}.tar") for seed in range(2)]
    first, second = Actor([DiedError()]), Actor([[lasts[0]], [lasts[1]]])

    events = run(Ray([first, second]), storage, [job(tmp_path, 0), job(tmp_path, 1)], Limits(retries=0))

    assert kinds(events) == [Started, NodeLost, Started, Finished, Started, Finished]
    assert [task.job.spec.seed for task in second.tasks] == [0, 1]
    assert first.tasks[0].attempt != second.tasks[0].attempt
    assert first.tasks[0].folder == second.tasks[0].folder


def test_losses_count_as_a_failure_only_without_a_checkpoint_in_between(
    tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "MAX_LOSSES", 1)
    further = [Stored(Parcel("run/c.tar", 1, "", steps=steps)) for steps in (64, 128, 128)]
    ray = Ray([Actor([[message], DiedError()]) for message in further])

    events = run(ray, storage, [job(tmp_path)])

    assert kinds(events) == [Started, NodeLost] * 2 + [Started, Finished]
    record = read_record(job(tmp_path).run_path)
    assert record is not None
    assert record.error is not None
    assert record.error["type"] == "NodeLost"


def test_a_failed_run_is_retried_with_the_records_of_its_attempts(tmp_path: Path, storage: Storage) -> None:
    record = make_record(tiny_spec())
    first = ended(storage, tmp_path, failed(record), "a.tar")
    second = ended(storage, tmp_path, replace(record, attempts=2), "b.tar")
    actor = Actor([[first], [second]])

    events = run(Ray([actor]), storage, [job(tmp_path)], Limits(retries=1))

    assert kinds(events) == [Started, Retried, Started, Finished]
    assert [list(task.files) for task in actor.tasks] == [[], ["run.json"]]


def test_a_parcel_that_arrives_damaged_counts_as_lost_and_leaves_nothing(tmp_path: Path, storage: Storage) -> None:
    good = ended(storage, tmp_path, make_record(tiny_spec()), "good.tar")
    bad = replace(good, parcel=replace(good.parcel, digest="0" * 64))

    events = run(Ray([Actor([[bad], [good]])]), storage, [job(tmp_path)])

    assert kinds(events) == [Started, NodeLost, Started, Finished]


@pytest.mark.parametrize(
    ("actor", "problem"),
    [
        (
            Actor([], DiedError("died\nModuleNotFoundError: No module named 'harness'", actor_init_failed=True)),
            "a machine of the cluster cannot execute runs (ModuleNotFoundError: No module named 'harness'); "
            "the harness, the packages of the experiment and that of the storage must be installed on all of them",
        ),
        (Actor([], replace(this_machine(), name="n7", sees=False)), "n7: does not find in "),
        (Actor([[Broken("n7: ppo: /tmp: no space left")]]), "n7: ppo: /tmp: no space left"),
        (Actor([TaskError("Traceback\nValueError: odd")]), f"{this_machine().name}: ValueError: odd"),
    ],
)
def test_what_concerns_all_runs_ends_the_experiment_in_one_line(
    tmp_path: Path, storage: Storage, actor: Actor, problem: str
) -> None:
    ray = Ray([actor])

    with pytest.raises(HarnessError) as error:
        run(ray, storage, [job(tmp_path)])

    assert str(error.value).startswith(problem)
    assert "\n" not in str(error.value)
    assert ray.killed == ray.made


def test_a_cluster_without_a_free_node_is_not_waited_for_for_ever(
    tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "PATIENCE_SECONDS", 0.05)
    ray = Ray([Actor([])])
    monkeypatch.setattr(ray, "wait", lambda *_, **__: ([], []))

    with pytest.raises(HarnessError, match="no machine of the cluster has taken a run for 0 minutes"):
        run(ray, storage, [job(tmp_path)])
