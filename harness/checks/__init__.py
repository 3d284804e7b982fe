"""Checks of single functions of anybody's PPO: their numbers against those of SB3's running code.

    from harness.crosscheck import check_gae

    print(check_gae(my_gae))

Each check calls the function on edge cases and random inputs. When all is well it returns a report; otherwise it
raises CheckFailed, an AssertionError, whose text shows the smallest input that is answered wrongly, and what is
probably behind it.
"""

from __future__ import annotations

from harness.checks.advantage_check import check_gae
from harness.checks.check_results import CheckFailed, CheckReport
from harness.checks.distribution_checks import check_entropy, check_log_prob
from harness.checks.gradient_checks import check_gradient
from harness.checks.loss_checks import check_clipped_loss, check_value_loss

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
