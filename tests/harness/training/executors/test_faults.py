"""Environments that attack their worker: each costs only its own run, is told as what it is, and leaves no process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.experiment.run_records import RunRecord, read_record
from harness.training.executors.events import Finished, Job, Retried, RunEvent
from harness.training.executors.executor import Limits
from harness.training.executors.local import run_jobs
from harness.training.executors.run_log import MAX_LOG
from tests.harness.processes import is_running, wait_until
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec

QUICK = Limits(stall_seconds=2.5)


def job(folder: Path, seed: int = 0, **trouble: Any) -> Job:
    spec = tiny_spec(env=FAULTY_ENV, seed=seed, n_timesteps=128, env_kwargs=trouble)
    return Job(spec, folder / "runs" / spec.run_dir)


def outcome(folder: Path, limits: Limits = QUICK, **trouble: Any) -> RunRecord:
    """Run an environment with trouble beside one without, which must finish; return the record of the first."""
    troubled, well = job(folder, 0, **trouble), job(folder, 1)
    run_jobs([troubled, well], 2, lambda _: None, limits)
    assert multiprocessing.active_children() == []
    record, other = read_record(troubled.run_path), read_record(well.run_path)
    assert other is not None
    assert other.status == "finished"
    assert record is not None
    return record


def error_of(record: RunRecord) -> Mapping[str, str]:
    assert record.status == "failed"
    assert record.error is not None
    return record.error


@pytest.mark.parametrize("when", ["constructor", "step"])
@pytest.mark.parametrize(
    ("trouble", "kind", "message"),
    [
        ("exit", "WorkerDied", "the worker process died (exit code 3)"),
        (
            "exit with 0",
            "WorkerDied",
            "the worker process ended without a result (exit code 0): did the environment call os._exit?",
        ),
        (
            "system exit",
            "SystemExit",
            r"the environment or the algorithm called sys.exit('\x1b[2Jlate')",
        ),
        ("keyboard", "KeyboardInterrupt", "the environment or the algorithm raised KeyboardInterrupt"),
        ("full disk elsewhere", "OSError", "[Errno 28] No space left on device"),
        (
            "close all",
            "WorkerDied",
            "the worker process lost its connection to the harness: did the environment close all files?",
        ),
        ("unspeakable", "UnspeakableError", "(its message cannot be shown: str() raises RuntimeError)"),
    ],
)
def test_an_end_is_told_as_what_it_is(tmp_path: Path, when: str, trouble: str, kind: str, message: str) -> None:
    error = error_of(outcome(tmp_path, trouble=trouble, when=when))

    assert (error["type"], error["message"]) == (kind, message)


@pytest.mark.parametrize(
    ("trouble", "when"),
    [("hang", "reset"), ("hang", "close"), ("hang with lock", "constructor"), ("stop", "step")],
)
def test_a_run_that_hangs_is_ended(tmp_path: Path, trouble: str, when: str) -> None:
    error = error_of(outcome(tmp_path, trouble=trouble, when=when))

    assert (error["type"], error["message"]) == (
        "RunStalled",
        "no step of an environment and no other progress for 2 s",
    )


def test_the_log_of_a_run_that_hung_says_where(tmp_path: Path) -> None:
    outcome(tmp_path, trouble="hang with lock")

    assert "in hold_gil" in (job(tmp_path, 0, trouble="hang with lock").run_path / "log.txt").read_text()


def test_a_slow_run_that_makes_steps_is_not_stalled(tmp_path: Path) -> None:
    record = outcome(tmp_path, Limits(stall_seconds=1.5), seconds=0.02)

    assert record.status == "finished"
    assert record.wall_seconds > 2


def test_a_run_beyond_its_time_is_ended(tmp_path: Path) -> None:
    error = error_of(outcome(tmp_path, Limits(seconds=4.0), seconds=0.3))

    assert (error["type"], error["message"]) == ("TimeLimitExceeded", "the run took more than its limit of 4 s")


def test_a_run_beyond_its_memory_is_ended(tmp_path: Path) -> None:
    error = error_of(outcome(tmp_path, Limits(memory_bytes=2**30), trouble="memory"))

    assert error["type"] == "MemoryLimitExceeded"
    assert error["message"].endswith(" MiB, more than its limit of 1,024 MiB")


@pytest.mark.parametrize("trouble", ["children", "children, then kill", "children, then hang"])
def test_no_process_that_an_environment_started_outlives_its_run(tmp_path: Path, trouble: str) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()

    outcome(tmp_path, trouble=trouble, path=str(pids))

    started = [int(path.name) for path in pids.iterdir()]
    assert len(started) >= 4
    assert wait_until(lambda: not any(is_running(pid) for pid in started))


def test_an_environment_may_change_the_working_directory(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    assert outcome(tmp_path, trouble="change folder", path=str(elsewhere)).status == "finished"
    assert list(elsewhere.iterdir()) == []


def test_output_is_kept_in_a_log_of_bounded_size_without_control_characters(tmp_path: Path) -> None:
    outcome(tmp_path, trouble="print")

    text = (job(tmp_path, 0, trouble="print").run_path / "log.txt").read_text()
    assert text.startswith(r"\x1b[31mred\x1b[2J" + "\n")
    assert MAX_LOG <= len(text) < MAX_LOG + 200
    assert "further characters were printed and are not kept" in text
    assert not (job(tmp_path, 1).run_path / "log.txt").exists()


def test_a_long_message_is_cut_and_escaped(tmp_path: Path) -> None:
    error = error_of(outcome(tmp_path, trouble="long message"))

    assert error["message"].startswith(r"\x1b]0;title\x07xxx")
    assert len(error["message"]) <= 2_000
    assert len(error["traceback"]) < 21_000
    assert (error["message"] + error["traceback"]).replace("\n", "").isprintable()


def test_a_failed_run_is_started_again_as_often_as_asked(tmp_path: Path) -> None:
    failing, well = job(tmp_path, 0, trouble="raise"), job(tmp_path, 1)
    events: list[RunEvent] = []

    run_jobs([failing, well], 1, events.append, Limits(retries=2))

    assert [type(event) for event in events if isinstance(event, Retried | Finished)].count(Retried) == 2
    record = read_record(failing.run_path)
    assert record is not None
    assert (record.status, record.attempts) == ("failed", 3)
    assert sorted(path.name for path in failing.run_path.glob("failed-*")) == ["failed-1.json", "failed-2.json"]
    assert {event.record.status for event in events if isinstance(event, Finished)} == {"failed", "finished"}
