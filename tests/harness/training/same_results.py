"""Compare two folders of results file by file, without the values that a clock or a commit determines.

    python -m tests.harness.training.same_results results/before results/after

Prints every difference and ends with 1 if there is one. Files are equal in every byte, except where a format holds a
time: those are compared value by value, and floats by their bits.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.save_util import json_to_data

__all__ = ["differences"]

CLOCK_KEYS = frozenset(
    {
        *("started", "wall_seconds", "train_seconds", "git_commit", "start_time", "t", "t_start", "fps"),
        *(
            "time_elapsed",
            "cpu_seconds",
            "peak_memory",
            "command",
            "attempts",
            "resumed_at",
            "checksum",
            "files",
            "nodes",
        ),
    }
)
"""Names of values that differ between two runs of the same code; in progress.csv the part after the slash."""

SKIPPED = frozenset({".lock", "log.txt"})


def differences(before: Path, after: Path) -> Iterator[str]:
    """Yield one line for each file that is missing on one side, or that differs in more than a time."""
    names = [
        {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - SKIPPED
        for root in (before, after)
    ]
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: only in {before if name in names[0] else after}"
    for name in sorted(names[0] & names[1]):
        ours, theirs = (_content(root / name) for root in (before, after))
        if ours != theirs:
            yield f"{name}: {_place(ours, theirs)}"


def _content(path: Path) -> Any:
    """Return the contents of a file as plain data without clocks."""
    data = path.read_bytes()
    if path.suffix == ".json":
        return _without_clocks(json.loads(data))
    if path.name.endswith("monitor.csv"):
        header, _, rows = data.decode().partition("\n")
        return [_without_clocks(json.loads(header.removeprefix("#"))), _rows(rows)]
    if path.suffix == ".csv":
        return _rows(data.decode())
    if path.suffix == ".zip":
        return _model(path)
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: _plain(arrays[name]) for name in arrays.files}
    return data


def _rows(text: str) -> list[dict[str, Any]]:
    return [_without_clocks(row) for row in csv.DictReader(io.StringIO(text))]


def _model(path: Path) -> dict[str, Any]:
    """Return the members of a saved model; a zip file itself holds the time at which it was written."""
    with zipfile.ZipFile(path) as file:
        members: dict[str, Any] = {name: file.read(name) for name in file.namelist()}
    if "data" in members:
        text = members["data"].decode()
        # Objects are compared as objects: equal ones may be pickled to other bytes.
        members["data"] = _without_clocks(_plain(json_to_data(text)))
    return members


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_clocks(item) for key, item in value.items() if str(key).split("/")[-1] not in CLOCK_KEYS}
    return [_without_clocks(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any, depth: int = 0) -> Any:
    """Return an object as dictionaries, lists and text that are equal for equal objects."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set) or type(value).__name__ == "deque":
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, type) or value is None or isinstance(value, str | int | bool):
        return str(value)
    if hasattr(value, "__dict__") and depth < 12:
        return {"class": type(value).__qualname__, **_plain(vars(value), depth + 1)}
    return type(value).__qualname__


def _place(ours: Any, theirs: Any, where: str = "") -> str:
    """Return the first place at which two contents differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        key = next((key for key in ours if ours[key] != theirs[key]), None)
        return _place(ours[key], theirs[key], f"{where}/{key}") if key is not None else where
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        index = next(i for i in range(len(ours)) if ours[i] != theirs[i])
        return _place(ours[index], theirs[index], f"{where}[{index}]")
    return f"{where or 'contents'}: {str(ours)[:80]} and {str(theirs)[:80]}"


if __name__ == "__main__":
    found = list(differences(Path(sys.argv[1]), Path(sys.argv[2])))
    print("\n".join(found) or "equal")
    sys.exit(bool(found))
