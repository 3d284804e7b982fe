"""Verify stored results: train runs again, and compare every bit with what is stored."""

from __future__ import annotations

import csv
import hashlib
import random
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from harness.config import load_config, read_config
from harness.config.trust import untrusted_imports
from harness.errors import HarnessError
from harness.experiment.plan import RunSpec, plan
from harness.experiment.run_records import RunRecord, read_record
from harness.main_job import EXPERIMENT_NAME
from harness.printable import one_line
from harness.training.executors.events import Finished, Job, RunEvent
from harness.training.executors.executor import Executor
from harness.training.executors.stopping import Interrupted, stop_on_signals

__all__ = ["Verification", "changed_files", "circumstances", "differences", "verify"]

_MEASURES = ("parameters_digest", "steps", "final_rewards", "final_lengths")


@dataclass(frozen=True)
class Verification:
    """Comparison of a stored run with its repetition."""

    spec: RunSpec
    differences: tuple[str, ...]
    """Results that differ, in one line each; empty if every bit is equal."""
    circumstances: tuple[str, ...]
    """Recorded circumstances that differ, such as versions."""

    @property
    def line(self) -> str:
        """Result in one line."""
        if not self.differences:
            return f"identical  {self.spec.label}"
        causes = "; ".join(self.circumstances) or "no recorded circumstance differs"
        return f"different  {self.spec.label}: {'; '.join(self.differences)} ({causes})"


def verify(
    folder: Path,
    console: Console,
    executor: Executor,
    *,
    everything: bool = False,
    seed: int | None = None,
    trusted: Collection[str] = (),
) -> int:
    """Train one finished run of an experiment again, or all of them; return the number of those that differ.

    The runs are written into a temporary folder. Only runs that the experiment file plans are repeated, as it is
    checked for what it would import, and a record is not: results from elsewhere name code that others wrote.
    seed: chooses the run; None chooses at random. trusted: packages, beside those of the allow-list, that may be
    imported. Raises HarnessError for other packages, or if there is nothing to repeat, and Interrupted.
    """
    runs = folder / "runs"
    stored = dict(_finished(folder, trusted))
    if not stored:
        raise HarnessError(f"{folder}: holds no finished run of its {EXPERIMENT_NAME}")
    chooser = random.SystemRandom() if seed is None else random.Random(seed)
    chosen = list(stored) if everything else [chooser.choice(list(stored))]
    console.print(f"{len(chosen)} of {len(stored)} finished runs in {folder} to repeat", markup=False, highlight=False)
    n_different = 0
    with tempfile.TemporaryDirectory(prefix="harness-verify-") as temporary, stop_on_signals() as stop:
        jobs = [Job(spec, Path(temporary) / spec.run_dir) for spec in chosen]

        def on_event(event: RunEvent) -> None:
            nonlocal n_different
            if isinstance(event, Finished):
                spec = event.job.spec
                result = _compared(stored[spec], runs / spec.run_dir, event.record, event.job.run_path)
                n_different += bool(result.differences)
                console.print(result.line, markup=False, highlight=False, soft_wrap=True)

        stop.is_heeded = True
        executor.run(jobs, on_event, stop)
        if stop.number is not None:
            raise Interrupted(stop.number)
    return n_different


def _finished(folder: Path, trusted: Collection[str]) -> Iterator[tuple[RunSpec, RunRecord]]:
    """Yield every planned run that is finished, with its record."""
    experiment = folder / EXPERIMENT_NAME
    if not experiment.exists():
        raise HarnessError(f"{experiment}: there is no such file; expected the results of harness compare or train")
    if untrusted := untrusted_imports(read_config(experiment), trusted):
        raise HarnessError("\n".join(map(str, untrusted)))
    for spec in plan(load_config(experiment)):
        record = read_record(folder / "runs" / spec.run_dir)
        if record is not None and record.status == "finished" and record.spec.digest == spec.digest:
            yield spec, record


def _compared(before: RunRecord, before_path: Path, now: RunRecord, now_path: Path) -> Verification:
    if now.status == "failed":
        assert now.error is not None
        found = [f"it fails now: {one_line(now.error['type'] + ': ' + now.error['message'], 200)}"]
    else:
        found = list(differences(before, before_path, now, now_path))
    found += [f"{name} was changed after the run" for name in changed_files(before, before_path)]
    return Verification(before.spec, tuple(found), tuple(circumstances(before, now)))


def differences(before: RunRecord, before_path: Path, now: RunRecord, now_path: Path) -> Iterator[str]:
    """Yield one line for each result of two runs that is not bit-identical; clocks are no results."""
    for name in _MEASURES:
        ours, theirs = getattr(before, name), getattr(now, name)
        if ours != theirs:
            yield f"{name}: {_first_difference(ours, theirs)}"
    evaluations = [_evaluations(path) for path in (before_path, now_path)]
    for name in sorted(evaluations[0].keys() | evaluations[1].keys()):
        if evaluations[0].get(name) != evaluations[1].get(name):
            yield f"evaluations.npz: {name}"
    episodes = [_episodes(path) for path in (before_path, now_path)]
    for name in sorted(episodes[0].keys() | episodes[1].keys()):
        ours, theirs = episodes[0].get(name, ()), episodes[1].get(name, ())
        if ours != theirs:
            yield f"{name}: episode {_first_index(ours, theirs) + 1}"


def _first_difference(ours: Any, theirs: Any) -> str:
    if isinstance(ours, tuple):
        index = _first_index(ours, theirs)
        return f"episode {index + 1}"
    return f"{ours!s:.12} and {theirs!s:.12}"


def _first_index(ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(ours), len(theirs)))


def _evaluations(run_path: Path) -> dict[str, tuple[Any, ...]]:
    path = run_path / "evaluations.npz"
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: (arrays[name].shape, arrays[name].tobytes()) for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise HarnessError(f"{path}: cannot be read ({one_line(str(error), 200)})") from error


def _episodes(run_path: Path) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return the rows of each monitor file without the column of the clock."""
    found = {}
    for path in run_path.glob("*monitor.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            file.readline()
            rows = csv.DictReader(file)
            found[path.name] = tuple(tuple(row[key] or "" for key in row if key != "t") for row in rows)
    return found


def changed_files(record: RunRecord, run_path: Path) -> Iterator[str]:
    """Yield the names of files that are not as the run left them; one that was removed is none of them."""
    for name, (_, digest) in record.files.items():
        path = run_path / name
        if path.exists() and (not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest):
            yield name


def circumstances(before: RunRecord, now: RunRecord) -> Iterator[str]:
    """Yield one line for each recorded circumstance that differs: versions, processor, threads, engine, commit."""
    pairs: list[tuple[str, Any, Any]] = []
    for field in ("versions", "hardware", "engine"):
        ours, theirs = _flat(getattr(before, field)), _flat(getattr(now, field))
        if ours:  # records of earlier versions of the harness lack some fields
            pairs += [(name, ours.get(name, "none"), theirs.get(name, "none")) for name in {**ours, **theirs}]
    pairs += [(name, getattr(before, name), getattr(now, name)) for name in ("cpu", "threads", "git_commit")]
    for name, ours, theirs in pairs:
        if ours != theirs:
            yield one_line(f"{name} was {ours} and is {theirs}", 200)


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
