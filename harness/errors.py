"""Errors that a user can mend: one line each, shown without a traceback.

HarnessError                the base; `harness` prints it after "error: " and exits with 1
├── ConfigError             a configuration file: `file:line: key.path: what is wrong, what was expected`
├── UnknownNameError        an algorithm or environment that does not exist or cannot be imported
└── RecordError             a results folder that cannot be read, or holds something else than expected
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["ConfigError", "HarnessError", "RecordError", "UnknownNameError", "did_you_mean"]


class HarnessError(Exception):
    """A mistake that the user can mend; its message is one line that says where, what and how."""


class ConfigError(HarnessError):
    """A configuration file says something that cannot be used."""


class UnknownNameError(HarnessError):
    """A name (algorithm, environment, class) that cannot be found or imported."""


class RecordError(HarnessError):
    """A folder of results that is damaged, foreign, or made with other settings."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean X?` for the closest of the known names, or an empty string when none is close."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f", did you mean {by_folded[close[0]]}?" if close else ""
