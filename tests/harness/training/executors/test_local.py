from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.experiment.run_records import RECORD_NAME, read_record
from harness.training.executors import local
from harness.training.executors.calls import call_in_worker, call_in_workers
from harness.training.executors.events import Finished, Job, Progressed, RunEvent, Started
from harness.training.executors.local import run_jobs
from tests.harness.processes import is_running, wait_until
from tests.harness.toy_subjects import FAULTY_ENV, MODULE, tiny_spec
from tests.results_factory import make_record

ROOT = Path(__file__).parents[4]


def job(folder: Path, seed: int = 0, **trouble: Any) -> Job:
    spec = tiny_spec(env=FAULTY_ENV, seed=seed, n_timesteps=128, env_kwargs=trouble)
    return Job(spec, folder / "runs" / spec.run_dir)


def status(job: Job) -> str:
    record = read_record(job.run_path)
    return "missing" if record is None else record.status


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def test_every_job_gets_its_record_with_at_most_n_workers_running(tmp_path: Path) -> None:
    jobs = [job(tmp_path, seed) for seed in range(5)]
    events: list[RunEvent] = []
    running = []

    def on_event(event: RunEvent) -> None:
        events.append(event)
        running.append(len(multiprocessing.active_children()))

    run_jobs(jobs, 2, on_event)

    assert [status(job) for job in jobs] == ["finished"] * 5
    assert [event.job for event in events if isinstance(event, Started)] == jobs
    finished = [event for event in events if isinstance(event, Finished)]
    assert {event.job.spec.seed: event.record for event in finished} == {
        job.spec.seed: read_record(job.run_path) for job in jobs
    }
    assert max(running) == 2
    assert any(isinstance(event, Progressed) and event.progress.steps > 0 for event in events)


def test_a_worker_that_dies_or_raises_does_not_affect_other_runs(tmp_path: Path) -> None:
    killed, gone = job(tmp_path, 0, trouble="kill"), job(tmp_path, 1, trouble="exit")
    broken, well = job(tmp_path, 2, trouble="raise"), job(tmp_path, 3)
    records = {}

    def on_event(event: RunEvent) -> None:
        if isinstance(event, Finished):
            records[event.job.spec.seed] = event.record

    run_jobs([killed, gone, broken, well], 2, on_event)

    assert [status(job) for job in (killed, gone, broken, well)] == ["failed", "failed", "failed", "finished"]
    errors = [records[seed].error for seed in range(3)]
    assert errors[0] == {
        "type": "WorkerDied",
        "message": "the worker process died (SIGKILL: probably out of memory, or killed by a user)",
        "traceback": "",
    }
    assert errors[1] == {"type": "WorkerDied", "message": "the worker process died (exit code 3)", "traceback": ""}
    assert errors[2] is not None
    assert (errors[2]["type"], errors[2]["message"]) == ("RuntimeError", "the rotor fell off [/dev/rotor]")
    assert read_record(killed.run_path) == records[0]


def test_an_interruption_stops_the_workers_and_keeps_finished_runs(tmp_path: Path) -> None:
    quick, slow, never = job(tmp_path, 0), job(tmp_path, 1, seconds=5.0), job(tmp_path, 2)

    def on_event(event: RunEvent) -> None:
        if isinstance(event, Finished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([quick, slow, never], 2, on_event)

    assert multiprocessing.active_children() == []
    assert [status(job) for job in (quick, slow, never)] == ["finished", "missing", "missing"]
    assert not never.run_path.exists()


def test_an_error_of_the_display_is_none_of_the_run(tmp_path: Path) -> None:
    def on_event(event: RunEvent) -> None:
        if isinstance(event, Progressed):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_jobs([job(tmp_path)], 1, on_event)

    assert status(job(tmp_path)) == "missing"


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import multiprocessing, sys\n"
        "from pathlib import Path\n"
        "from harness.training.executors.local import run_jobs\n"
        "from tests.harness.training.executors.test_local import job\n"
        "if __name__ == '__main__':\n"
        "    def on_event(event):\n"
        "        pids = [child.pid for child in multiprocessing.active_children()]\n"
        "        print(type(event).__name__, *pids, flush=True)\n"
        "    run_jobs([job(Path(sys.argv[1]), seed, seconds=0.5) for seed in range(2)], 2, on_event)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids: list[int] = []
        for line in parent.stdout:
            name, *children = line.split()
            pids = [int(pid) for pid in children]
            if name == "Progressed" and len(pids) == 2:  # both are past their start-up
                break
        alive = [is_running(pid) for pid in pids]
        parent.kill()
    assert alive == [True, True]

    assert wait_until(lambda: not any(is_running(pid) for pid in pids))
    assert list(tmp_path.rglob(RECORD_NAME)) == []


def test_the_remains_of_an_interrupted_run_are_removed(tmp_path: Path) -> None:
    again = job(tmp_path)
    (again.run_path / "sub").mkdir(parents=True)
    for name in ("7.monitor.csv", "sub/old.txt", ".run.json.12.tmp"):
        (again.run_path / name).write_text("old")

    run_jobs([again], 1, lambda _: None)

    assert status(again) == "finished"
    names = {path.name for path in again.run_path.rglob("*")}
    assert names.isdisjoint({"7.monitor.csv", "sub", "old.txt", ".run.json.12.tmp"})


def test_failed_attempts_are_kept_beside_the_record(tmp_path: Path) -> None:
    failing = job(tmp_path, trouble="raise")
    run_jobs([failing], 1, lambda _: None)
    first = (failing.run_path / RECORD_NAME).read_bytes()
    run_jobs([failing], 1, lambda _: None)
    run_jobs([Job(job(tmp_path).spec, failing.run_path)], 1, lambda _: None)

    assert status(failing) == "finished"
    kept = sorted(path.name for path in failing.run_path.glob("failed-*"))
    assert kept == ["failed-1.json", "failed-2.json"]
    assert (failing.run_path / "failed-1.json").read_bytes() == first


def test_a_record_that_cannot_be_written_stops_all_runs(tmp_path: Path) -> None:
    blocked = job(tmp_path)
    blocked.run_path.parent.parent.mkdir(parents=True)
    blocked.run_path.parent.write_text("a file where a folder should be")

    with pytest.raises(HarnessError) as error:
        run_jobs([blocked], 1, lambda _: None)

    path = blocked.run_path
    assert str(error.value) == (
        f"{path}: the result cannot be written (NotADirectoryError: [Errno 20] Not a directory: '{path}')"
    )


def test_threads_left_by_an_environment_do_not_block_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "STOP_SECONDS", 0.5)
    jobs = [job(tmp_path, 0, trouble="thread"), job(tmp_path, 1)]

    run_jobs(jobs, 1, lambda _: None)

    assert [status(job) for job in jobs] == ["finished", "finished"]


