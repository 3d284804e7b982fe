"""Configuration that is trained in a fraction of a second."""

from __future__ import annotations

from harness.bench.configurations import Configuration

__all__ = ["SMALL"]

SMALL = Configuration(
    "small", "CartPole-v1", 128, "for tests", changes={"n_envs": 2, "n_steps": 32, "batch_size": 32, "n_epochs": 2}
)
