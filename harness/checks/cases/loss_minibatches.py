"""Minibatches on which losses are checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.checks.case import Array, Case, float32, generator

__all__ = ["policy_cases", "total_cases", "value_cases"]


def policy_cases(seed: int) -> Iterator[Case]:
    """Yield inputs of a policy loss, the simplest first."""
    rng = generator(seed)

    def case(name: str, log_ratios: Any, advantages: Any, clip_range: float = 0.2, old: Any = None) -> Case:
        log_ratios = np.asarray(log_ratios, np.float64)
        old_log_prob = float32(rng.uniform(-3, -0.1, size=log_ratios.shape) if old is None else old)
        inputs = {"log_prob": float32(old_log_prob + log_ratios), "old_log_prob": old_log_prob}
        return Case(name, {**inputs, "advantages": float32(advantages), "clip_range": clip_range})

    yield case("one transition", [0.1], [1.5])
    yield case("nothing has moved: all ratios are 1", np.zeros(4), rng.normal(size=4))
    yield case("good action, far more likely", [1.0], [2.0])
    yield case("good action, far less likely", [-1.0], [2.0])
    yield case("bad action, far more likely", [1.0], [-2.0])
    yield case("bad action, far less likely", [-1.0], [-2.0])
    yield case("all ratios inside the clip range", rng.uniform(-0.15, 0.15, 6), rng.normal(size=6))
    yield case("both signs on both sides of the clip range", [-1, -1, 1, 1, 0.1, -0.1], [1, -1, 1, -1, 1, -1])
    border = np.log([0.79, 0.81, 1.19, 1.21, 0.81, 1.21])
    yield case("ratios close to the border of the clip range", border, [1, 1, 1, 1, -1, -1])
    yield case("advantages of zero", [-1, 0, 1], [0, 0, 0])
    yield case("all advantages equal", rng.normal(size=5), np.full(5, -1.5))
    yield case("clip range 0", rng.normal(size=5), rng.normal(size=5), 0.0)
    yield case("clip range 1.5", rng.normal(scale=2, size=5), rng.normal(size=5), 1.5)
    yield case("ratio e^20", [20.0, 0.1], [1.0, -1.0])
    yield case("ratio e^20 with a bad action", [20.0, 0.1], [-1.0, 1.0])
    yield case("ratio e^-20", [-20.0, 0.1], [1.0, -1.0])
    yield case("ratio beyond float32, clipped", [100.0, -0.1], [1.0, 1.0])
    yield case("probabilities below float32", [0.1, -0.1], [1.0, -2.0], old=[-150.0, -120.0])
    yield case("densities beyond float32", [0.1, -0.1], [1.0, -2.0], old=[150.0, 120.0])
    for size in (1e-6, 1e6):
        yield case(f"advantages around {size:g}", rng.normal(scale=0.3, size=6), size * rng.normal(size=6))
    for number in range(5):
        n = int(rng.integers(2, 40))
        yield case(
            f"random {number + 1}", rng.normal(scale=0.4, size=n), rng.normal(size=n), float(rng.uniform(0.05, 0.4))
        )


def value_cases(seed: int, *, clipping: bool) -> Iterator[Case]:
    """Yield inputs of a critic's loss, the simplest first."""
    rng = generator(seed)

    def case(name: str, values: Any, returns: Any, clip: float | None = None, moved: Any = None) -> Case:
        values = np.asarray(values, np.float64)
        moved = rng.normal(scale=0.5, size=values.shape) if moved is None else np.asarray(moved, np.float64)
        numbers = {"values": float32(values), "old_values": float32(values - moved), "returns": float32(returns)}
        return Case(name, {**numbers, "clip_range_vf": clip})

    yield case("one transition", [1.0], [3.0])
    yield case("values equal to the returns", [1, -2, 3], [1, -2, 3])
    yield case("values above and below", [0, 0], [1, -1])
    yield case("all returns equal", rng.normal(size=5), np.full(5, 2))
    yield case("large values", 1e3 * rng.normal(size=6), 1e3 * rng.normal(size=6))
    yield case("small values", 1e-4 * rng.normal(size=6), 1e-4 * rng.normal(size=6))
    if clipping:
        yield case("clipped, one transition", [1.0], [3.0], 0.2, [0.5])
        yield case("clipped, nothing moved", rng.normal(size=4), rng.normal(size=4), 0.2, np.zeros(4))
        yield case("clipped, moved towards the return", [1.0, -1.0], [2.0, -2.0], 0.2, [0.5, -0.5])
        yield case("clipped, moved away from the return", [1.0, -1.0], [0.0, 0.0], 0.2, [0.5, -0.5])
        yield case("clipped, past the return", [1.0, -1.0], [0.6, -0.6], 0.2, [1.0, -1.0])
        yield case(
            "clipped, all inside the range", rng.normal(size=5), rng.normal(size=5), 0.5, 0.1 * rng.normal(size=5)
        )
        yield case("a wide clip range", rng.normal(size=5), rng.normal(size=5), 100.0)
    for number in range(6):
        n = int(rng.integers(2, 40))
        clip = float(rng.uniform(0.05, 0.5)) if clipping and number % 2 else None
        yield case(f"random {number + 1}", rng.normal(size=n), rng.normal(size=n), clip)


