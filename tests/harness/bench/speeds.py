"""Results of measurements that tests need."""

from __future__ import annotations

from typing import Any

from harness.bench.speeds import Floor, Speed

__all__ = ["measured"]


def measured(name: str = "cartpole-zoo", ratio: float = 2.0, **changes: Any) -> Speed:
    """Return a result of three pairs with this ratio: ours take 1, 1 and 2 seconds."""
    fields: dict[str, Any] = {
        "env": "CartPole-v1",
        "algo": "ppo",
        "n_timesteps": 1000,
        "engine": "fused",
        "ours": (1.0, 1.0, 2.0),
        "theirs": (ratio, ratio, 2 * ratio),
        "parts": {"ours": {"update": 0.75, "environment": 0.25}, "theirs": {"update": 1.0}},
        "floor": Floor(vec_env=0.4, bare_env=0.2, acting=0.1, updating=0.1, sgemm_gflops=50.0),
        **changes,
    }
    return Speed(name, **fields)
