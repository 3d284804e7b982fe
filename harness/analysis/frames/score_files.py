"""Reader of files of scores: one number for each run, which somebody else has measured.

CSV   columns algo, env, seed, score; or one of the names in COLUMNS for each. Optional: seed, steps, status.
JSON  {"Pong": [19.3, 18.5], "Breakout": [...]}, the scores of one algorithm, named as the file, by environment.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RecordError

__all__ = ["SCORE_SUFFIXES", "GivenScore", "is_score_file", "read_scores"]

SCORE_SUFFIXES = (".csv", ".json")

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "algo": ("algo", "algorithm", "agent", "method"),
    "env": ("env", "environment", "env_id", "task", "game"),
    "seed": ("seed", "run", "run_id"),
    "score": ("score", "return", "reward", "mean_reward", "value"),
    "steps": ("steps", "timesteps", "total_timesteps", "n_timesteps", "step"),
    "status": ("status",),
}
"""Column -> names that a file may give it, in lower case."""

_FAILED = ("failed", "crashed", "diverged", "error", "killed")
_EXPECTED = "expected the columns algo, env, score, and seed, steps, status as needed"


@dataclass(frozen=True)
class GivenScore:
    """Score of one run; NaN if the run failed."""

    algo: str
    env: str
    seed: int
    score: float
    steps: int
    """0 if the file does not say."""

    error: str
    """Reason why the run has failed, or ""."""

    where: str
    """File and line, or file and environment."""


def is_score_file(path: Path) -> bool:
    """Return True if a file looks like one of scores, judged by its header or first character."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline(10_000)
    except (OSError, UnicodeDecodeError):
        return False
    if path.suffix == ".json":
        return first.lstrip().startswith("{")
    named = {name.strip().lower() for name in first.split(",")}
    return all(named & set(COLUMNS[column]) for column in ("algo", "env", "score"))


def read_scores(path: Path) -> list[GivenScore]:
    """Return the scores in a CSV or JSON file, in the order of the file.

    A blank score, NaN or an infinite one is a failed run. Raises RecordError, in one line, for anything else that is
    not a number, for a missing column, and for a file without scores.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        scores = list(_from_json(path, text) if path.suffix == ".json" else _from_csv(path, text))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read ({' '.join(str(error).split())}), {_EXPECTED}") from error
    if not scores:
        raise RecordError(f"{path}: holds no scores, {_EXPECTED}")
    return scores


def _from_csv(path: Path, text: str) -> Iterator[GivenScore]:
    lines = csv.reader(text.splitlines())
    header = [name.strip().lower() for name in next(lines, [])]
    places: dict[str, int] = {}
    for column, names in COLUMNS.items():
        found = [header.index(name) for name in names if name in header]
        if found:
            places[column] = found[0]
    missing = [column for column in ("algo", "env", "score") if column not in places]
    if missing:
        raise RecordError(f"{path}:1: has no column {missing[0]}, {_EXPECTED}; it has {', '.join(header) or 'none'}")
    counts: dict[tuple[str, str], int] = {}
    for number, row in enumerate(lines, 2):
        where = f"{path}:{number}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise RecordError(f"{where}: has {len(row)} cells, expected {len(header)} as in the header")
        cell = {column: row[place].strip() for column, place in places.items()}
        if not cell["algo"] or not cell["env"]:
            raise RecordError(f"{where}: names no algorithm or no environment")
        position = counts.get((cell["algo"], cell["env"]), 0)
        counts[cell["algo"], cell["env"]] = position + 1
        seed = _whole(cell["seed"], f"{where}: seed") if "seed" in cell else position
        steps = _whole(cell["steps"], f"{where}: steps") if cell.get("steps") else 0
        score = _score(cell["score"], where)
        failed = cell.get("status", "").lower() in _FAILED
        yield _given(cell["algo"], cell["env"], seed, math.nan if failed else score, steps, where)


def _from_json(path: Path, text: str) -> Iterator[GivenScore]:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise RecordError(f'{path}: expected {{"Pong": [19.3, 18.5], ...}}, scores by environment')
    for env, values in data.items():
        where = f"{path}: {env}"
        if not isinstance(values, list):
            raise RecordError(f"{where}: expected a list with a score for each run, got {type(values).__name__}")
        for seed, value in enumerate(values):
            yield _given(path.stem, str(env), seed, _score("" if value is None else str(value), where), 0, where)


def _given(algo: str, env: str, seed: int, score: float, steps: int, where: str) -> GivenScore:
    error = "" if math.isfinite(score) else "No score: the file gives none for this run"
    return GivenScore(algo, env, seed, score if not error else math.nan, steps, error, where)


def _score(text: str, where: str) -> float:
    if not text or text.lower() in ("na", "none", "null"):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise RecordError(f"{where}: score is {text!r}, expected a number, or nothing for a failed run") from None


def _whole(text: str, what: str) -> int:
    try:
        number: Any = float(text)
        if number != int(number) or number < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise RecordError(f"{what} is {text!r}, expected a whole number") from None
    return int(number)