def total_cases(seed: int) -> Iterator[Case]:
    """Yield inputs of a whole loss, the simplest first."""
    rng = generator(seed)

    def case(name: str, size: int, moves: Any = None, **changes: Any) -> Case:
        def numbers(scale: float = 1.0) -> Array:
            return np.asarray(rng.normal(scale=scale, size=size), np.float32)

        old_log_prob, values = numbers(), numbers()
        moved = numbers(0.3) if moves is None else float32(moves)
        inputs = {
            "log_prob": old_log_prob + numbers(0.4),
            "old_log_prob": old_log_prob,
            "advantages": numbers() + np.float32(0.5),
            "values": values,
            "old_values": values - moved,
            "returns": numbers(),
            "entropy": np.abs(numbers()),
            "clip_range": 0.2,
            "clip_range_vf": None,
            "ent_coef": 0.0,
            "vf_coef": 0.5,
        }
        return Case(name, {**inputs, **changes})

    yield case("two transitions", 2)
    yield case("one transition, whose advantage has no deviation", 1, ent_coef=0.1)
    yield case("no entropy term, no value term", 5, vf_coef=0.0)
    yield case("with an entropy term", 5, ent_coef=0.01)
    yield case("with clipped values", 6, moves=[0.5, -0.5, 0.1, -0.1, 0, 0.3], clip_range_vf=0.2)
    yield case("other coefficients", 6, ent_coef=0.3, vf_coef=2.0, clip_range=0.1)
    yield case("all advantages equal", 4, advantages=np.full(4, 2.0, np.float32), ent_coef=0.01)
    yield case("advantages of great spread", 5, advantages=np.array([100, -50, 25, 0, 3], np.float32))
    near = {"old_log_prob": np.zeros(6, np.float32), "advantages": np.array([1, 1, 1, -1, -1, -1], np.float32)}
    yield case(
        "close to the border of the clip", 6, log_prob=np.log(float32([0.81, 1.21, 0.79, 0.81, 1.21, 1])), **near
    )
    yield case("far outside of the clip", 6, log_prob=float32([-2, 2, 1, -1, 1.5, 2]), **near)
    unlikely = {"log_prob": float32([-120, -150, -130]), "old_log_prob": float32([-120.25, -149.5, -130])}
    yield case("probabilities below float32", 3, **unlikely)
    for number in range(5):
        yield case(
            f"random {number + 1}", int(rng.integers(3, 40)),
            clip_range=float(rng.uniform(0.1, 0.3)), clip_range_vf=float(rng.uniform(0.1, 0.5)) if number % 2 else None,
            ent_coef=float(rng.uniform(0, 0.1)), vf_coef=float(rng.uniform(0.2, 1)),
        )  # fmt: skip
