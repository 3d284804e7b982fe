"""Checks of single functions of a PPO: their results are compared with those of SB3's running code.

    from harness.crosscheck import check_gae

    print(check_gae(my_gae))

Each check calls the function on edge cases and random inputs. It returns a report if all results are right; otherwise
it raises CheckFailed, an AssertionError, whose text shows the smallest input with a wrong result, and the probable
cause.
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
