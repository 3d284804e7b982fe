"""`harness clean`: files that no result needs any more, and their removal.

A finished record and the logs that tables and figures are made of are never removed. Links are removed as links, and
nothing outside the experiment's folder is touched.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from harness.errors import HarnessError, RecordError
from harness.experiment.inventory import Experiment, StoredRun, find_experiments, take_inventory
from harness.experiment.run_records import RECORD_NAME
from harness.housekeeping.listing import model_files
from harness.housekeeping.sizes import size_of, size_text

__all__ = ["Removable", "clean", "removable"]

Kind = Literal["interrupted runs", "failed attempts", "checkpoints", "temporary files", "set aside", "models"]

_REASONS: dict[Kind, str] = {
    "interrupted runs": "no record; they would be run again, or continued from their checkpoint",
    "failed attempts": "records of attempts before the last one",
    "checkpoints": "of runs that have finished",
    "temporary files": "half-written when a process was killed",
    "set aside": "damaged or foreign folders that were moved out of the way",
    "models": "weights and statistics of finished runs; without them no agent can be evaluated or watched",
}
SET_ASIDE = "set_aside"
MAX_SHOWN = 10


@dataclass(frozen=True)
class Removable:
    """File or folder that can be removed."""

    path: Path
    kind: Kind
    n_bytes: int


def clean(folder: Path, console: Console, *, models: bool = False, yes: bool = False) -> list[Removable]:
    """Print what can be removed from the experiments below a folder, and remove it if `yes`; return it.

    models: True removes the agents of finished runs, too.
    Raises RecordError if there are no experiments, HarnessError if a harness is running there or a file cannot be
    removed.
    """
    experiments = [take_inventory(path) for path in find_experiments(folder)]
    if not experiments:
        raise RecordError(f"{folder}: holds no results of `harness compare` or `harness train`")
    found: list[Removable] = []
    for experiment in experiments:
        with _exclusive_access(experiment, write=yes):
            of_one = removable(take_inventory(experiment.path) if yes else experiment, models=models)
            _show(of_one, experiment, console)
            if yes:
                for item in of_one:
                    _remove(item)
            found += of_one
    size = size_text(sum(item.n_bytes for item in found))
    if not found:
        line = "nothing to remove"
    elif yes:
        line = f"removed {size}"
    else:
        line = f"dry run, nothing was removed; add --yes to remove {size}"
    _print(line, console)
    return found


def removable(experiment: Experiment, *, models: bool = False) -> list[Removable]:
    """Return what can be removed from an experiment, each file once."""
    found: dict[Path, Kind] = {}
    for run in experiment.runs:
        if _is_inside(run.path, experiment.path):
            for path, kind in _removable_of(run, models):
                found.setdefault(path, kind)
    for path in _temporary_files(experiment.path):
        found.setdefault(path, "temporary files")
    aside = experiment.path / SET_ASIDE
    if aside.is_dir() and not aside.is_symlink():
        found[aside] = "set aside"
    return [Removable(path, kind, size_of(path)) for path, kind in found.items()]


def _removable_of(run: StoredRun, models: bool) -> Iterator[tuple[Path, Kind]]:
    if not run.path.is_dir() or run.path.is_symlink():
        return
    if run.state == "missing" and run.planned and not os.path.lexists(run.path / RECORD_NAME):
        yield run.path, "interrupted runs"
        return
    if run.state not in ("finished", "failed", "stale"):
        return
    for path in sorted(run.path.glob("failed-*.json")):
        yield path, "failed attempts"
    for path in _temporary_files(run.path):
        yield path, "temporary files"
    if run.state != "failed":
        for path in sorted(run.path.glob("checkpoint*.zip*")):
            yield path, "checkpoints"
        if models:
            for path in model_files(run):
                yield path, "models"


def _temporary_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob(".*.tmp"), *folder.glob("*.unfinished")])


def _is_inside(path: Path, folder: Path) -> bool:
    """Return True if the path lies in the folder, also where a part of it is a link."""
    return path.resolve().is_relative_to(folder.resolve())


def _show(found: Sequence[Removable], experiment: Experiment, console: Console) -> None:
    for kind, reason in _REASONS.items():
        of_kind = [item for item in found if item.kind == kind]
        if not of_kind:
            continue
        size = size_text(sum(item.n_bytes for item in of_kind))
        _print(f"{experiment.path}: {kind}: {len(of_kind)}, {size} ({reason})", console)
        for item in of_kind[:MAX_SHOWN]:
            _print(f"  {item.path.relative_to(experiment.path)}", console)
        if len(of_kind) > MAX_SHOWN:
            _print(f"  ... and {len(of_kind) - MAX_SHOWN} more", console)


def _print(line: str, console: Console) -> None:
    text = "".join(c if c.isprintable() else " " for c in line.rstrip())
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _remove(item: Removable) -> None:
    try:
        if item.path.is_dir() and not item.path.is_symlink():
            with _run_lock(item.path):
                shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
    except OSError as error:
        raise HarnessError(f"{item.path}: cannot be removed ({error.strerror or error})") from error


@contextmanager
def _run_lock(folder: Path) -> Iterator[None]:
    """Raise HarnessError if a worker, perhaps of a harness that was killed, still writes into the folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise HarnessError(f"{folder}: is being written by another process; wait until it has ended") from None
    finally:
        os.close(descriptor)


@contextmanager
def _exclusive_access(experiment: Experiment, *, write: bool) -> Iterator[None]:
    """Hold the lock of an experiment, which a harness holds while it trains; raise HarnessError if one does.

    write: False opens a lock that exists, and makes none.
    """
    path = experiment.lock
    if not write and not path.exists():
        yield
        return
    try:
        file = path.open("a+" if write else "r", encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{experiment.path}: cannot be changed ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            raise HarnessError(
                f"{experiment.path}: another harness (process {holder}) is writing here; wait until it has ended"
            ) from None
        yield