def test_a_worker_that_dies_after_its_record_is_written_has_finished(tmp_path: Path) -> None:
    spec = job(tmp_path).spec
    record = replace(make_record(spec), spec=spec)
    (tmp_path / "record.json").write_text(json.dumps(record.as_dict()))
    # The environment stands for a worker that is killed between the rename of its record and its message.
    dying = job(tmp_path, trouble="record", path=str(tmp_path))
    events: list[RunEvent] = []

    run_jobs([dying], 1, events.append)

    assert events[-1] == Finished(dying, record)
    assert status(dying) == "finished"


def test_a_worker_that_dies_in_the_middle_of_a_message_has_failed(tmp_path: Path) -> None:
    dying, well = job(tmp_path, 0, trouble="half a message"), job(tmp_path, 1)

    run_jobs([dying, well], 1, lambda _: None)

    assert [status(dying), status(well)] == ["failed", "finished"]


def test_a_call_returns_what_the_function_returns() -> None:
    assert call_in_worker(f"{MODULE}:add", 2, 3) == 5


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{MODULE}:fail", "ZeroDivisionError: one by nothing"),
        (f"{MODULE}:die", "a worker process died (exit code 5)"),
        (f"{MODULE}:nowhere", f"module {MODULE} has no nowhere"),
    ],
)
def test_a_failed_call_raises_with_its_cause(target: str, message: str) -> None:
    with pytest.raises(HarnessError) as error:
        call_in_worker(target)

    assert str(error.value) == message


def test_an_interrupted_call_does_not_wait_for_its_worker(tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_until((tmp_path / "pid").exists)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call_in_workers(f"{MODULE}:write_pid_and_sleep", [(tmp_path,), (tmp_path,)])
    thread.join()

    assert not is_running(int((tmp_path / "pid").read_text()))
    assert not (tmp_path / "done").exists()


def test_results_of_parallel_calls_are_in_order_of_the_calls() -> None:
    assert call_in_workers(f"{MODULE}:add", [(2, 3), (3, 4), (0, 0)]) == [5, 7, 0]


def test_an_error_of_one_call_ends_the_others(tmp_path: Path) -> None:
    # The first call fails: the function has no second argument.
    with pytest.raises(HarnessError, match="TypeError"):
        call_in_workers(f"{MODULE}:write_pid_and_sleep", [(tmp_path, "too many"), (tmp_path,)])

    assert not (tmp_path / "done").exists()


def test_the_parent_process_does_not_load_torch(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from harness.training.executors.calls import call_in_worker\n"
        "if __name__ == '__main__':\n"
        "    import harness.main_job, harness.training.executors.display\n"
        f"    assert call_in_worker('{MODULE}:add', 2, 3) == 5\n"
        "    print(sorted({'torch', 'stable_baselines3', 'gymnasium', 'pandas', 'matplotlib'} & set(sys.modules)))\n"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_worker_has_preloaded_the_imports_of_the_first_optimiser() -> None:
    script = (
        "import sys, harness.training.executors.worker\n"
        "before = set(sys.modules)\n"
        "import torch\n"
        "torch.optim.Adam([torch.zeros(1, requires_grad=True)])\n"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('torch')))\n"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
