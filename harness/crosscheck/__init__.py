"""Cross-check: compare everything that a PPO computes with what SB3's code computes in the same run.

    crosscheck("my_package:MyPPO")          find where it first diverges from SB3's PPO
    explain("my_package:MyPPO")             also find the mistakes that explain the divergence
    check_gae(my_gae)                       compare one function with SB3's

Every name is imported at first use: the command line imports this package, and must answer without loading PyTorch.
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
