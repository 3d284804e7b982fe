"""Exact resume: training that was interrupted ends with the same bits as training that was not.

    model.learn(100_000, callback=ExactCheckpoint("run/checkpoint.zip", every=10))
    ...
    CustomPPO.resume("run/checkpoint.zip").learn(100_000)

A checkpoint is a model file, which `load` reads, with one more member: the environments in the middle of their
episodes, the random generators, and the values that the logger has not written yet. It is made between an update and
the next rollout, the only moment at which neither a rollout nor a noise matrix must be saved.
"""

from __future__ import annotations

import io
import os
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from custom_ppo.config import InvalidConfigError
from custom_ppo.sb3.environments import check_resumable, dumps, loads
from custom_ppo.sb3.interchange import Interchangeable, ModelFileError, name_of, read_member
from custom_ppo.sb3.randomness import Randomness

__all__ = ["ExactCheckpoint", "Resumable", "previous_of"]

_MEMBER = "exact_state.pkl"
_COMPANION = "companion.pkl"


@dataclass(frozen=True)
class ExactState:
    """State that exact resume needs and a model file does not hold."""

    env: VecEnv
    randomness: Randomness
    logged: tuple[dict[str, Any], ...]
    """Values, counts and exclusions that the logger has not written yet."""
    elapsed: int
    """Nanoseconds since learn() began."""
    circumstances: dict[str, Any]


class Resumable(Interchangeable):
    """Algorithm that `ExactCheckpoint` saves and `resume` restores."""

    # Class attributes, as a file may come from SB3, which has none of these.
    _n_rollouts: int = 0
    """Number of rollouts since learn() began, as the logger's time/iterations."""
    _interrupted: ExactState | None = None
    _update_hooks: tuple[Callable[[], None], ...] = ()
    """Functions to call between an update and the next rollout; learn() begins without any."""

    @classmethod
    def resume(cls, path: str | Path | io.BytesIO, device: torch.device | str = "auto") -> Self:
        """Return the model of a checkpoint with its environments; `learn` then continues as if never interrupted.

        Call `learn` with the arguments of the interrupted call: total_timesteps counts from the beginning of that call,
        and reset_num_timesteps is ignored. Monitor's episode logs lose what was written after the checkpoint.
        Callbacks and logger start anew: their counts begin at zero; give the logger a folder of its own.
        Like `load` it runs code from the file: use trusted files only.
        Raises ModelFileError if the file is damaged or no checkpoint, FileNotFoundError if it is missing.
        """
        try:
            data = read_member(path, _MEMBER, "a checkpoint of ExactCheckpoint (load() reads other models)")
            model = cls.load(path, device=device)
        except ModelFileError as error:
            previous = None if isinstance(path, io.BytesIO) else previous_of(Path(path))
            hint = f"; resume from {previous}" if previous is not None and previous.exists() else ""
            raise ModelFileError(f"{error}{hint}") from error
        # Last, as it truncates the episode logs: a file that is refused above has changed nothing.
        try:
            state: ExactState = loads(data, reopen_logs=True)
        except Exception as error:  # any error of the environments' classes
            reason = " ".join(str(error).split())
            raise ModelFileError(f"{name_of(path)}: its environments cannot be restored: {reason}") from error
        _warn_of_other_circumstances(state.circumstances, path)
        # Not by set_env, which would make learn() reset the environments; _last_obs is in the model file already.
        model.env = state.env
        model._vec_normalize_env = unwrap_vec_normalize(state.env)
        # The environments' own objects: a space has a generator, and two copies of it would draw apart.
        model.observation_space, model.action_space = state.env.observation_space, state.env.action_space
        model._interrupted = state
        return model

    def call_after_updates(self, hook: Callable[[], None]) -> None:
        """Call a function after every update of this training, when `checkpoint` can be made; not for the next ones."""
        self._update_hooks = (*self._update_hooks, hook)

    def checkpoint(self, companion: Any = None) -> bytes:
        """Return the contents of a checkpoint file, from which `resume` continues; only between update and rollout.

        companion: object that `companion_of` returns; it may hold environments in the middle of their episodes.
        Raises any error of pickle if the environments cannot be saved.
        """
        content = io.BytesIO(_checkpoint(self))
        with zipfile.ZipFile(content, "a") as archive:
            archive.writestr(_COMPANION, dumps(companion))
        return content.getvalue()

    @staticmethod
    def companion_of(file: str | Path | io.BytesIO) -> Any:
        """Return the companion of a checkpoint that `checkpoint` has made; like `resume`, it runs code from the file.

        Raises ModelFileError if the file is damaged or has no companion.
        """
        return loads(read_member(file, _COMPANION, "a checkpoint with a companion"), reopen_logs=True)

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        self._update_hooks = ()
        if self._interrupted is None:
            self._n_rollouts = 0
            return super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        # Read before SB3's method, which sets it to the number of timesteps already made.
        began_at = self._num_timesteps_at_start
        # SB3 adds the timesteps already made to total_timesteps, as it assumes a further training.
        remaining = began_at + total_timesteps - self.num_timesteps
        total_timesteps, callback = super()._setup_learn(remaining, callback, False, tb_log_name, progress_bar)
        self._num_timesteps_at_start = began_at
        # time/fps and time/time_elapsed count the time of training, without the break.
        self.start_time = time.time_ns() - self._interrupted.elapsed
        for ours, theirs in zip(_undumped_values(self), self._interrupted.logged, strict=True):
            ours.update(theirs)
        return total_timesteps, callback

    def _continue_randomness(self) -> None:
        """Restore the random generators right before the first rollout: setting up callbacks may have drawn numbers."""
        if self._interrupted is not None:
            self._interrupted.randomness.restore()
            self._interrupted = None  # a second learn() is a new training

    def _after_update(self) -> None:
        # A callback of SB3 cannot do this: its next event, on_rollout_start, comes when gSDE has drawn new noise.
        for hook in self._update_hooks:
            hook()

    def _excluded_save_params(self) -> list[str]:
        # Both hold live objects: the environments, and bound methods of callbacks.
        return [*super()._excluded_save_params(), "_interrupted", "_update_hooks"]


