"""The settings that a subject and a reference can both have: a subject need not know all that SB3's PPO knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from harness.crosscheck.profiles import Case
from harness.crosscheck.tracing.traced_run import Watching, accepted_settings, record
from harness.errors import HarnessError

__all__ = ["common_case"]

NEUTRAL = ("clip_range_vf", "target_kl", "ent_coef")
"""Settings without which PPO can do: a subject that lacks one is held against a reference without it."""

SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")
"""May be functions of the progress: a subject that fails with them gets numbers, and so does the reference."""


def common_case(case: Case, subject: type[Any], reference: type[Any]) -> tuple[Case, tuple[str, ...]]:
    """The case with the settings that both can have, and what was left out or changed for it, in words."""
    settings = accepted_settings(reference, case.settings)
    known = accepted_settings(subject, settings)
    missing = [name for name in settings if name not in known]
    left_out = [name for name in missing if name in NEUTRAL]
    notes = [f"it takes no {name}: both go without" for name in left_out]
    notes += [
        f"it takes no {name}: the reference has {_said(settings[name])}" for name in missing if name not in NEUTRAL
    ]
    kept = {name: value for name, value in settings.items() if name not in left_out}
    case = dataclasses.replace(case, settings=kept)
    steady = _without_schedules(case, known)
    if steady is not None and _fails(subject, case) and not _fails(subject, steady):
        names = [name for name in SCHEDULES if steady.settings.get(name) != kept.get(name)]
        return steady, (*notes, f"it fails with schedules: both have numbers for {' and '.join(names)}")
    return case, tuple(notes)


def _without_schedules(case: Case, known: Mapping[str, Any]) -> Case | None:
    """The case with what its schedules begin with; None where the subject is given none."""
    begun = {name: case.settings[name](1.0) for name in SCHEDULES if callable(known.get(name))}
    return dataclasses.replace(case, settings={**case.settings, **begun}) if begun else None


def _fails(subject: type[Any], case: Case) -> bool:
    """Whether it cannot train for one update."""
    if issubclass(subject, BaseAlgorithm):
        return False  # these know schedules
    try:
        trace = record(subject, dataclasses.replace(case, n_updates=1), 0, Watching(operations=False))
    except HarnessError:
        return True
    return trace.error is not None


def _said(setting: Any) -> str:
    return "a schedule" if callable(setting) else str(setting)
