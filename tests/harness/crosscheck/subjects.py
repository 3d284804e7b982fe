"""Subjects of cross-checks, and the result of a single run, for the tests of several modules."""

from __future__ import annotations

from typing import Any

from stable_baselines3 import PPO

from custom_ppo import CustomPPO
from harness.crosscheck.api import crosscheck
from harness.crosscheck.reporting.findings import Finding
from harness.crosscheck.reporting.results import RunResult

HERE = __name__
"""Module by which the subjects below are named."""


class Autograd(CustomPPO):
    """CustomPPO without its hand-written backward pass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "engine": "autograd"})


class Plain(PPO):
    """SB3's PPO under another name."""


def run_of(subject: Any, env: str = "CartPole15", reference: str = "ppo", **options: Any) -> RunResult:
    """Result of one run, of two updates unless `updates` is given."""
    (run,) = crosscheck(subject, reference, envs=(env,), **{"seeds": (0,), "updates": 2, **options}).runs
    return run


def first_divergence(subject: Any, env: str = "CartPole15", **options: Any) -> Finding:
    """First divergence beyond rounding, which there must be."""
    run = run_of(subject, env, **{"updates": 1, **options})
    assert run.verdict == "different"
    assert run.first_beyond_rounding is not None
    return run.first_beyond_rounding


class SmallSteps(PPO):
    """Has Adam with another epsilon."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.policy.optimizer.param_groups[0]["eps"] = 1e-8
        self.policy.optimizer.defaults["eps"] = 1e-8


class Unmakeable(PPO):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("not\ntoday")


class FailsAtOnce(PPO):
    def train(self) -> None:
        raise RuntimeError("out of order\nsince today")
