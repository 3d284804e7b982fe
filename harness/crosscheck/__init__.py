"""Cross-check: hold the numbers of a PPO against those of SB3's running code.

The checks of single functions are imported when they are first asked for: the command line, which looks into this
package too, shall not wait for PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.crosscheck.functions import (
        CheckFailed,
        CheckReport,
        check_clipped_loss,
        check_entropy,
        check_gae,
        check_gradient,
        check_log_prob,
        check_value_loss,
    )

__all__ = [
    "CheckFailed",
    "CheckReport",
    "check_clipped_loss",
    "check_entropy",
    "check_gae",
    "check_gradient",
    "check_log_prob",
    "check_value_loss",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("harness.crosscheck.functions"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
