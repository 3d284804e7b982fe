"""Results of a whole benchmark in a file: machine, versions, and all times."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.bench.execution.results import RESULTS, Result
from harness.bench.peer_speeds import PeerSpeed
from harness.bench.speeds import Speed, geometric_mean
from harness.errors import HarnessError, RecordError

__all__ = ["BenchRecord", "check_writable", "read_record", "write_record"]

FORMAT = 1


@dataclass
class BenchRecord:
    """Results of a benchmark, to which those of the next configuration are added while it is measured."""

    machine: dict[str, Any]
    engine: str
    speeds: list[Speed] = field(default_factory=list)
    peers: list[PeerSpeed] = field(default_factory=list)
    interrupted: bool = False
    execution: dict[str, Result] = field(default_factory=dict)
    """Name of a measurement of whole experiments -> its result."""
    problems: dict[str, str] = field(default_factory=dict)
    """Name of a measurement of whole experiments -> reason why it has no result."""


def check_writable(path: Path | None) -> None:
    """Raise HarnessError if a file cannot be made here, before the time for its contents is spent."""
    if path is not None and not path.parent.is_dir():
        raise HarnessError(f"{path}: the folder {path.parent} does not exist")
    if path is not None and path.is_dir():
        raise HarnessError(f"{path}: is a folder, expected the name of a file")


def write_record(path: Path, record: BenchRecord) -> None:
    """Write the benchmark as JSON; raise HarnessError if that is not possible."""
    mean = geometric_mean(record.speeds)
    data = {
        "format": FORMAT,
        "machine": record.machine,
        "engine": record.engine,
        "interrupted": record.interrupted,
        "geometric_mean": None if mean is None else asdict(mean),
        "configurations": [speed.as_dict() for speed in record.speeds],
        "peers": [asdict(peer) for peer in record.peers],
        "execution": {name: result.as_dict() for name, result in record.execution.items()},
        "problems": record.problems,
    }
    try:
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written: {error.strerror}") from error


def read_record(path: Path) -> BenchRecord:
    """Return the benchmark in a file that `write_record` wrote; raise RecordError if it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return BenchRecord(
            dict(data["machine"]),
            str(data["engine"]),
            [Speed.from_dict(entry) for entry in data["configurations"]],
            [PeerSpeed(**{**entry, "ratios": tuple(entry["ratios"])}) for entry in data["peers"]],
            bool(data["interrupted"]),
            {name: RESULTS[name].from_dict(entry) for name, entry in data.get("execution", {}).items()},
            dict(data.get("problems", {})),
        )
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: expected a file of `harness bench --json`") from error
