"""Reference scores that normalise the returns of an environment: declared ones, or those that are shipped here.

Shipped scores serve the aggregates over environments only. A margin of equivalence is never taken from them, since it
has to be declared before the results are seen.

random  mean return of uniformly random actions over 500 episodes, by `python -m tests.studies.random_scores`
best    mean return of the best agent in the benchmark of rl-baselines3-zoo 2.8 (benchmark.md), or the return from
        which on Gymnasium calls the environment solved (reward_threshold of its registration)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.config import StatisticsConfig

__all__ = ["SHIPPED", "Reference", "reference_of"]


@dataclass(frozen=True)
class Reference:
    """Scores of an environment that become 0 and 1 in normalised scores."""

    random: float
    best: float
    source: str
    """Origin of both, for readers."""


def _zoo(random: float, best: float, agent: str) -> Reference:
    return Reference(random, best, f"random: measured; best: {agent} in the benchmark of rl-baselines3-zoo 2.8")


def _solved(random: float, best: float) -> Reference:
    return Reference(random, best, "random: measured; best: reward_threshold of Gymnasium 1")


SHIPPED: Mapping[str, Reference] = {
    "CartPole-v1": _zoo(22.0, 500.0, "ppo"),
    "Acrobot-v1": _zoo(-498.0, -69.1, "qrdqn"),
    "LunarLander-v3": _zoo(-180.0, 242.1, "ppo"),
}
"""Environment -> its reference scores, for Gymnasium's classic control, Box2D and MuJoCo."""


def reference_of(env: str, statistics: StatisticsConfig) -> Reference | None:
    """Return the reference scores of an environment: those of the configuration, else shipped ones, else None."""
    declared = statistics.references.get(env)
    if declared is not None:
        return Reference(float(declared.random), float(declared.best), "declared in the configuration")
    return SHIPPED.get(env)
