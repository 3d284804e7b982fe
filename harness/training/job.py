"""Execute one run in this process, wherever an executor has started it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harness.experiment.plan import RunSpec
from harness.experiment.run_folder import lock_folder, prepare_folder
from harness.experiment.run_records import RunRecord
from harness.training.checkpoints import Checkpoint, RunPaused
from harness.training.control import Control
from harness.training.train import train_and_record

__all__ = ["Control", "execute"]


def execute(
    spec: RunSpec, run_path: Path, control: Control, on_ready: Callable[[], None] = lambda: None
) -> RunRecord | None:
    """Train a run, from its checkpoint if there is one, and write its record; None if it was asked to pause.

    on_ready: called when the folder is ready, before anything of the user's runs.
    Raises OSError if the files of the run cannot be written.
    """
    lock = lock_folder(run_path)
    try:
        checkpoint = Checkpoint.find(run_path, spec)
        prepare_folder(run_path, keep_checkpoint=checkpoint is not None)
        on_ready()
        return train_and_record(spec, run_path, control.report, control, checkpoint)
    except RunPaused:
        return None
    finally:
        os.close(lock)