class ExactCheckpoint(BaseCallback):
    """Callback that saves a CustomPPO every few rollouts and at the end, for `CustomPPO.resume`.

    path: name of the file, with or without ".zip"; the checkpoint before it is kept as NAME.previous.zip. A file gets
        its name only when it is complete, so there is a usable one at every moment.
    every: number of rollouts between two checkpoints.

    Raises InvalidConfigError before training if the environments cannot be saved, or if the model is not one of
    custom_ppo. If a callback stops training within a rollout, the checkpoint is that from before the rollout.
    """

    def __init__(self, path: str | Path, every: int = 1, verbose: int = 0) -> None:
        super().__init__(verbose)
        if every < 1:
            raise InvalidConfigError(f"`every` must be at least 1 rollout, got {every}")
        path = Path(path)
        self.path = path if path.suffix == ".zip" else path.with_name(f"{path.name}.zip")
        self.every = every
        self.saved_at = -1
        self.between_rollouts = True

    def _on_training_start(self) -> None:
        model = self._resumable()
        check_resumable(self.training_env)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.saved_at, self.between_rollouts = -1, True
        model.call_after_updates(self._on_update_end)

    def _resumable(self) -> Resumable:
        if not isinstance(self.model, Resumable):
            raise InvalidConfigError(
                f"ExactCheckpoint needs a CustomPPO, got {type(self.model).__name__}: SB3 calls no callback between an "
                "update and the next rollout; CustomPPO.from_sb3(model) makes one of it"
            )
        return self.model

    def _on_rollout_start(self) -> None:
        self.between_rollouts = False

    def _on_step(self) -> bool:
        return True

    def _on_update_end(self) -> None:
        self.between_rollouts = True
        if self._resumable()._n_rollouts % self.every == 0:
            self.save()

    def _on_training_end(self) -> None:
        # Not within a rollout, which a callback may have ended: its first steps are in no file.
        if self.between_rollouts and self.saved_at != self.num_timesteps:
            self.save()

    def save(self) -> None:
        """Write a checkpoint now, which must be between two rollouts; raises OSError if the file cannot be written."""
        _publish(_checkpoint(self._resumable()), self.path)
        self.saved_at = self.num_timesteps


def previous_of(path: Path) -> Path:
    """Return the path of the checkpoint before this one."""
    return path.with_name(f"{path.name.removesuffix('.zip')}.previous.zip")


def _checkpoint(model: Resumable) -> bytes:
    assert model.env is not None
    # train/ values of the last update are recorded but not dumped: the row that will hold them is written later.
    logged = tuple(dict(part) for part in _undumped_values(model))
    elapsed = time.time_ns() - int(model.start_time)
    state = ExactState(model.env, Randomness.now(), logged, elapsed, _circumstances())
    file = io.BytesIO()
    model.save(file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(_MEMBER, dumps(state))
    return file.getvalue()


def _publish(content: bytes, path: Path) -> None:
    """Write a file atomically, so that it is complete or absent even after a crash, and keep the old one beside it."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or a crash after the rename could leave the name with an empty file
    if path.exists():
        # Copied, not renamed: a crash right here must not leave the name without a file.
        shutil.copyfile(path, previous_of(path))
    unfinished.replace(path)


def _undumped_values(model: BaseAlgorithm) -> tuple[dict[str, Any], ...]:
    """Return the logger's own dictionaries of values, counts and exclusions that are not written yet."""
    logger = model.logger
    return logger.name_to_value, logger.name_to_count, logger.name_to_excluded


def _circumstances() -> dict[str, Any]:
    """Return versions and settings that decide the last bits of a number, besides the training itself."""
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "gymnasium": gymnasium.__version__,
        "stable_baselines3": stable_baselines3.__version__,
        "threads": torch.get_num_threads(),
    }


def _warn_of_other_circumstances(circumstances: dict[str, Any], path: str | Path | io.BytesIO) -> None:
    here = _circumstances()
    other = [f"{name} {value} (here {here[name]})" for name, value in circumstances.items() if here[name] != value]
    if other:
        warnings.warn(
            f"{name_of(path)} was written with {', '.join(other)}: training goes on, but perhaps not to the same last "
            "bits",
            UserWarning,
            stacklevel=3,
        )
