"""Read and write `RunRecord`, the result of one run; this module defines the only schema of results on disk.

    results/NAME/
      experiment.yml                 the configuration, with every hyperparameter written out
      rule.json                      rule of judgement and plan before the first run, and changes since
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

import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from harness.errors import DamagedRecordError, RecordError
from harness.experiment.plan import RunSpec
from harness.printable import one_line

__all__ = [
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "TENSORBOARD_FOLDER",
    "WANDB_FOLDER",
    "RunRecord",
    "fingerprints",
    "iter_records",
    "read_record",
    "write_record",
    "write_text_atomically",
]

RECORD_NAME = "run.json"
"""File name of a run's record."""

SCHEMA_VERSION = 1
"""Version of the record's format."""

_NO_RESULTS = frozenset({"run.json", "log.txt", "checkpoint.bin"})
"""Files of a run that are not among its results."""

TENSORBOARD_FOLDER = "tensorboard"
"""Folder of a run with its log for TensorBoard; no result is in it."""

WANDB_FOLDER = "wandb"
"""Folder of a run with its log for Weights & Biases; no result is in it."""

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
    final_successes: tuple[bool, ...] = ()
    """`is_success` of each of these episodes; empty for an environment that does not tell."""
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
    attempts: int = 1
    """Number of this attempt; the records of those before are failed-N.json."""
    resumed_at: tuple[int, ...] = ()
    """Steps of the checkpoints from which the run was continued after interruptions."""
    cpu_seconds: float = 0.0
    """Seconds of CPU of the process and its children; of the last part only, if the run was continued."""
    peak_memory: int = 0
    """Largest resident memory of the process in bytes, with the libraries that it shares with others."""
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """Keys machine, system, cores, memory (of the machine, in bytes)."""
    command: str = ""
    """Command line of the harness."""
    config_digest: str = ""
    """SHA-256 of the text of the experiment file."""
    troubles: tuple[str, ...] = ()
    """Logs of other programs that are not complete, each with the reason on one line."""
    nodes: tuple[str, ...] = ()
    """Names of the machines that executed the run, one after another; empty if it was the machine of the harness."""
    files: Mapping[str, Any] = field(default_factory=dict)
    """Path below the folder of the run -> [size in bytes, SHA-256], for every file that the run left."""

    @property
    def score(self) -> float:
        """Mean return of the final evaluation; NaN for a run that failed."""
        return sum(self.final_rewards) / len(self.final_rewards) if self.final_rewards else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON data, including `schema` and `digest`."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["train_seconds"] = None if math.isnan(self.train_seconds) else self.train_seconds
        for name in ("troubles", "nodes", "final_successes"):
            if not data[name]:
                del data[name]
        content = {"schema": SCHEMA_VERSION, "digest": self.spec.digest, **data, "spec": self.spec.as_dict()}
        return {**content, "checksum": _checksum(content)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRecord:
        """Return the record from the data of `as_dict`; raise KeyError, TypeError or ValueError for anything else."""
        if "checksum" in data and data["checksum"] != _checksum({k: v for k, v in data.items() if k != "checksum"}):
            raise ValueError("its checksum is wrong")
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["spec"] = RunSpec.from_dict(data["spec"])
        values["train_seconds"] = math.nan if data["train_seconds"] is None else data["train_seconds"]
        for key in ("final_rewards", "final_lengths"):
            values[key] = tuple(data[key])
        for key in ("resumed_at", "troubles", "nodes", "final_successes"):
            values[key] = tuple(data.get(key, ()))
        if isinstance(values.get("files"), Mapping):
            values["files"] = {name: tuple(found) for name, found in values["files"].items()}
        record = cls(**values)
        _check_types(record)
        return record


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the data of a record, which tells a damaged file."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


_TYPES: Mapping[type, tuple[str, ...]] = {
    str: ("started", "parameters_digest", "cpu", "git_commit", "command", "config_digest"),
    int: ("steps", "threads", "attempts", "peak_memory"),
    float: ("wall_seconds", "train_seconds", "cpu_seconds"),
    Mapping: ("versions", "engine", "hardware", "files"),
}


def _check_types(record: RunRecord) -> None:
    """Raise TypeError if a field of a record that was read is not of the type it is used as."""
    if record.status not in ("finished", "failed"):
        raise TypeError(f"status is {record.status!r:.50}")
    if (record.status == "failed") != isinstance(record.error, Mapping):
        raise TypeError("error is given for failed runs, and for no others")
    for kind, names in _TYPES.items():
        for name in names:
            value = getattr(record, name)
            accepted = (int, float) if kind is float else kind
            if isinstance(value, bool) or not isinstance(value, accepted):
                raise TypeError(f"{name} is {value!r:.50}")
    if not all(isinstance(reward, int | float) for reward in (*record.final_rewards, *record.final_lengths)):
        raise TypeError("final_rewards and final_lengths must be numbers")
    if not all(isinstance(text, str) for text in (*record.troubles, *record.nodes)):
        raise TypeError("troubles and nodes must be text")
    if not all(isinstance(success, bool) for success in record.final_successes):
        raise TypeError("final_successes must be true or false")
    record.spec.check_types()


def fingerprints(run_path: Path) -> dict[str, tuple[int, str]]:
    """Return size and SHA-256 of each file that a run has left, by its path; logs, those of other programs
    included, and records of attempts excepted.
    """
    found = {}
    for path in sorted(run_path.rglob("*")):
        name = str(path.relative_to(run_path))
        if (
            path.is_file()
            and not path.is_symlink()
            and not name.startswith(("failed-", "."))
            and name not in _NO_RESULTS
            and name.partition("/")[0] not in (TENSORBOARD_FOLDER, WANDB_FOLDER)
        ):
            content = path.read_bytes()
            found[name] = (len(content), hashlib.sha256(content).hexdigest())
    return found


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


_MAX_BYTES = 2**26
_REMEDY = "move the folder away to run it again"


def read_record(run_path: Path) -> RunRecord | None:
    """Return the record in the folder of a run, or None if there is none (not run, or interrupted).

    Raises DamagedRecordError if the record is damaged, and RecordError if it is of another schema version or cannot be
    opened.
    """
    path = run_path / RECORD_NAME
    try:
        # Asked first: reading a pipe or a device would never end.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise DamagedRecordError(f"{path}: is not a record of this harness (no file of its kind); {_REMEDY}")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        kind = DamagedRecordError if error.errno in (errno.ELOOP, errno.ENOTDIR) else RecordError
        raise kind(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    # ValueError: no UTF-8, no JSON, or a number of thousands of digits. RecursionError: nested too deeply.
    except (ValueError, RecursionError) as error:
        raise DamagedRecordError(f"{path}: cannot be read ({one_line(str(error), 200)}); {_REMEDY}") from error
    try:
        if data["schema"] != SCHEMA_VERSION:
            raise RecordError(
                f"{path}: has schema version {data['schema']}, but this harness reads version {SCHEMA_VERSION}; "
                "use `harness report` of the version that wrote it, or move the folder away"
            )
        return RunRecord.from_dict(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = one_line(f"{type(error).__name__}: {error}", 200)
        raise DamagedRecordError(f"{path}: is not a record of this harness ({reason}); {_REMEDY}") from error


def iter_records(root: Path) -> Iterator[tuple[Path, RunRecord]]:
    """Yield (run folder, record) for every run below a folder, sorted by path; raise RecordError."""
    for path in sorted(root.rglob(RECORD_NAME)):
        record = read_record(path.parent)
        if record is not None:
            yield path.parent, record
