"""Origin of the runs: facts that all records share, and a row for each run with those that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.analysis.tables.formats import number
from harness.errors import RecordError
from harness.experiment.run_records import RunRecord, read_record

__all__ = ["Provenance", "provenance"]

HEADER = ("algorithm", "environment", "seed", "status", "score", "steps", "seconds", "started", "parameters", "folder")


@dataclass(frozen=True)
class Provenance:
    """Origin of all runs of a report."""

    common: tuple[tuple[str, str], ...]
    """Names and values of the facts that hold for every run with a record."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Row of each run: its identity, its outcome, and the facts that are not common."""

    dates: tuple[str, str] | None
    """Days in UTC on which the first and the last run with a record began."""


def provenance(runs: pd.DataFrame) -> Provenance:
    """Return the origin of the runs, read from the records in their folders.

    runs: from `Results`. Logs of other programs have no record: only what their files say is known.
    """
    table = runs.to_dict("records")
    records = [_record(str(run["path"])) for run in table]
    facts = [{} if record is None else _facts(record) for record in records]
    known = [one for one in facts if one]
    names = list(dict.fromkeys(name for one in known for name in one))
    common = {name for name in names if len({one.get(name, "") for one in known}) == 1}
    differing = [name for name in names if name not in common]
    rows = tuple(
        (*_identity(run, record), *(one.get(name, "") for name in differing))
        for run, record, one in zip(table, records, facts, strict=True)
    )
    starts = sorted(record.started[:10] for record in records if record is not None and record.started)
    return Provenance(
        common=tuple((name, known[0].get(name, "")) for name in names if name in common),
        header=(*HEADER, *differing),
        rows=rows,
        dates=(starts[0], starts[-1]) if starts else None,
    )


def _record(path: str) -> RunRecord | None:
    if not path:
        return None
    try:
        return read_record(Path(path))
    except (RecordError, OSError):  # it was readable when the runs were loaded; another process may have moved it
        return None


def _facts(record: RunRecord) -> dict[str, str]:
    """Return the circumstances of a run as names and values, those that are known."""
    hardware = record.hardware
    facts = {
        "experiment file (SHA-256)": record.config_digest[:16],
        "git commit": record.git_commit,
        "CPU": record.cpu,
        "cores": str(hardware.get("cores", "")),
        "system": str(hardware.get("system", "")),
        "torch threads": str(record.threads),
        "command": record.command,
        **{name: str(version) for name, version in record.versions.items()},
    }
    return {name: value for name, value in facts.items() if value}


def _identity(run: Mapping[Any, Any], record: RunRecord | None) -> tuple[str, ...]:
    return (
        str(run["algo"]),
        str(run["env"]),
        str(run["seed"]),
        str(run["status"]),
        number(float(run["score"])),
        f"{int(run['steps']):,}",
        number(float(run["train_seconds"])),
        "" if record is None else record.started.replace("T", " ")[:16],
        str(run["parameters_digest"])[:12],
        str(run["path"]),
    )
