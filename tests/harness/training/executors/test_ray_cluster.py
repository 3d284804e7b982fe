"""Runs on a Ray cluster of two nodes on this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.experiment.run_records import RunRecord, read_record
from harness.training.executors import ray_cluster
from harness.training.executors.events import Finished, Job, NodeLost, Paused, Progressed, Retried, RunEvent, Stopping
from harness.training.executors.executor import Limits
from harness.training.executors.local import run_jobs
from harness.training.executors.ray_cluster import RayExecutor
from harness.training.executors.slot import Machine, this_machine
from harness.training.executors.stopping import StopRequest, stop_on_signals
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec
from tests.harness.training.executors.ray_nodes import Nodes
from tests.harness.training.same_results import differences

ROOT = Path(__file__).parents[4]

# Of some ten seconds without work for the processor, so that runs of different nodes overlap on any machine.
LONG = tiny_spec("custom_ppo", FAULTY_ENV, n_timesteps=3072, env_kwargs={"seconds": 0.003})


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    pytest.importorskip("ray")
    nodes = Nodes(1, head_cores=1)
    yield nodes
    nodes.close()


@pytest.fixture
def nodes(cluster: Nodes) -> Nodes:
    """Return a cluster of a head and a node, each with a core."""
    if not cluster.nodes:
        cluster.add()
    return cluster


def job(folder: Path, spec: Any) -> Job:
    return Job(spec, folder / "runs" / spec.run_dir, checkpoint_seconds=0.1)


def record_of(job: Job) -> RunRecord:
    record = read_record(job.run_path)
    assert record is not None
    return record


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_cluster_that_loses_a_node_leaves_the_files_of_one_machine(tmp_path: Path, nodes: Nodes) -> None:
    specs = [
        LONG,
        replace(LONG, seed=1),
        tiny_spec("ppo"),
        tiny_spec(env=FAULTY_ENV, seed=2, env_kwargs={"trouble": "kill"}),
    ]
    ours, theirs = ([job(tmp_path / place, spec) for spec in specs] for place in ("cluster", "local"))
    run_jobs(theirs, len(theirs), lambda _: None, Limits(retries=1))
    storage = tmp_path / "storage"
    events: list[RunEvent] = []

    def on_event(event: RunEvent) -> None:
        events.append(event)
        of_both = list(storage.glob("custom_ppo/*/*.json"))
        if isinstance(event, Progressed) and nodes.nodes and len({path.parent for path in of_both}) == 2:
            nodes.kill(0)

    with stop_on_signals() as stop:
        handler = signal.getsignal(signal.SIGTERM)
        executor = RayExecutor(None, Limits(retries=1), storage=str(storage), address=nodes.address)
        executor.run(ours, on_event, stop)
        assert signal.getsignal(signal.SIGTERM) is handler  # Ray had replaced it

    assert executor.n_workers == 2
    (lost,) = [event for event in events if isinstance(event, NodeLost)]
    assert lost.node == socket.gethostname()
    assert record_of(lost.job).resumed_at
    assert record_of(lost.job).nodes == (socket.gethostname(),) * 2
    assert record_of(lost.job).attempts == 1  # the loss is no failure of the run
    assert [event.job for event in events if isinstance(event, Retried)] == [ours[3]]
    assert record_of(ours[3]).attempts == 2
    assert (ours[3].run_path / "failed-1.json").exists()
    assert len([event for event in events if isinstance(event, Finished)]) == len(ours)
    for our, their in zip(ours, theirs, strict=True):
        assert list(differences(their.run_path, our.run_path)) == []
        assert sorted(path.name for path in our.run_path.iterdir()) == sorted(
            path.name for path in their.run_path.iterdir() if path.name != "checkpoint.bin"
        )
    assert files_in(storage / "custom_ppo") == []


@pytest.mark.slow
def test_runs_pause_at_the_first_request_and_continue_with_the_next_call(tmp_path: Path, nodes: Nodes) -> None:
    ours = [job(tmp_path / "cluster", replace(LONG, seed=seed)) for seed in range(3)]
    run_jobs([job(tmp_path / "local", ours[0].spec)], 1, lambda _: None)
    events: list[RunEvent] = []
    stop = StopRequest()

    def on_event(event: RunEvent) -> None:
        events.append(event)
        if isinstance(event, Progressed) and event.progress.steps > 500:
            stop.request(signal.SIGINT)

    executor = RayExecutor(2, Limits(), storage=str(tmp_path / "storage"), address=nodes.address)
    executor.run(ours, on_event, stop)
    stop.close()

    (stopping,) = [event for event in events if isinstance(event, Stopping)]
    assert set(stopping.running) == set(ours[:2])
    assert {event.job for event in events if isinstance(event, Paused)} == set(ours[:2])
    assert not any(our.run_path.exists() for our in ours)

    stop = StopRequest()
    executor.run(ours, lambda _: None, stop)
    stop.close()
    assert all(record_of(our).resumed_at for our in ours[:2])
    assert list(differences(tmp_path / "local" / "runs" / ours[0].spec.run_dir, ours[0].run_path)) == []


@pytest.mark.slow
def test_the_command_stops_at_once_at_a_second_signal(tmp_path: Path, nodes: Nodes) -> None:
    (tmp_path / "long.yml").write_text(
        "name: long\nalgorithms: [ppo]\nenvironments: {CartPole-v1: {n_timesteps: 1_000_000}}\nseeds: 2\n"
    )
    command = [sys.executable, "-m", "harness", "compare", str(tmp_path / "long.yml"), "--out", str(tmp_path / "out")]
    command += ["--executor", "ray", "--address", nodes.address, "--storage", str(tmp_path / "storage"), "--no-check"]
    with subprocess.Popen([*command, "--json-progress"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"progress"' in line:
                break
        process.send_signal(signal.SIGINT)
        lines = [line for line in process.stdout if '"stopping"' in line or process.send_signal(signal.SIGINT)]
        started = time.monotonic()
        process.wait()

    assert len(lines) == 1
    assert process.returncode == 130
    assert time.monotonic() - started < 20
    assert not list((tmp_path / "out").rglob("run.json"))


@pytest.mark.slow
def test_a_run_that_loses_one_worker_after_another_is_a_failed_record(
    tmp_path: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "MAX_LOSSES", 1)
    troubled = job(tmp_path, tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "kill executor"}))
    well = job(tmp_path, tiny_spec(env=FAULTY_ENV, seed=1))
    events: list[RunEvent] = []
    stop = StopRequest()

    executor = RayExecutor(1, Limits(), storage=str(tmp_path / "storage"), address=nodes.address)
    executor.run([troubled, well], events.append, stop)

    stop.close()
    assert [event.job for event in events if isinstance(event, NodeLost)] == [troubled]
    record = record_of(troubled)
    assert record.error is not None
    assert record.error["type"] == "NodeLost"
    assert record.error["message"].startswith("2 machines or workers were lost while they executed this run, the last")
    assert record_of(well).status == "finished"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("ray://127.0.0.1:1", "Connection refused"),
        ("127.0.0.1:many", "expected HOST:PORT"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_told_at_once(tmp_path: Path, address: str, reason: str) -> None:
    pytest.importorskip("ray")
    started = time.monotonic()

    with pytest.raises(HarnessError) as error:
        RayExecutor(1, Limits(), storage=str(tmp_path), address=address)

    assert str(error.value) == (
        f"--address: no Ray cluster can be reached at {address} ({reason}); "
        "start one with `ray start --head`, or give the HOST:PORT of its head"
    )
    assert time.monotonic() - started < 10


def test_a_port_where_something_else_listens_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    def init(**_: Any) -> None:
        raise SystemExit(15)  # as Ray does, after two minutes

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(HarnessError) as error:
        RayExecutor(1, Limits(), storage=str(tmp_path), address=f"127.0.0.1:{mute.getsockname()[1]}")

    assert "(it does not answer as a Ray cluster does)" in str(error.value)


def test_a_missing_package_names_the_extra_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(HarnessError) as error:
        RayExecutor(1, Limits(), storage=str(tmp_path))

    assert "the extra [ray] of this project installs it: pip install '.[ray]'" in str(error.value)
    assert "\n" not in str(error.value)


def test_ray_is_loaded_only_when_it_is_asked_for() -> None:
    code = (
        "import harness.cli, harness.execution, harness.api, sys; print('ray' in sys.modules, 'fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sees": False}, "does not find in /shared what this machine wrote there; name a folder or URL that all "),
        ({"code": "other"}, "has other code of the harness than this machine; install the same commit on all machines"),
        ({"versions": {"torch": "1"}}, "torch is 1, and 2 on this machine; install the same versions on all machines"),
        ({"versions": {}}, "torch is not installed, and 2 on this machine"),
    ],
)
def test_a_machine_that_would_change_bits_is_refused(changes: dict[str, Any], problem: str) -> None:
    here = Machine("here", {"torch": "2"}, "code")

    (found,) = ray_cluster._obstacles(replace(here, **changes), here, "/shared")

    assert found.startswith(problem)
    assert list(ray_cluster._obstacles(this_machine(), this_machine(), "/shared")) == []
