"""Build the callbacks that the key `callback` of a zoo-style entry names, beside which the harness attaches its own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common import callbacks as sb3
from stable_baselines3.common.callbacks import BaseCallback

from harness.config.hyperparams import CALLBACK_PATHS, parse_callbacks
from harness.errors import ConfigError, did_you_mean
from harness.experiment.plan import RunSpec
from harness.printable import message_of, one_line
from harness.training.algorithms import import_class

__all__ = ["build_callbacks", "not_resumable"]

_RESUMABLE = (sb3.CheckpointCallback, sb3.StopTrainingOnMaxEpisodes)
"""Classes whose whole state is counts, which a checkpoint of a run holds; others may keep anything."""

_PARTS_OF_EVAL_CALLBACK = (sb3.StopTrainingOnRewardThreshold, sb3.StopTrainingOnNoModelImprovement)


def build_callbacks(spec: RunSpec, run_path: Path) -> list[BaseCallback]:
    """Return the callbacks of an entry in their order.

    run_path: folder of the run, in which the paths among their arguments lie.
    Raises UnknownNameError for a class that does not exist or is no callback, ConfigError for wrong arguments.
    """
    return [_built(name, kwargs, run_path) for name, kwargs in parse_callbacks(spec.hyperparams.get("callback"))]


def _built(name: str, kwargs: Mapping[str, Any], run_path: Path) -> BaseCallback:
    kind: type[BaseCallback] = import_class(name, BaseCallback, "callback")
    if issubclass(kind, _PARTS_OF_EVAL_CALLBACK):
        raise ConfigError(f"{name} works only as a part of an EvalCallback, which an entry cannot hold; remove it")
    _check_arguments(name, kind, kwargs)
    placed: dict[str, Any] = {
        key: str(run_path / value) if key in CALLBACK_PATHS and value is not None else value
        for key, value in kwargs.items()
    }
    try:
        return kind(**placed)
    except Exception as error:  # whatever the constructor raises
        cause = one_line(f"{type(error).__name__}: {message_of(error)}", 300)
        raise ConfigError(f"{name} cannot be built: {cause}") from error


def _check_arguments(name: str, kind: type[BaseCallback], kwargs: Mapping[str, Any]) -> None:
    """Raise ConfigError for arguments that the constructor does not have, and for those that are missing."""
    try:
        accepted = inspect.signature(kind)
    except (ValueError, TypeError):  # a constructor that tells nothing
        return
    try:
        accepted.bind(**kwargs)
    except TypeError as error:
        unknown = [key for key in kwargs if key not in accepted.parameters]
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.parameters.values())
        if unknown and not takes_any:
            hint = did_you_mean(unknown[0], accepted.parameters)
            raise ConfigError(f"{name} has no argument {unknown[0]}{hint}") from None
        raise ConfigError(f"{name}: {error}") from None


def not_resumable(callbacks: Sequence[BaseCallback]) -> list[str]:
    """Return the names of the classes whose state a checkpoint may not hold, so that their runs cannot continue."""
    # By class itself: a subclass may keep more.
    return [type(callback).__name__ for callback in callbacks if type(callback) not in _RESUMABLE]
