"""Rollouts on which functions for advantages are checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.checks.case import Array, Case, float32, generator

__all__ = ["gae_cases", "timeout_cases"]


def _rollout(rng: np.random.Generator, n_steps: int, n_envs: int, **changes: Any) -> dict[str, Any]:
    """Return a random rollout in which no episode ends, with `changes` in place of some of its inputs."""
    shape = (n_steps, n_envs)
    inputs = {
        "rewards": float32(rng.normal(size=shape)),
        "values": float32(rng.normal(size=shape)),
        "episode_starts": np.zeros(shape, np.float32),
        "last_values": float32(rng.normal(size=n_envs)),
        "dones": np.zeros(n_envs, bool),
        "gamma": 0.9,
        "gae_lambda": 0.8,
    }
    return {**inputs, **changes}


def _starts(n_steps: int, n_envs: int, *rows: int) -> NDArray[np.float32]:
    starts = np.zeros((n_steps, n_envs), np.float32)
    starts[list(rows)] = 1
    return starts


def gae_cases(seed: int, one_env: bool) -> Iterator[Case]:
    """Yield rollouts as SB3's buffer holds them, the simplest first."""
    rng = generator(seed)
    n = 1 if one_env else 3

    def case(name: str, n_steps: int, n_envs: int, **changes: Any) -> Case:
        return Case(name, _rollout(rng, n_steps, n_envs, **changes))

    yield case("one step, one environment", 1, 1)
    yield case("no episode ends", 6, 1)
    yield case("an episode ends in the middle", 6, 1, episode_starts=_starts(6, 1, 3))
    yield case("an episode ends with the last step", 6, 1, dones=np.array([True]))
    yield case("every step ends an episode", 4, 1, episode_starts=_starts(4, 1, 0, 1, 2, 3), dones=np.array([True]))
    yield case("the first step starts an episode", 5, 1, episode_starts=_starts(5, 1, 0))
    yield case("one step, which ends an episode", 1, n, dones=np.ones(n, bool))
    for gamma, gae_lambda in ((0.0, 0.8), (1.0, 0.8), (0.9, 0.0), (0.9, 1.0), (1.0, 1.0), (0.0, 0.0)):
        name = f"gamma {gamma:g}, lambda {gae_lambda:g}"
        yield case(name, 6, n, episode_starts=_starts(6, n, 0, 4), gamma=gamma, gae_lambda=gae_lambda)
    zeros = {"rewards": np.zeros((4, 1), np.float32), "values": np.zeros((4, 1), np.float32)}
    yield case("all rewards and values zero", 4, 1, **zeros, last_values=np.zeros(1, np.float32))
    yield case(
        "all rewards and values equal", 5, n, rewards=np.ones((5, n), np.float32), values=np.full((5, n), 2, np.float32)
    )
    for size in (1e-6, 1e6):
        numbers = _rollout(rng, 8, n, episode_starts=_starts(8, n, 5))
        scaled = {name: float32(size * numbers[name]) for name in ("rewards", "values", "last_values")}
        yield Case(f"numbers around {size:g}", {**numbers, **scaled})
    yield case("a long rollout", 96, n, episode_starts=float32(rng.random((96, n)) < 0.05), gamma=0.99, gae_lambda=0.95)
    if not one_env:
        first_ends = np.zeros((6, 3), np.float32)
        first_ends[2, 0] = 1
        yield case(
            "only one of three environments ends", 6, 3, episode_starts=first_ends, dones=np.array([False, True, False])
        )
        yield case("as many steps as environments", 4, 4, episode_starts=float32(np.eye(4)))
    for number in range(6):
        n_steps, n_envs = int(rng.integers(2, 20)), 1 if one_env else int(rng.integers(1, 5))
        yield case(
            f"random {number + 1}", n_steps, n_envs,
            episode_starts=float32(rng.random((n_steps, n_envs)) < 0.25), dones=rng.random(n_envs) < 0.25,
            gamma=float(rng.uniform(0.5, 1)), gae_lambda=float(rng.uniform(0.5, 1)),
        )  # fmt: skip


def timeout_cases(seed: int, one_env: bool) -> Iterator[Case]:
    """Yield rollouts in which episodes terminate and are truncated, the simplest first."""
    rng = generator(seed)
    n = 1 if one_env else 3

    def case(
        name: str, n_steps: int, n_envs: int, ends: Array | None = None, cuts: Array | None = None, **changes: Any
    ) -> Case:
        numbers = _rollout(rng, n_steps, n_envs, **changes)
        del numbers["episode_starts"], numbers["dones"]
        never = np.zeros((n_steps, n_envs), bool)
        return Case(name, {
            **numbers,
            "terminal_values": float32(rng.normal(size=(n_steps, n_envs))),
            "terminations": never if ends is None else ends,
            "truncations": never if cuts is None else cuts,
        })  # fmt: skip

    def at(n_steps: int, n_envs: int, *rows: int) -> Array:
        return _starts(n_steps, n_envs, *rows).astype(bool)

    yield case("no episode ends", 4, 1)
    yield case("a termination in the middle", 5, 1, ends=at(5, 1, 2))
    yield case("a time limit in the middle", 5, 1, cuts=at(5, 1, 2))
    yield case("a termination with the last step", 4, 1, ends=at(4, 1, 3))
    yield case("a time limit with the last step", 4, 1, cuts=at(4, 1, 3))
    yield case("termination and time limit in the same step", 5, 1, ends=at(5, 1, 2), cuts=at(5, 1, 2))
    yield case("every step meets a time limit", 4, n, cuts=at(4, n, 0, 1, 2, 3))
    yield case("gamma 0", 5, n, ends=at(5, n, 1), cuts=at(5, n, 3), gamma=0.0)
    yield case("gamma 1, lambda 1", 6, n, ends=at(6, n, 1), cuts=at(6, n, 3), gamma=1.0, gae_lambda=1.0)
    yield case("lambda 0", 5, n, ends=at(5, n, 1), cuts=at(5, n, 3), gae_lambda=0.0)
    for number in range(4):
        n_steps, n_envs = int(rng.integers(2, 16)), 1 if one_env else int(rng.integers(1, 5))
        ends, cuts = rng.random((2, n_steps, n_envs)) < 0.2
        yield case(
            f"random {number + 1}", n_steps, n_envs, ends, cuts,
            gamma=float(rng.uniform(0.5, 1)), gae_lambda=float(rng.uniform(0.5, 1)),
        )  # fmt: skip
