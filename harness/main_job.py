"""Orchestrate a comparison: plan the runs, run those that are missing, then write tables and figures."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.config import ExperimentConfig, resolved_text
from harness.errors import HarnessError
from harness.experiment.declaration import declare
from harness.experiment.plan import RunSpec, plan
from harness.experiment.run_folder import CHECKPOINT_NAME, set_aside
from harness.experiment.run_records import read_record, write_text_atomically
from harness.experiment.survey import Survey, find_damaged, survey
from harness.printable import one_line
from harness.training.executors.calls import outcomes_of_calls
from harness.training.executors.display import Display
from harness.training.executors.events import Job, OnEvent
from harness.training.executors.executor import Executor
from harness.training.executors.stopping import Interrupted, StopRequest, stop_on_signals

__all__ = ["EXPERIMENT_NAME", "compare"]

EXPERIMENT_NAME = "experiment.yml"
"""File in the folder of the results that describes the whole experiment, see `resolved_text`."""

LOCK_NAME = ".lock"
MIN_FREE_BYTES = 200 * 2**20
CHECK_SECONDS = 120.0
"""Time for the check of one environment with all its algorithms, before the first run."""

DisplayOf = Callable[[Sequence[Job], int, Console], AbstractContextManager[OnEvent]]


def compare(
    config: ExperimentConfig,
    out: Path,
    n_workers: int,
    console: Console,
    *,
    executor: Executor | None = None,
    display_of: DisplayOf = Display,
    try_out: bool = True,
) -> int:
    """Run the missing runs of an experiment into `out`, report on all runs, and return the number of failed ones.

    executor: where runs are executed; None for n_workers processes on this machine.
    display_of: makes the context manager that is called with every event of the executor.
    try_out: build every algorithm in its environments first; False if `validation.validate` has done so.
    Raises HarnessError if the runs cannot start or results cannot be stored, and Interrupted after SIGINT, SIGTERM or
    SIGHUP; finished runs are kept, and runs that can do so continue from a checkpoint.
    """
    if executor is None:
        from harness.training.executors.executor import Limits
        from harness.training.executors.local import LocalExecutor

        executor = LocalExecutor(n_workers, Limits())
    specs = plan(config)
    # Absolute from here on, as an environment may change the working directory; `out` is what the user reads.
    runs_path = out.absolute() / "runs"
    with _storage_errors(out), stop_on_signals() as stop, _exclusive_access(out):
        n_begun = sum(1 for _ in runs_path.glob("*/*"))
        for damaged in find_damaged(specs, runs_path):
            place = set_aside(damaged.run_path, out.absolute())
            _print_plain(f"{one_line(damaged.reason, 400)}; moved to {place}, and run again", console)
        state = survey(specs, runs_path)
        for spec in state.finished:  # of a harness that was killed between a record and the end of its run
            (runs_path / spec.run_dir / CHECKPOINT_NAME).unlink(missing_ok=True)
        _print_state(state, specs, n_workers, out, console)
        if state.to_run:
            for note in _check_prerequisites(state.to_run, out, n_workers, try_out):
                _print_plain(note, console)
        # Written even if nothing is left to run: the statistical settings may have changed.
        write_text_atomically(out / EXPERIMENT_NAME, resolved_text(config))
        declare(config, out, n_begun)
        if state.to_run:
            context = {
                "command": one_line(shlex.join(sys.argv), 1_000),
                "config_digest": hashlib.sha256(config.text.encode()).hexdigest(),
            }
            interval = config.execution.checkpoint_interval
            jobs = [Job(spec, runs_path / spec.run_dir, interval, config.logging, context) for spec in state.to_run]
            with display_of(jobs, n_workers, console) as on_event:
                _execute(executor, jobs, on_event, stop)
            _print_troubles(jobs, console)
            state = survey(specs, runs_path)
        # Imported here: loading pandas and matplotlib would delay the first run by a second.
        from harness.analysis.report import write_report

        write_report(config, out / "runs", out, console)
    return len(state.failed)


def _execute(executor: Executor, jobs: Sequence[Job], on_event: OnEvent, stop: StopRequest) -> None:
    stop.is_heeded = True
    try:
        executor.run(jobs, on_event, stop)
    finally:
        stop.is_heeded = False
    if stop.number is not None:
        raise Interrupted(stop.number)


def _print_state(state: Survey, specs: Sequence[RunSpec], n_workers: int, out: Path, console: Console) -> None:
    done = f"{len(state.finished)} finished, " if state.finished else ""
    again = f" ({len(state.failed)} of them failed before)" if state.failed else ""
    todo = f"{len(state.to_run)} to run{again}" if state.to_run else "nothing to run"
    workers = f" on {n_workers} worker{'s' if n_workers > 1 else ''}" if state.to_run else ""
    _print_plain(f"{len(specs)} run{'s' if len(specs) != 1 else ''} in {out}: {done}{todo}{workers}", console)


def _print_troubles(jobs: Sequence[Job], console: Console) -> None:
    """Print a line for each reason why logs of other programs are not complete."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        record = read_record(job.run_path)
        for trouble in () if record is None else record.troubles:
            found.setdefault(trouble, []).append(job.spec.label)
    for trouble, labels in found.items():
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        _print_plain(f"{one_line(trouble, 300)} (log of {labels[0]}{more}; no result is affected)", console)


