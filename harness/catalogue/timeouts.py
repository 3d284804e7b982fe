"""Wrong treatments of time limits in a function for advantages that takes terminations and truncations separately.

A formula takes the arrays of a rollout and returns (advantages, returns): custom_ppo's `gae` on the arrays that SB3
would store if certain steps ended an episode, and certain steps were bootstrapped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_ppo.gae import gae
from harness.catalogue.estimates import Estimates
from harness.catalogue.mistake import Mistake, checked_only

__all__ = [
    "TIMEOUTS",
    "Rollout",
    "any_end",
    "never",
    "never_cut",
    "terminations",
    "time_limits",
    "treated_as",
]

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Rollout:
    """T steps of N environments, whose episodes terminate or are truncated."""

    rewards: NDArray[np.float32]
    values: NDArray[np.float32]
    """V of the states in which the agent acted, [T, N]."""
    last_values: NDArray[np.float32]
    """V of the states after the last step (after resets), [N]."""
    terminal_values: NDArray[np.float32]
    """V of the states that ended an episode, [T, N]; not read elsewhere."""
    terminations: Flags
    truncations: Flags
    gamma: float
    gae_lambda: float

    def stored(self, ends: Flags, bootstraps: Flags) -> dict[str, Any]:
        """Return the arguments of `gae` if episodes end at `ends`, and `bootstraps` get gamma * V(terminal state)."""
        flags = ends.astype(np.float32)
        bonus = self.gamma * self.terminal_values * bootstraps
        return {
            "rewards": (self.rewards + bonus).astype(np.float32),
            "values": self.values,
            "episode_starts": np.vstack([np.zeros_like(flags[:1]), flags[:-1]]),
            "last_values": self.last_values,
            "dones": ends[-1],
            "gamma": self.gamma,
            "gae_lambda": self.gae_lambda,
        }


Steps = Callable[[Rollout], Flags]


def any_end(rollout: Rollout) -> Flags:
    """Return True for each step that ended an episode, by termination or truncation."""
    return np.asarray(rollout.terminations | rollout.truncations)


def terminations(rollout: Rollout) -> Flags:
    """Return True for each step that terminated an episode."""
    return rollout.terminations


def time_limits(rollout: Rollout) -> Flags:
    """Return True for each step that was truncated and did not terminate."""
    return np.asarray(rollout.truncations & ~rollout.terminations)


def never(rollout: Rollout) -> Flags:
    """Return False for every step."""
    return np.zeros_like(rollout.truncations)


def treated_as(ends: Steps, bootstraps: Steps) -> Callable[[Rollout], Estimates]:
    """Return a function that estimates as if episodes ended only at `ends`, and only `bootstraps` were bootstrapped."""
    return lambda rollout: gae(**rollout.stored(ends(rollout), bootstraps(rollout)))


def _recursion_across(uncut: Steps, bootstraps: Steps) -> Callable[[Rollout], Estimates]:
    """Return a function whose TD errors stop at every end of an episode, while its recursion continues at `uncut`."""

    def estimate(rollout: Rollout) -> Estimates:
        stored = rollout.stored(any_end(rollout), bootstraps(rollout))
        cut = rollout.stored(any_end(rollout) & ~uncut(rollout), never(rollout))
        nothing = np.zeros_like(rollout.values)
        deltas, _ = gae(**{**stored, "gae_lambda": 0.0})
        advantages, _ = gae(**{**cut, "rewards": deltas, "values": nothing, "last_values": nothing[0]})
        return advantages, advantages + rollout.values

    return estimate


never_cut = _recursion_across(any_end, any_end)
"""Estimates without any mask."""

TIMEOUTS: tuple[Mistake, ...] = (
    checked_only(
        "bootstrap_on_cut_termination",
        "advantages_with_timeouts",
        "a step that is terminated and truncated is bootstrapped; a termination has no future",
        formula=treated_as(any_end, lambda rollout: rollout.truncations),
        why="SB3's wrappers set TimeLimit.truncated only where an episode did not end by itself",
    ),
    checked_only(
        "gae_recursion_across_timeouts",
        "advantages_with_timeouts",
        "the recursion runs across time limits: advantages leak back into the truncated episode",
        formula=_recursion_across(time_limits, time_limits),
    ),
    checked_only(
        "timeouts_ignored",
        "advantages_with_timeouts",
        "time limits are ignored: the next episode's first value and advantages count as the future",
        formula=treated_as(terminations, never),
    ),
)
