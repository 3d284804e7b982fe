"""Parameters and actions on which log-probabilities and entropies are checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.checks.case import Case, float32, generator

__all__ = ["distribution_cases"]


def distribution_cases(distribution: str, seed: int) -> Iterator[Case]:
    """Yield parameters and actions of a distribution, the simplest first."""
    rng = generator(seed)
    if distribution == "categorical":
        yield from _categorical_cases(rng)
    elif distribution == "multi_categorical":
        yield from _multi_categorical_cases(rng)
    elif distribution == "bernoulli":
        yield from _bernoulli_cases(rng)
    elif distribution == "gsde":
        yield from _gsde_cases(rng)
    else:
        yield from _gaussian_cases(rng, squashed=distribution == "squashed_gaussian")


def _categorical_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, logits: Any, actions: Any) -> Case:
        return Case(name, {"logits": float32(logits), "actions": np.asarray(actions, np.int64)})

    yield case("one row, two choices", [[0.5, -1]], [0])
    yield case("ties: all choices alike", np.zeros((2, 3)), [0, 2])
    yield case("ties: all logits 3", np.full((2, 3), 3.0), [1, 2])
    yield case("a single choice", [[2.0], [-1.0]], [0, 0])
    yield case("as many rows as choices", rng.normal(size=(3, 3)), [2, 0, 1])
    yield case("logits around 100", 100 + rng.normal(size=(3, 4)), [0, 3, 1])
    yield case("a nearly certain choice", [[60, 0, -60], [0, 60, -60]], [0, 2])
    yield case("an impossible choice, masked by -inf", [[1, -np.inf, 0], [-np.inf, 0.5, 2]], [0, 2])
    for number in range(4):
        rows, n = int(rng.integers(2, 12)), int(rng.integers(2, 8))
        yield case(f"random {number + 1}", 2 * rng.normal(size=(rows, n)), rng.integers(n, size=rows))


def _multi_categorical_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, logits: Any, nvec: list[int], actions: Any) -> Case:
        return Case(name, {"logits": float32(logits), "nvec": nvec, "actions": np.asarray(actions, np.int64)})

    yield case("one row, two components", [[0.5, -1, 2, 0, 1]], [2, 3], [[0, 2]])
    yield case("a single component", rng.normal(size=(3, 4)), [4], [[0], [3], [1]])
    yield case("ties: all choices alike", np.zeros((2, 5)), [3, 2], [[0, 1], [2, 0]])
    yield case("components of equal size", rng.normal(size=(4, 6)), [3, 3], [[0, 1], [2, 0], [1, 1], [2, 2]])
    yield case("a nearly certain choice", [[40, 0, -40, 0, 30]], [3, 2], [[1, 1]])
    for number in range(4):
        rows, nvec = int(rng.integers(2, 10)), [int(n) for n in rng.integers(2, 6, size=int(rng.integers(2, 5)))]
        yield case(
            f"random {number + 1}",
            2 * rng.normal(size=(rows, sum(nvec))),
            nvec,
            rng.integers(nvec, size=(rows, len(nvec))),
        )


def _bernoulli_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, logits: Any, actions: Any) -> Case:
        return Case(name, {"logits": float32(logits), "actions": float32(actions)})

    yield case("one switch, on", [[0.5]], [[1]])
    yield case("one switch, off", [[0.5]], [[0]])
    yield case("two switches", [[0.5, -1]], [[1, 0]])
    yield case("even odds", np.zeros((2, 3)), [[1, 0, 1], [0, 0, 0]])
    yield case("nearly certain switches", [[40, -40, 40]], [[1, 0, 0]])
    for number in range(4):
        shape = int(rng.integers(2, 10)), int(rng.integers(2, 6))
        yield case(f"random {number + 1}", 2 * rng.normal(size=shape), rng.random(shape) < 0.5)


def _gaussian_cases(rng: np.random.Generator, *, squashed: bool) -> Iterator[Case]:
    def case(name: str, mean: Any, log_std: Any, actions: Any) -> Case:
        reached = np.clip(np.tanh(actions), -0.95, 0.95) if squashed else actions
        return Case(name, {"mean": float32(mean), "log_std": float32(log_std), "actions": float32(reached)})

    yield case("one row, one component", [[0.5]], [0.3], [[1.0]])
    yield case("the mean itself", [[0.5, -1]], [0.3, -0.5], [[0.5, -1]])
    yield case("standard deviation 1", [[0.5, -1], [0, 1]], [0, 0], [[1, 0], [-1, 2]])
    yield case("two components of different spread", [[0.0, 0.0]], [1, -1], [[1.5, 0.5]])
    yield case("as many rows as components", rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(3, 3)))
    yield case("actions far outside of (-1, 1)", [[0.0, 0.0]], [0.5, 0.5], [[3, -4]])
    if not squashed:
        yield case("tiny spread", [[0.5, -1]], [-6, -8], [[0.501, -1.0002]])
        yield case("huge spread", [[0.5, -1]], [5, 8], [[90, -1000]])
        yield case("actions 30 deviations away", [[0.0, 0.0]], [0, -1], [[30, 11]])
    for number in range(4):
        rows, n = int(rng.integers(2, 10)), int(rng.integers(2, 6))
        yield case(
            f"random {number + 1}",
            rng.normal(size=(rows, n)),
            rng.normal(scale=0.5, size=n),
            rng.normal(size=(rows, n)),
        )


def _gsde_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, rows: int, n: int, features: Any, spread: float = 0.5) -> Case:
        features = float32(features)
        return Case(name, {
            "mean": float32(rng.normal(size=(rows, n))),
            "log_std": float32(rng.normal(scale=spread, size=(features.shape[1], n)) - spread),
            "features": features,
            "actions": float32(rng.normal(size=(rows, n))),
        })  # fmt: skip

    yield case("one row, one component, one feature", 1, 1, [[1.0]])
    yield case("standard deviations of 1", 2, 2, [[1, 0.5], [0.5, -1]], 0.0)
    yield case("features of both signs", 3, 2, [[1, -1], [-2, 0.5], [-0.5, -0.5]])
    yield case("features of zero: only epsilon is left", 1, 2, [[0.0, 0.0]])
    for number in range(4):
        rows, n, width = (int(k) for k in rng.integers(2, 7, size=3))
        yield case(f"random {number + 1}", rows, n, rng.normal(size=(rows, width)))
