"""Orchestrate a comparison: plan the runs, run those that are missing, then write tables and figures."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from harness.config import ExperimentConfig, resolved_text
from harness.errors import HarnessError
from harness.experiment.plan import RunSpec, plan
from harness.experiment.run_records import write_text_atomically
from harness.experiment.survey import Survey, survey
from harness.training.executors.display import Display
from harness.training.executors.events import Job
from harness.training.executors.local import call_in_worker, run_jobs

__all__ = ["EXPERIMENT_NAME", "compare"]

EXPERIMENT_NAME = "experiment.yml"
"""File in the folder of the results that describes the whole experiment, see `resolved_text`."""

LOCK_NAME = ".lock"
MIN_FREE_BYTES = 200 * 2**20


def compare(config: ExperimentConfig, out: Path, n_workers: int, console: Console) -> int:
    """Run the missing runs of an experiment into `out`, report on all runs, and return the number of failed ones.

    Raises HarnessError if the runs cannot start; after KeyboardInterrupt every finished run is kept.
    """
    specs = plan(config)
    with _exclusive_access(out):
        state = survey(specs, out / "runs")
        _print_state(state, specs, n_workers, out, console)
        if state.to_run:
            for note in _check_prerequisites(state.to_run, out):
                _print_plain(note, console)
        # Written even if nothing is left to run: the statistical settings may have changed.
        write_text_atomically(out / EXPERIMENT_NAME, resolved_text(config))
        if state.to_run:
            jobs = [Job(spec, out / "runs" / spec.run_dir) for spec in state.to_run]
            with Display(jobs, n_workers, console) as display:
                run_jobs(jobs, n_workers, display)
            state = survey(specs, out / "runs")
        # Imported here: loading pandas and matplotlib would delay the first run by a second.
        from harness.analysis.report import write_report

        write_report(config, out / "runs", out, console)
    return len(state.failed)


def _print_state(state: Survey, specs: Sequence[RunSpec], n_workers: int, out: Path, console: Console) -> None:
    done = f"{len(state.finished)} finished, " if state.finished else ""
    again = f" ({len(state.failed)} of them failed before)" if state.failed else ""
    todo = f"{len(state.to_run)} to run{again}" if state.to_run else "nothing to run"
    workers = f" on {n_workers} worker{'s' if n_workers > 1 else ''}" if state.to_run else ""
    _print_plain(f"{len(specs)} run{'s' if len(specs) != 1 else ''} in {out}: {done}{todo}{workers}", console)


def _print_plain(line: str, console: Console) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _check_prerequisites(specs: Sequence[RunSpec], out: Path) -> list[str]:
    """Return notes for the user about the runs; raise HarnessError if one cannot start."""
    free = shutil.disk_usage(out).free
    if free < MIN_FREE_BYTES:
        raise HarnessError(f"{out}: only {free / 2**20:.0f} MiB are free on this disk, at least 200 are needed")
    problems, notes = call_in_worker("harness.training.preflight:check_runs", list(specs))
    if problems:
        raise HarnessError("\n".join(problems))
    return list(notes)


@contextmanager
def _exclusive_access(out: Path) -> Iterator[None]:
    """Lock a folder of results against a second harness; the system releases the lock when the process ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        # "a+" does not truncate: the process id of another holder must stay readable.
        file = (out / LOCK_NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{out}: cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise HarnessError(
                f"{out}: another harness (process {holder}) is writing here; wait until it has ended"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
