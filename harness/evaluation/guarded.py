"""Call a function in a worker process so that its error is a value: one run that fails must not end the others."""

from __future__ import annotations

from typing import Any

from harness.errors import HarnessError
from harness.training.algorithms import import_target

__all__ = ["outcome_of"]


def outcome_of(target: str, *arguments: Any) -> tuple[bool, Any]:
    """Return (True, result) of the function at "module:name", or (False, its error on one line)."""
    try:
        return True, import_target(target)(*arguments)
    except HarnessError as error:
        return False, str(error)
    except Exception as error:  # from an algorithm or environment
        return False, f"{type(error).__name__}: {' '.join(str(error).split())}"