def _print_plain(line: str, console: Console) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _check_prerequisites(specs: Sequence[RunSpec], out: Path, n_workers: int, try_out: bool) -> list[str]:
    """Return notes for the user about the runs; raise HarnessError if one cannot start.

    Each environment is tried in a process of its own: one that ends or blocks its process costs only its own runs.
    """
    free = shutil.disk_usage(out).free
    if free < MIN_FREE_BYTES:
        raise HarnessError(f"{out}: only {free / 2**20:.0f} MiB are free on this disk, at least 200 are needed")
    if not try_out:
        return []
    groups: dict[str, dict[Any, RunSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.env, {}).setdefault(spec.algo, spec)
    calls = [(list(group.values()),) for group in groups.values()]
    outcomes = outcomes_of_calls(
        "harness.training.preflight:check_runs", calls, n_workers=n_workers, timeout=CHECK_SECONDS
    )
    problems: dict[str, None] = {}  # as an ordered set
    notes: dict[str, None] = {}
    for env, outcome in zip(groups, outcomes, strict=True):
        if isinstance(outcome, HarnessError):
            notes[f"{env} cannot be tried out ({one_line(str(outcome), 300)}): its runs are started all the same"] = (
                None
            )
        else:
            problems |= dict.fromkeys(outcome[0])
            notes |= dict.fromkeys(outcome[1])
    if problems:
        raise HarnessError("\n".join(problems))
    return list(notes)


@contextmanager
def _storage_errors(out: Path) -> Iterator[None]:
    """Turn an OSError, such as that of a full disk, into a HarnessError."""
    try:
        yield
    except BrokenPipeError:  # the reader of the output is gone, which is no trouble of the disk
        raise
    except OSError as error:
        place = error.filename or out
        raise HarnessError(
            f"{place}: {error.strerror or error}; finished runs are kept, run the same command again to continue"
        ) from error


@contextmanager
def _exclusive_access(out: Path) -> Iterator[None]:
    """Lock a folder of results against a second harness; the system releases the lock when the process ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        # "a+" does not truncate: the process id of another holder must stay readable.
        file = open(out / LOCK_NAME, "a+", encoding="utf-8", opener=_open_no_link)  # noqa: SIM115  closed below
    except OSError as error:
        raise HarnessError(f"{out}: cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise HarnessError(
                f"{out}: another harness (process {one_line(holder, 20)}) is writing here; wait until it has ended"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _open_no_link(path: str, flags: int) -> int:
    """Open a file that is no link: the target of one, outside of the folder, would be written to."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o644)
