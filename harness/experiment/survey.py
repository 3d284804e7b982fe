"""Find out which runs of a plan are finished, failed or missing on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RecordError
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord, read_record

__all__ = ["Survey", "survey"]


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
