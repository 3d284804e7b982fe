"""Read and write `RunRecord`, the result of one run; this module defines the only schema of results on disk.

    results/NAME/
      experiment.yml                 the configuration, with every hyperparameter written out
      runs/ALGO/ENV_K/               rl_zoo3's layout; K is the seed plus one
        0.monitor.csv ...            SB3 Monitor: reward, length, time of every training episode; one file per env
        evaluations.npz              SB3 EvalCallback: timesteps [E], results [E, episodes], ep_lengths [E, episodes]
        progress.csv                 SB3 logger: one row per dump
        ENV/config.yml               the hyperparameters, unprocessed, as rl_zoo3 writes them
        ENV.zip, best_model.zip      final and best model
        run.json                     the `RunRecord`, written last: a folder without it holds no result

`run.json` is written to a temporary file, flushed to the disk and renamed, so that after a crash or on a full disk
there is either the whole record or none.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from harness.errors import RecordError
from harness.experiment.plan import RunSpec

__all__ = [
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "RunRecord",
    "iter_records",
    "read_record",
    "write_record",
    "write_text_atomically",
]

RECORD_NAME = "run.json"
"""File name of a run's record."""

SCHEMA_VERSION = 1
"""Version of the record's format."""

Status = Literal["finished", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """Outcome of one run, together with the information needed to repeat it."""

    spec: RunSpec
    status: Status
    started: str
    """Time of the start in UTC, ISO 8601."""
    wall_seconds: float
    """Time from the start of the worker's task to its end, evaluations included."""
    train_seconds: float = math.nan
    """Time spent in `learn()`, without evaluations and the harness's own measurements."""
    steps: int = 0
    """Environment steps trained: n_timesteps rounded up to whole rollouts."""
    final_rewards: tuple[float, ...] = ()
    """Return of each episode of the final evaluation; their mean is the run's score."""
    final_lengths: tuple[int, ...] = ()
    parameters_digest: str = ""
    """SHA-256 of the names, types, shapes and bytes of the final policy parameters; equal for bit-identical runs."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of python, torch, stable_baselines3, gymnasium, numpy, and packages with environments."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Engine of CustomPPO's updates and state of its compiled kernels: keys asked_for, used, note, kernels."""
    threads: int = 1
    cpu: str = ""
    git_commit: str = ""
    error: Mapping[str, str] | None = None
    """Keys `type`, `message` and `traceback` for a failed run, else None."""

    @property
    def score(self) -> float:
        """Mean return of the final evaluation; NaN for a run that failed."""
        return sum(self.final_rewards) / len(self.final_rewards) if self.final_rewards else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON data, including `schema` and `digest`."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["train_seconds"] = None if math.isnan(self.train_seconds) else self.train_seconds
        return {"schema": SCHEMA_VERSION, "digest": self.spec.digest, **data, "spec": self.spec.as_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRecord:
        """Return the record from the data of `as_dict`; raise KeyError or TypeError for anything else."""
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["spec"] = RunSpec.from_dict(data["spec"])
        values["train_seconds"] = math.nan if data["train_seconds"] is None else data["train_seconds"]
        for key in ("final_rewards", "final_lengths"):
            values[key] = tuple(data[key])
        return cls(**values)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace the contents of a file; raise OSError and leave the file unchanged if that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # before the rename: a power failure could leave an empty file otherwise
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_record(run_path: Path, record: RunRecord) -> None:
    """Write `run.json` atomically into the folder of a run, as its last file; raise OSError."""
    run_path.mkdir(parents=True, exist_ok=True)
    write_text_atomically(run_path / RECORD_NAME, json.dumps(record.as_dict(), indent=1, allow_nan=True) + "\n")


def read_record(run_path: Path) -> RunRecord | None:
    """Return the record in the folder of a run, or None if there is none (not run, or interrupted).

    Raises RecordError if the record is damaged or of another schema version.
    """
    path = run_path / RECORD_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); move the folder away to run it again") from error
    try:
        if data["schema"] != SCHEMA_VERSION:
            raise RecordError(
                f"{path}: has schema version {data['schema']}, but this harness reads version {SCHEMA_VERSION}; "
                "use `harness report` of the version that wrote it, or move the folder away"
            )
        return RunRecord.from_dict(data)
    except (KeyError, TypeError) as error:
        raise RecordError(
            f"{path}: is not a record of this harness ({error!r}); move the folder away to run it again"
        ) from error


def iter_records(root: Path) -> Iterator[tuple[Path, RunRecord]]:
    """Yield (run folder, record) for every run below a folder, sorted by path; raise RecordError."""
    for path in sorted(root.rglob(RECORD_NAME)):
        record = read_record(path.parent)
        if record is not None:
            yield path.parent, record
