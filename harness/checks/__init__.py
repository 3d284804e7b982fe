"""Checks of single functions of anybody's PPO: their numbers against those of SB3's running code.

    from harness.crosscheck import check_gae

    print(check_gae(my_gae))

Each check calls the function on edge cases and random inputs. When all is well it returns a report; otherwise it
raises CheckFailed, an AssertionError, whose text shows the smallest input that is answered wrongly, and what is
probably behind it.
"""

from __future__ import annotations

from harness.checks.advantages import check_gae
from harness.checks.distributions import check_entropy, check_log_prob
from harness.checks.gradients import check_gradient
from harness.checks.losses import check_clipped_loss, check_value_loss
from harness.checks.outcome import CheckFailed, CheckReport

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
