"""Folder of a run while it is written: lock it, prepare it for an attempt, and move a damaged one out of the way."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from harness.experiment.run_records import RECORD_NAME, TENSORBOARD_FOLDER, WANDB_FOLDER

__all__ = [
    "CHECKPOINT_NAME",
    "LOG_NAME",
    "TENSORBOARD_FOLDER",
    "WANDB_FOLDER",
    "clear_folder",
    "lock_folder",
    "n_attempts",
    "prepare_folder",
    "set_aside",
]

LOG_NAME = "log.txt"
"""File that holds what the environments and the algorithm of a run have printed; absent if nothing."""

CHECKPOINT_NAME = "checkpoint.bin"
"""File from which a run that was interrupted continues; removed when the run has ended."""

SET_ASIDE = "set_aside"
"""Folder beside `runs/` for what is damaged, or was not written by the harness."""

LOCK_SECONDS = 20.0
"""Time to wait for the worker of a harness that was killed: the kernel ends it within milliseconds."""


def lock_folder(run_path: Path) -> int:
    """Make the folder of a run and lock it until this process ends; return the file descriptor that holds the lock.

    Raises OSError if another process holds it, or if the folder cannot be made.
    """
    run_path.mkdir(parents=True, exist_ok=True)
    folder = os.open(run_path, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(folder)
                raise OSError(f"{run_path} is being written by another process") from None
            time.sleep(0.02)
        except OSError:
            return folder  # a file system without locks
        else:
            return folder


def prepare_folder(run_path: Path, *, keep_checkpoint: bool) -> None:
    """Get the folder of a run ready for an attempt: a record of a failed one becomes failed-N.json.

    keep_checkpoint: True keeps all other files, from which the attempt continues, except for temporary ones that a
        killed process left; False removes all.
    Raises OSError.
    """
    record = run_path / RECORD_NAME
    if os.path.lexists(record):
        record.rename(run_path / f"failed-{n_attempts(run_path)}.json")
    if not keep_checkpoint:
        clear_folder(run_path)
    for temporary in run_path.glob(".*.tmp"):
        temporary.unlink()


def n_attempts(run_path: Path) -> int:
    """Return the number of the attempt that is made now, from 1: one more than there are records of failed ones."""
    return 1 + sum(1 for _ in run_path.glob("failed-*.json"))


def clear_folder(run_path: Path, keep: Collection[str] = ()) -> None:
    """Remove everything from the folder of a run but records of failed attempts; links are removed, not followed.

    keep: names of further files that stay. Raises OSError.
    """
    for entry in run_path.iterdir():
        if entry.name.startswith("failed-") or entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def set_aside(run_path: Path, out: Path) -> Path:
    """Move the folder of a run, or what is in its place, below `out/set_aside`; return its new path. Raises OSError."""
    place = out / SET_ASIDE / run_path.parent.name
    place.mkdir(parents=True, exist_ok=True)
    number = 1
    while os.path.lexists(target := place / f"{run_path.name}.{number}"):
        number += 1
    run_path.rename(target)
    return target
