from __future__ import annotations

from typing import Any

import pytest
from stable_baselines3 import PPO

from harness.crosscheck.profiles import PROFILES, Case
from harness.crosscheck.tracing.common_settings import common_case

CASE = next(case for case in PROFILES["stress"].cases if case.env == "CartPole15")


class Plain(PPO):
    """Takes all settings."""


class Numbers:
    """Shares nothing with SB3, and accepts constants only, no schedules."""

    def __init__(self, policy: Any, env: Any, learning_rate: float = 1e-3, clip_range: float = 0.2, **_: Any) -> None:
        assert learning_rate > 0
        self.clip_range = clip_range

    def learn(self, steps: int) -> None:
        assert 1 - self.clip_range > 0


class LateNumbers(Numbers):
    """Fails while it trains, not while it is made."""

    def __init__(self, policy: Any, env: Any, *, clip_range: float = 0.2, **_: Any) -> None:
        self.clip_range = clip_range


class Schedules(Numbers):
    def __init__(self, policy: Any, env: Any, learning_rate: Any = None, clip_range: Any = None, **_: Any) -> None:
        super().__init__(policy, env, learning_rate(1.0), clip_range(1.0))


class Broken(Numbers):
    def learn(self, steps: int) -> None:
        raise TypeError


@pytest.mark.parametrize("subject", [Numbers, LateNumbers])
def test_a_subject_that_fails_with_schedules_gets_their_first_values(subject: type[Any]) -> None:
    case, notes = common_case(CASE, subject, PPO)

    assert (case.settings["learning_rate"], case.settings["clip_range"]) == (1e-2, 0.15)
    assert notes == ("the subject fails with schedules: both are given constants for learning_rate and clip_range",)
    assert {**case.settings, "learning_rate": 0, "clip_range": 0} == {
        **CASE.settings,
        "learning_rate": 0,
        "clip_range": 0,
    }


@pytest.mark.parametrize("subject", [Plain, Schedules, Broken])
def test_a_subject_that_takes_schedules_or_fails_anyway_keeps_them(subject: type[Any]) -> None:
    assert common_case(CASE, subject, PPO) == (CASE, ())


def test_constants_are_left_as_they_are() -> None:
    case = Case("CartPole15", {"n_steps": 8, "learning_rate": 0.1})

    assert common_case(case, Numbers, PPO) == (case, ())
