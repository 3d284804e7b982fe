"""Checkpoints of a run, from which it continues after an interruption and ends with the bits of an undisturbed run.

Beside the model, its environments and the random generators, which custom_ppo saves, a run consists of callbacks with
their counts, environments for evaluations, and log files. All of them are saved between an update and the next rollout.
Algorithms other than CustomPPO and CustomA2C cannot do this: their runs begin anew.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, configure

from harness.experiment.plan import RunSpec
from harness.experiment.run_folder import CHECKPOINT_NAME, LOG_NAME, clear_folder
from harness.printable import message_of
from harness.training.algorithms import import_target, load_algorithm
from harness.training.checkpoint_file import read_checkpoint, write_checkpoint
from harness.training.control import Control
from harness.training.provenance import provenance
from harness.training.trackers import Tracker

__all__ = ["Checkpoint", "Checkpointing", "Restored", "RunPaused", "can_continue", "csv_logger", "restored_run"]

_RESUMABLE = ("custom_ppo", "custom_a2c")
"""Registered algorithms that continue exactly; their subclasses may have state that a file does not hold."""

_PROGRESS = "progress.csv"
_MONITORS = "*monitor.csv"
_CHECK_SECONDS = 60.0
_WIRING = ("locals", "globals")


class RunPaused(BaseException):
    """The run has made a checkpoint, as it was asked to, and ends here. No `except Exception` of others catches it."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of this run, made by this user in this folder, on such a machine, with the same code."""

    steps: int
    content: bytes

    @classmethod
    def find(cls, run_path: Path, spec: RunSpec) -> Checkpoint | None:
        """Return the checkpoint in the folder of a run, or None if there is none that can be continued exactly."""
        found = read_checkpoint(run_path / CHECKPOINT_NAME)
        if found is None:
            return None
        description, content = found
        if description["spec"] != spec.digest or description["circumstances"] != _circumstances():
            return None
        # Monitors and callbacks hold absolute paths: in a copy of the folder they would go on in the original.
        if description.get("folder") != str(run_path):
            return None
        if any(_digest_of(Path(path)) != digest for path, digest in description["sources"].items()):
            return None
        logs = description.get("logs")
        if logs is None or any(_beginning_of(run_path / name, size) != digest for name, (size, digest) in logs.items()):
            return None
        return cls(description["steps"], content)


@dataclass(frozen=True)
class Restored:
    """A run in the state in which its checkpoint was made."""

    model: Any
    eval_env: Any
    callbacks: Sequence[Mapping[str, Any]]
    progress: str
    """Text of progress.csv."""
    seconds: Mapping[str, float]
    """Seconds that the run has taken before: "wall", "train" (with callbacks), "cpu"."""
    started: str
    resumed_at: tuple[int, ...]
    """Steps at which the run was continued, this time included."""
    files: Mapping[str, bytes]
    """Contents of files that a run need not write again, such as the best model so far, by their path in its folder."""
    trackers: Mapping[str, Any] = field(default_factory=dict)
    """Name of a tracker -> its state, see `trackers`."""

    def restore_callbacks(self, callbacks: Sequence[Any]) -> None:
        """Give callbacks the counts that they had."""
        for callback, state in zip(callbacks, self.callbacks, strict=True):
            vars(callback).update(state)


def restored_run(checkpoint: Checkpoint, spec: RunSpec, run_path: Path) -> Restored | None:
    """Return the run of a checkpoint, whose log files are cut to their length then.

    If that fails, the folder is cleared, and None is returned: the run must begin anew.
    Raises OSError if a file of the run cannot be written.
    """
    randomness = import_target("custom_ppo.sb3.randomness:Randomness").now()
    try:
        algorithm = load_algorithm(spec.algo_class)
        companion = algorithm.companion_of(io.BytesIO(checkpoint.content))
        restored = Restored(model=algorithm.resume(io.BytesIO(checkpoint.content), device="cpu"), **companion)
    except Exception as error:  # whatever the classes of the environments raise
        message = f"the checkpoint cannot be continued, and the run begins anew: {message_of(error)}"
        warnings.warn(message, stacklevel=2)
        randomness.restore()
        clear_folder(run_path, keep=(LOG_NAME,))
        return None
    for name, content in restored.files.items():  # on the disk they may be later ones, damaged, or gone
        path = run_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return restored


def csv_logger(run_path: Path, progress: str = "") -> Logger:
    """Return a logger that writes progress.csv, and goes on after this text of it."""
    logger = configure(str(run_path), ["csv"])
    output: Any = logger.output_formats[0]
    if progress:
        output.file.write(progress)
        output.file.flush()
        output.keys = progress.partition("\n")[0].split(",")
    return logger


def can_continue(model: Any) -> bool:
    """Return True for algorithms that continue exactly from a file."""
    # By class: a subclass may keep more than a file holds.
    return type(model) in [load_algorithm(name) for name in _RESUMABLE]


