"""Errors that a user can correct: one line each, shown without a traceback.

HarnessError                base class; `harness` prints it after "error: " and exits with code 1
├── ConfigError             mistake in a configuration file: `file:line: key.path: problem, expected value`
├── UnknownNameError        algorithm or environment that does not exist or cannot be imported
└── RecordError             results folder that cannot be read, or has unexpected contents
    └── DamagedRecordError  record of a run that is truncated, changed, or not of this harness
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["ConfigError", "DamagedRecordError", "HarnessError", "RecordError", "UnknownNameError", "did_you_mean"]


_LONGEST_NAME = 100


class HarnessError(Exception):
    """Error that the user can correct; its message is one line with place, problem and remedy."""


class ConfigError(HarnessError):
    """Mistake in a configuration file."""


class UnknownNameError(HarnessError):
    """Name (of an algorithm, environment or class) that cannot be found or imported."""


class RecordError(HarnessError):
    """Folder of results that is damaged, foreign, or made with other settings."""


class DamagedRecordError(RecordError):
    """Record of a run that is truncated or changed, or that something else has written."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean X?` with the closest known name, or an empty string if none is close."""
    if len(name) > _LONGEST_NAME:  # the comparison takes time in proportion to the product of both lengths
        return ""
    by_folded = {candidate.lower(): candidate for candidate in known if len(candidate) <= _LONGEST_NAME}
    close = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f", did you mean {by_folded[close[0]]}?" if close else ""
