"""Records of the benchmark: a JSON line for each outcome, each command and each run of `false_alarms`."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from tests.planted.outcomes import Outcome
from tests.planted.selection import Planted

__all__ = ["append", "append_command", "append_row", "commands", "commits", "read", "read_alarms"]


def append(file: Path, outcome: Outcome) -> None:
    """Append an outcome with the commit of the code that was run."""
    append_row(file, {"commit": _commit(), **dataclasses.asdict(outcome)})


def append_command(file: Path, arguments: Sequence[str]) -> None:
    """Append the arguments of the benchmark, without the files that they name, for the page to list."""
    kept = [one for one in arguments if one not in ("--record", "--markdown")]
    kept = [one for one in kept if not one.endswith((".jsonl", ".md"))]
    append_row(file, {"ran": f"benchmark {' '.join(kept)}".strip()})


def append_row(file: Path, row: Mapping[str, Any]) -> None:
    """Append a row as a line of JSON."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")


def read(file: Path) -> list[Outcome]:
    """Return the recorded outcomes, the last for each subject; none if there is no file.

    Raise HarnessError if a row was written by a version of the benchmark with other fields.
    """
    latest: dict[tuple[str, str], Outcome] = {}
    for row in _rows(file, "planted"):
        try:
            outcome = _outcome(row)
        except (KeyError, TypeError) as error:
            raise HarnessError(f"{file}: a row of another version of the benchmark ({error}); record anew") from error
        latest[outcome.planted.module, outcome.planted.name] = outcome
    return list(latest.values())


def read_alarms(file: Path) -> list[dict[str, Any]]:
    """Return the rows that `false_alarms` recorded."""
    return list(_rows(file, "options"))


def commands(file: Path | None) -> list[str]:
    """Return the recorded commands, each once."""
    return [] if file is None else list(dict.fromkeys(row["ran"] for row in _rows(file, "ran")))


def commits(file: Path | None) -> list[str]:
    """Return the commit of every recorded outcome."""
    return [] if file is None else [row["commit"] for row in _rows(file, "commit")]


def _rows(file: Path, key: str) -> Iterator[dict[str, Any]]:
    """Yield the rows that have this key, by which the kinds of rows are told apart."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if key in row:
                yield row


def _outcome(row: Mapping[str, Any]) -> Outcome:
    # JSON has lists where the dataclasses have tuples.
    fields = {name: value for name, value in row.items() if name != "commit"}
    planted = {name: tuple(value) if isinstance(value, list) else value for name, value in row["planted"].items()}
    named = tuple(map(tuple, row["named"]))
    return Outcome(**{**fields, "planted": Planted(**planted), "faults": tuple(row["faults"]), "named": named})


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()