class Checkpointing(BaseCallback):
    """Callback that saves a run every few seconds of training, and pauses it when that is requested.

    watched: callbacks whose counts are saved.
    measure: function that completes pending measurements, so that no rollout need be saved.
    trackers: further logs, whose state is saved.
    is_possible: False if a callback of the run may have state that is not saved, so that no checkpoint is made.
    seconds: function that returns the seconds the run has taken; see `Restored`.
    """

    reads_locals = False  # CustomPPO then makes none at every step

    def __init__(
        self,
        spec: RunSpec,
        run_path: Path,
        control: Control,
        *,
        eval_env: Any,
        watched: Sequence[Any],
        measure: Callable[[], None],
        seconds: Callable[[], Mapping[str, float]],
        started: str,
        resumed_at: tuple[int, ...],
        trackers: Sequence[Tracker] = (),
        is_possible: bool = True,
    ) -> None:
        super().__init__()
        self.spec, self.run_path, self.control = spec, run_path, control
        self.eval_env, self.watched, self.measure, self.seconds = eval_env, watched, measure, seconds
        self.started, self.resumed_at, self.trackers = started, resumed_at, trackers
        self.began_at = time.time()
        self.saved_at = time.monotonic()
        self.is_possible: bool | None = None if is_possible else False
        """False if the environments or callbacks cannot be saved; None before that is known."""

    def _on_training_start(self) -> None:
        model: Any = self.model
        if not can_continue(model):
            self.is_possible = False
        if self.is_possible is not False:
            model.call_after_updates(self._after_update)

    def _on_step(self) -> bool:
        return True

    def _after_update(self) -> None:
        pauses = self.control.stop_requested
        if not pauses and time.monotonic() - self.saved_at < self.control.checkpoint_seconds:
            return
        if self.num_timesteps >= self.spec.n_timesteps:
            return  # only the final evaluation is left
        if self.is_possible is None:
            self.is_possible = _can_be_saved(self.training_env) and _can_be_saved(self.eval_env)
        if not self.is_possible or any(path.stat().st_mtime > self.began_at for path in _own_sources()):
            # Code that was changed while the run trains is not the code that would continue it.
            self.saved_at = time.monotonic()
            return
        self._save()
        if pauses:
            raise RunPaused

    def _save(self) -> None:
        model: Any = self.model
        self.measure()
        steps = self.num_timesteps
        companion = {
            "eval_env": self.eval_env,
            "callbacks": [_plain_state(callback) for callback in self.watched],
            "progress": (self.run_path / _PROGRESS).read_text(encoding="utf-8"),
            "seconds": dict(self.seconds()),
            "started": self.started,
            "resumed_at": (*self.resumed_at, steps),
            "trackers": {tracker.name: tracker.state() for tracker in self.trackers},
            "files": {str(path.relative_to(self.run_path)): path.read_bytes() for path in self._other_files()},
        }
        content = model.checkpoint(companion)
        logs = {path.name: path.stat().st_size for path in self.run_path.glob(_MONITORS)}
        description = {
            "spec": self.spec.digest,
            "steps": steps,
            "folder": str(self.run_path),
            "circumstances": _circumstances(),
            "sources": {str(path): _digest_of(path) for path in _own_sources()},
            "logs": {name: [size, _beginning_of(self.run_path / name, size)] for name, size in logs.items()},
        }
        write_checkpoint(self.run_path / CHECKPOINT_NAME, description, content)
        self.saved_at = time.monotonic()

    def _other_files(self) -> Iterator[Path]:
        """Yield files that a continued run relies on and need not write again, such as the best model so far."""
        for path in self.run_path.rglob("*"):
            if path.is_file() and path.suffix in (".zip", ".npz", ".pkl"):
                yield path


def _can_be_saved(env: Any) -> bool:
    """Return True if environments continue exactly after they were saved and restored.

    That is tried on copies and in a forked process, as even a copy may change what it shares with its original.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's of forks in a process with threads: the copy runs one of them only
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            import_target("custom_ppo.sb3.environments:check_resumable")(env)
            code = 0
        except BaseException as error:
            print(f"no checkpoints: {message_of(error)}", file=sys.stderr, flush=True)  # noqa: T201
        finally:
            os._exit(code)
    deadline = time.monotonic() + _CHECK_SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.005)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


def _plain_state(callback: Any) -> dict[str, Any]:
    """Return the attributes of a callback that are data, and no references to model, environment or other callbacks."""
    state = {name: value for name, value in vars(callback).items() if name not in _WIRING and _is_plain(value)}
    return deepcopy(state)


def _is_plain(value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float | str | np.generic | np.ndarray):
        return True
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(part) for key, part in value.items())
    return isinstance(value, list | tuple) and all(map(_is_plain, value))


def _circumstances() -> dict[str, Any]:
    """Return what decides the last bits of a run beside its spec."""
    return {**provenance(), "threads": torch.get_num_threads()}


_HOME = Path.cwd()
"""Working directory when the harness began; an environment may change it later."""


def _own_sources() -> list[Path]:
    """Return the files of loaded modules that lie below the working directory: code that its user may change."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and "site-packages" not in file:
            path = Path(file)
            if path.is_relative_to(_HOME) and path.exists():
                found.add(path)
    return sorted(found)


def _digest_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _beginning_of(path: Path, size: int) -> str:
    """Return the SHA-256 of the first bytes of a file; "" if it has fewer, or cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(size)
    except OSError:
        return ""
    return hashlib.sha256(content).hexdigest() if len(content) == size else ""
