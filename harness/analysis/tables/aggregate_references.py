"""Reference scores that normalise the returns of an environment: declared ones, or those that are shipped here.

Shipped scores serve the aggregates over environments only. A margin of equivalence is never taken from them, since it
has to be declared before the results are seen.

random  mean return of uniformly random actions over 100 to 500 episodes, by `python -m tests.studies.random_scores`
best    mean return of the best agent in the benchmark of rl-baselines3-zoo 2.8 (benchmark.md), or the return from
        which on Gymnasium calls the environment solved (reward_threshold of its registration) where the zoo has no
        version with the same rewards
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
    "Acrobot-v1": _zoo(-497.1, -69.1, "qrdqn"),
    "CartPole-v1": _zoo(22.9, 500.0, "ppo"),
    "Hopper-v5": _solved(17.6, 3800.0),
    "Humanoid-v5": _zoo(112.4, 7239.3, "tqc on Humanoid-v3"),
    "InvertedDoublePendulum-v5": _solved(48.1, 9100.0),
    "InvertedPendulum-v5": _solved(5.2, 950.0),
    "LunarLander-v3": _zoo(-184.4, 242.1, "ppo on LunarLander-v2"),
    "LunarLanderContinuous-v3": _zoo(-210.4, 278.0, "tqc on LunarLanderContinuous-v2"),
    "MountainCar-v0": _zoo(-200.0, -100.8, "dqn"),
    "MountainCarContinuous-v0": _zoo(-33.3, 96.7, "ars"),
    "Pendulum-v1": _zoo(-1241.0, -151.3, "tqc"),
    "Reacher-v5": _solved(-42.8, -3.75),
    "Walker2d-v5": _zoo(1.9, 4933.1, "trpo on Walker2d-v3"),
}
"""Environment -> its reference scores, for Gymnasium's classic control, Box2D and MuJoCo."""


def reference_of(env: str, statistics: StatisticsConfig) -> Reference | None:
    """Return the reference scores of an environment: those of the configuration, else shipped ones, else None."""
    declared = statistics.references.get(env)
    if declared is not None:
        return Reference(float(declared.random), float(declared.best), "declared in the configuration")
    return SHIPPED.get(env)
