"""Call `harness compare` in a process of its own, and take times and memory of it from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.bench.execution.timeline import MemorySample, Timeline
from harness.errors import HarnessError
from harness.training.executors.processes import children_of

__all__ = ["one_thread", "timeline_of"]

_PAGE = os.sysconf("SC_PAGESIZE")
_SAMPLES = 200
"""Largest number of measurements of the memory in one experiment."""


def one_thread() -> dict[str, str]:
    """Return the environment variables of a process that computes with one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def timeline_of(experiment: str, folder: Path, n_workers: int) -> Timeline:
    """Return the times of an experiment in a new folder.

    experiment: text of the experiment file.
    Raises HarnessError if a run fails.
    """
    folder.mkdir(parents=True)
    file = folder / "experiment_file.yml"
    file.write_text(experiment, encoding="utf-8")
    command = [sys.executable, "-m", "harness", "compare", str(file), "--out", str(folder / "results")]
    command += ["--workers", str(n_workers), "--json-progress"]
    began = time.time()
    with (folder / "errors.txt").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(command, env=one_thread(), stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            events, memory = _events(process)
            code, peak = _end_of(process)
        finally:
            process.kill()
        end = time.time()
        errors.seek(0)
        text = errors.read()
    if code != 0:
        reason = text.strip().rpartition("\n")[2] or f"exit code {code}"
        raise HarnessError(f"the experiment cannot be run: {reason}")
    try:
        return Timeline.of_events(events, began=began, end=end, memory=memory, peak_memory=peak)
    except ValueError as error:
        raise HarnessError(f"the experiment is no measurement: {error}") from error


def _events(process: subprocess.Popen[str]) -> tuple[list[dict[str, Any]], list[MemorySample]]:
    """Return the events that a process prints, and its memory at some of the ends of runs."""
    events: list[dict[str, Any]] = []
    memory: list[MemorySample] = []
    n_finished, interval, server = 0, 1, 0
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        events.append(event)
        if event["event"] == "begin":
            interval = max(event["runs"] // _SAMPLES, 1)
        elif event["event"] == "end":  # and not at the end of the pipe: the process that forks others holds it longer
            break
        elif event["event"] == "finished":
            n_finished += 1
            server = server or next(_servers(process.pid), 0)
            if n_finished % interval == 0:
                memory.append(MemorySample(n_finished, _resident(process.pid), _resident(server)))
    return events, memory


def _servers(pid: int) -> Iterator[int]:
    """Yield the ids of forkservers among the child processes."""
    for child in children_of(pid):
        try:
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                yield child
        except OSError:
            continue


def _resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _end_of(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Wait for the end of a process; return its exit code and its largest resident memory in bytes."""
    # Not by Popen.wait, which forgets the resources; those of all children would hold the largest of them.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024
