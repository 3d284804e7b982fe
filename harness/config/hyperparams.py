"""Parse zoo-style hyperparameter values: schedules, keyword arguments, normalisation, wrappers, callbacks.

A worker calls these functions on the unprocessed values of a `RunSpec`. The check of the configuration calls the same
functions, so that a value which passes the check cannot fail in the run. All raise ConfigError, one line without place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.config.literals import ALLOWED_NAMES, Name, parse_literal
from harness.config.rules import describe
from harness.errors import ConfigError, did_you_mean

__all__ = [
    "CALLBACK_PATHS",
    "Linear",
    "parse_callbacks",
    "parse_class",
    "parse_kwargs",
    "parse_normalize",
    "parse_schedule",
    "parse_wrappers",
]

CALLBACK_PATHS = ("save_path", "log_path", "best_model_save_path")
"""Arguments of callbacks that name a folder or a file, which lies in the folder of the run."""

_LINEAR = re.compile(r"lin_((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)", flags=re.ASCII)
_MAX_SCHEDULE = 50
"""Largest number of characters of a schedule: patterns take time in proportion to the square of a run of digits."""

_MAX_PATH = 200

_NAME_LIKE = re.compile(r"(?:th|torch|nn|optim)\.[\w.]+")


@dataclass(frozen=True)
class Linear:
    """A value that falls linearly from `initial` to 0 over the training: initial * progress_remaining."""

    initial: float


def parse_schedule(value: object) -> float | Linear:
    """Return a constant (from a number) or a linear schedule (from "lin_0.001")."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and len(value) <= _MAX_SCHEDULE:
        # rl_zoo3 accepts any word before the underscore as "lin"; here a misspelt schedule is a mistake.
        if linear := _LINEAR.fullmatch(value):
            return Linear(float(linear[1]))
        digits = re.search(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$", value)
        hint = f", did you mean lin_{digits[0]}?" if digits and not _is_number(value) else ""
        hint = f", did you mean {value} without quotes?" if _is_number(value) else hint
        raise ConfigError(f"expected a number or lin_NUMBER (linear to 0), got {describe(value)}{hint}")
    raise ConfigError(f"expected a number or lin_NUMBER (linear to 0), got {describe(value)}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_kwargs(value: object) -> dict[str, object]:
    """Return keyword arguments from a YAML mapping, a literal such as "dict(net_arch=[64])", or nothing.

    In both, `nn.ReLU` becomes a `Name`, which stands for the class.
    """
    parsed = parse_literal(value) if isinstance(value, str) else _with_names(value)
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise ConfigError(f"expected a mapping or text such as dict(key=value), got {_describe_parsed(parsed)}")
    return parsed


def _describe_parsed(value: object) -> str:
    return describe(value) if value is None or isinstance(value, str | int | float | list) else type(value).__name__


def _with_names(value: object) -> object:
    """Return the YAML value with each spelling of a class replaced by its Name."""
    match value:
        case dict():
            return {key: _with_names(item) for key, item in value.items()}
        case list():
            return [_with_names(item) for item in value]
        case str() if value in ALLOWED_NAMES or _NAME_LIKE.fullmatch(value):
            return Name(value)
    return value


def parse_class(value: object) -> Name | None:
    """Return the `Name` of a class such as RolloutBuffer, or None for nothing."""
    if value is None:
        return None
    parsed = parse_literal(value) if isinstance(value, str) else value
    if not isinstance(parsed, Name):
        raise ConfigError(f"expected the name of a class, got {_describe_parsed(value)}")
    return parsed


def parse_normalize(value: object) -> dict[str, object] | None:
    """Return the arguments of VecNormalize, or None if nothing is normalised.

    `true` normalises observations and rewards with VecNormalize's defaults; a mapping or literal gives arguments.
    """
    if value is None or isinstance(value, bool):
        return {} if value else None
    kwargs = parse_kwargs(value)
    known = ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys", "training")
    for key in kwargs:
        if key not in known:
            raise ConfigError(f"VecNormalize has no argument {key}{did_you_mean(key, known)}")
    return kwargs


def parse_wrappers(value: object) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return wrappers in the order in which they are applied, as (dotted name of the class, keyword arguments).

    As in rl_zoo3, a value is a name, a mapping {name: arguments}, or a list of these; nothing means no wrapper.
    """
    return _named_classes(value, "wrapper")


def parse_callbacks(value: object) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return callbacks in the order in which they are called, as (dotted name of the class, keyword arguments).

    The value is written like that of `parse_wrappers`. Paths among the arguments must not leave the folder of a run,
    of which they are parts.
    """
    callbacks = _named_classes(value, "callback")
    for name, kwargs in callbacks:
        for key in (*CALLBACK_PATHS, "name_prefix"):
            if kwargs.get(key) is not None and not _stays_inside(kwargs[key]):
                raise ConfigError(
                    f"{key} of {name} must lie in the folder of the run, expected a relative path without .., "
                    f"got {describe(kwargs[key])}"
                )
    return callbacks


def _stays_inside(path: object) -> bool:
    """Return True for text that, appended to a folder, names something in this folder."""
    if not isinstance(path, str) or not path.isprintable() or len(path) > _MAX_PATH:
        return False
    return not path.startswith(("/", "~")) and not {"\\", ":"} & set(path) and ".." not in path.split("/")


def _named_classes(value: object, kind: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return pairs of a dotted name of a class and its arguments; kind: "wrapper" or "callback", for messages."""
    if value is None:
        return ()
    return tuple(_named_class(item, kind) for item in (value if isinstance(value, list) else [value]))


def _named_class(value: object, kind: str) -> tuple[str, Mapping[str, Any]]:
    kwargs: object = None
    match value:
        case str():
            name = value
        case dict() if len(value) == 1:
            ((name, kwargs),) = value.items()
        case dict():
            raise ConfigError(f"expected one {kind} in each list item; check the indentation of its arguments")
        case _:
            raise ConfigError(f"expected the dotted name of a {kind} class, got {describe(value)}")
    if re.fullmatch(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", name, flags=re.ASCII) is None:
        raise ConfigError(f"expected the dotted name of a {kind} class, got {describe(name)}")
    if not isinstance(kwargs, dict | None):
        raise ConfigError(f"expected the arguments of {name} as a mapping, got {describe(kwargs)}")
    return name, kwargs or {}
