"""The main job: plan, run what is missing, then tables and figures."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.config import ExperimentConfig, resolved_text
from harness.errors import HarnessError, RecordError
from harness.experiment.plan import RunSpec, plan
from harness.experiment.run_records import RunRecord, read_record, write_text_atomically
from harness.training.executors.display import Display
from harness.training.executors.events import Job
from harness.training.executors.local import call_in_worker, run_jobs

__all__ = ["Survey", "compare", "survey"]

EXPERIMENT_NAME = "experiment.yml"
LOCK_NAME = ".lock"
MIN_FREE_BYTES = 200 * 2**20


@dataclass(frozen=True)
class Survey:
    """What is there of an experiment and what is not."""

    finished: tuple[RunSpec, ...]
    failed: tuple[RunSpec, ...]
    missing: tuple[RunSpec, ...]

    @property
    def to_run(self) -> tuple[RunSpec, ...]:
        """Runs without a result, in the order of the plan; failed ones are tried again."""
        return self.missing + self.failed


def survey(specs: Sequence[RunSpec], runs_path: Path) -> Survey:
    """Compare the plan with the disk.

    Raises RecordError when a folder holds a run with other settings: results are never mixed and never overwritten.
    """
    found: dict[str, list[RunSpec]] = {"finished": [], "failed": [], "missing": []}
    for spec in specs:
        record = read_record(runs_path / spec.run_dir)
        if record is not None and record.status == "finished" and record.spec.digest != spec.digest:
            raise RecordError(_settings_differ(runs_path / spec.run_dir, record, spec))
        found["missing" if record is None else record.status].append(spec)
    return Survey(**{status: tuple(specs) for status, specs in found.items()})


def _settings_differ(path: Path, record: RunRecord, spec: RunSpec) -> str:
    before, now = _flat(record.spec.as_dict()), _flat(spec.as_dict())
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    changes = ", ".join(f"{key} was {before.get(key, 'unset')} and is now {now.get(key, 'unset')}" for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return (
        f"{path}: was run with other settings ({changes}{more}); "
        "choose another name or --out for the new ones, or move the old results away"
    )


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """The spec with its hyperparameters beside the other keys."""
    return {**{key: value for key, value in data.items() if key != "hyperparams"}, **data["hyperparams"]}


def compare(config: ExperimentConfig, out: Path, n_workers: int, console: Console) -> int:
    """Run what is missing of the experiment into `out`, and report on all of it; returns the number of failed runs.

    Raises HarnessError when the runs cannot start, and KeyboardInterrupt with every finished run in place.
    """
    specs = plan(config)
    with _locked(out):
        state = survey(specs, out / "runs")
        _say_what_is_there(state, specs, n_workers, out, console)
        if state.to_run:
            _check_before_running(state.to_run, out)
        # Also where nothing is left to run: how the results are judged may have changed since.
        write_text_atomically(out / EXPERIMENT_NAME, resolved_text(config))
        if state.to_run:
            jobs = [Job(spec, out / "runs" / spec.run_dir) for spec in state.to_run]
            with Display(jobs, n_workers, console) as display:
                run_jobs(jobs, n_workers, display)
            state = survey(specs, out / "runs")
        # Imported here: pandas and matplotlib take a second that nobody should wait for before the first run.
        from harness.analysis.report import write_report

        write_report(config, out / "runs", out, console)
    return len(state.failed)


def _say_what_is_there(state: Survey, specs: Sequence[RunSpec], n_workers: int, out: Path, console: Console) -> None:
    done = f"{len(state.finished)} finished, " if state.finished else ""
    again = f" ({len(state.failed)} of them failed before)" if state.failed else ""
    todo = f"{len(state.to_run)} to run{again}" if state.to_run else "nothing to run"
    workers = f" on {n_workers} worker{'s' if n_workers > 1 else ''}" if state.to_run else ""
    console.print(f"{len(specs)} runs in {out}: {done}{todo}{workers}", markup=False, highlight=False, soft_wrap=True)


def _check_before_running(specs: Sequence[RunSpec], out: Path) -> None:
    free = shutil.disk_usage(out).free
    if free < MIN_FREE_BYTES:
        raise HarnessError(f"{out}: only {free / 2**20:.0f} MiB are free on this disk, at least 200 are needed")
    problems = call_in_worker("harness.training.preflight:find_problems", list(specs))
    if problems:
        raise HarnessError("\n".join(problems))


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second harness from writing to the same results; the lock goes with the process, even a killed one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK_NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{out}: cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise HarnessError(f"{out}: another harness (process {holder}) is writing here; wait for it") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
