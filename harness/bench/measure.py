"""Measure training speeds: both implementations run alternately in one process, under equal conditions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from stable_baselines3.common.env_util import make_vec_env

from harness.bench.speeds import Speed
from harness.training.algorithms import load_algorithm
from harness.training.envs import check_environment

__all__ = ["measure_speeds"]

SETTINGS = ((1, 64), (8, 64), (8, 256))
"""Pairs (parallel environments, batch size); all other hyperparameters are SB3's defaults."""

SUBJECT, REFERENCE = "custom_ppo", "ppo"


def measure_speeds(envs: Sequence[str], pairs: int, n_timesteps: int) -> list[Speed]:
    """Return the speeds of both implementations in every setting; a first pair warms up and is not counted."""
    for env in envs:
        check_environment(env)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for env in envs:
            for n_envs, batch_size in SETTINGS:
                kwargs = {"n_steps": 2048 // n_envs, "batch_size": batch_size}
                rates: dict[str, list[float]] = {SUBJECT: [], REFERENCE: []}
                for pair in range(pairs + 1):
                    # Alternate the order, so that a drifting processor clock favours neither.
                    for name in (SUBJECT, REFERENCE) if pair % 2 else (REFERENCE, SUBJECT):
                        steps = n_timesteps if pair else 2048
                        rate = _steps_per_second(name, env, n_envs, steps, kwargs)
                        if pair:
                            rates[name].append(rate)
                found.append(Speed(env, n_envs, batch_size, tuple(rates[SUBJECT]), tuple(rates[REFERENCE])))
    return found


def _steps_per_second(name: str, env_id: str, n_envs: int, n_timesteps: int, kwargs: dict[str, Any]) -> float:
    env = make_vec_env(env_id, n_envs=n_envs, seed=0)
    try:
        model = load_algorithm(name)("MlpPolicy", env, seed=0, device="cpu", **kwargs)
        start = perf_counter()
        model.learn(n_timesteps)
        return float(model.num_timesteps / (perf_counter() - start))
    finally:
        env.close()
