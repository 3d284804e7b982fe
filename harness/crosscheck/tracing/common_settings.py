"""Settings that subject and reference both accept: a subject need not accept every argument of SB3's PPO."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from harness.crosscheck.profiles import Case
from harness.crosscheck.tracing.construction import accepted_settings
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.traced_run import trace_run
from harness.errors import HarnessError

__all__ = ["common_case"]

_OPTIONAL = ("clip_range_vf", "target_kl", "ent_coef")
"""Settings that PPO works without: if a subject does not accept one, the reference is trained without it too."""

_SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")
"""Settings that may be functions of the remaining progress. If a subject fails with them, both get constants."""


def common_case(case: Case, subject: type[Any], reference: type[Any]) -> tuple[Case, tuple[str, ...]]:
    """Return the case with settings that suit both, and notes on what was changed, as sentences."""
    settings = accepted_settings(reference, case.settings)
    known = accepted_settings(subject, settings)
    missing = [name for name in settings if name not in known]
    left_out = [name for name in missing if name in _OPTIONAL]
    notes = [f"the subject takes no {name}: both are trained without it" for name in left_out]
    notes += [
        f"the subject takes no {name}: the reference is given {_in_words(settings[name])}"
        for name in missing
        if name not in _OPTIONAL
    ]
    kept = {name: value for name, value in settings.items() if name not in left_out}
    case = dataclasses.replace(case, settings=kept)
    # A subject that fails with constants as well has another fault: it is reported under the case's own settings.
    constant = _with_constants(case, known)
    if constant is not None and _fails(subject, case) and not _fails(subject, constant):
        names = [name for name in _SCHEDULES if constant.settings.get(name) != kept.get(name)]
        return constant, (
            *notes,
            f"the subject fails with schedules: both are given constants for {' and '.join(names)}",
        )
    return case, tuple(notes)


def _with_constants(case: Case, known: Mapping[str, Any]) -> Case | None:
    """Return the case with the first values of its schedules; None if the subject is given no schedule."""
    first = {name: case.settings[name](1.0) for name in _SCHEDULES if callable(known.get(name))}
    return dataclasses.replace(case, settings={**case.settings, **first}) if first else None


def _fails(subject: type[Any], case: Case) -> bool:
    """Return True if the subject cannot train for one update."""
    if issubclass(subject, BaseAlgorithm):
        return False  # SB3's algorithms take schedules
    try:
        trace = trace_run(subject, dataclasses.replace(case, n_updates=1), 0, TracingMode.names_only())
    except HarnessError:
        return True
    return trace.error is not None


def _in_words(setting: Any) -> str:
    return "a schedule" if callable(setting) else str(setting)
