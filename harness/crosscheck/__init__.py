"""Cross-check: hold the numbers of a PPO against those of SB3's running code.

    crosscheck("my_package:MyPPO")          where does it part from SB3's PPO?
    explain("my_package:MyPPO")             and why?
    check_gae(my_gae)                       is this function right?

All are imported when they are first asked for: the command line, which looks into this package, too, shall not wait for
PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.checks import (
        CheckFailed,
        CheckReport,
        check_clipped_loss,
        check_entropy,
        check_gae,
        check_gradient,
        check_log_prob,
        check_value_loss,
    )
    from harness.crosscheck.api import Crosscheck, crosscheck, explain

__all__ = [
    "CheckFailed",
    "CheckReport",
    "Crosscheck",
    "check_clipped_loss",
    "check_entropy",
    "check_gae",
    "check_gradient",
    "check_log_prob",
    "check_value_loss",
    "crosscheck",
    "explain",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "crosscheck.api" if name in ("Crosscheck", "crosscheck", "explain") else "checks"
        return getattr(import_module(f"harness.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
