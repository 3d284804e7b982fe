"""Find out which runs of a plan are finished, failed or missing on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DamagedRecordError, RecordError
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord, read_record

__all__ = ["DamagedRun", "Survey", "find_damaged", "survey"]


@dataclass(frozen=True)
class Survey:
    """Planned runs by their state on disk, each in the order of the plan."""

    finished: tuple[RunSpec, ...]
    failed: tuple[RunSpec, ...]
    missing: tuple[RunSpec, ...]

    @property
    def to_run(self) -> tuple[RunSpec, ...]:
        """Runs to start: missing ones, then failed ones, which are tried again."""
        return self.missing + self.failed


@dataclass(frozen=True)
class DamagedRun:
    """Run on disk that cannot be used, and the reason as one line."""

    run_path: Path
    reason: str


def find_damaged(specs: Sequence[RunSpec], runs_path: Path) -> list[DamagedRun]:
    """Return the planned runs whose folder is damaged or foreign: they must be moved away and run again.

    That is a link or a file in place of the folder, a record that cannot be read, or a file of a finished run that is
    missing or has other contents than its record says. Models may be missing: nothing is computed from them.
    """
    found = []
    for spec in specs:
        path = runs_path / spec.run_dir
        reason = _damage(path)
        if reason is not None:
            found.append(DamagedRun(path, reason))
    return found


def _damage(path: Path) -> str | None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        return f"{path}: is not a folder"
    try:
        record = read_record(path)
    except DamagedRecordError as error:
        return str(error)
    if record is None or record.status == "failed":
        return None
    for name, (size, digest) in record.files.items():
        file = path / name
        if file.is_symlink() or (file.exists() and not file.is_file()):
            return f"{file}: is not a file"
        if not file.exists():
            if not name.endswith((".zip", ".pkl", ".yml")):
                return f"{file}: is missing"
        elif file.stat().st_size != size:
            return f"{file}: has {file.stat().st_size:,} bytes instead of {size:,}"
        elif (reason := _change(file, digest)) is not None:
            return f"{file}: {reason}"
    return None


def _change(file: Path, digest: str) -> str | None:
    """Return the reason why a file is not the recorded one, or None if it is."""
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if found == digest else "its contents have changed"


def survey(specs: Sequence[RunSpec], runs_path: Path) -> Survey:
    """Compare the planned runs with the records below a folder.

    Raises RecordError if a folder holds a finished run with other settings: results are never mixed or overwritten.
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
        f"{path}: holds a run with other settings ({changes}{more}); "
        "choose another name or --out for the new runs, or move the old results away"
    )


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """Return a spec as one flat mapping, with the hyperparameters among its other keys."""
    return {**{key: value for key, value in data.items() if key != "hyperparams"}, **data["hyperparams"]}
