"""Train SBX's and SB3's PPO in turns, and print the seconds as JSON: a script for an interpreter that has both.

    python sbx_script.py '{"env": "CartPole-v1", "n_envs": 8, "n_timesteps": 4096, "pairs": 7, "hyperparams": {...}}'

It imports nothing of this project. Models are kept for all pairs, as JAX compiles for each model anew.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from importlib import import_module
from time import perf_counter
from typing import Any

__all__ = ["main"]


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Return versions, and the seconds of both for each pair, after a rollout that compiles and warms up."""
    if hasattr(os, "sched_setaffinity"):  # JAX has no reliable setting for one thread
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import torch
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {"sbx": [], "sb3": []}
    models = {}
    for name, algorithm in (("sbx", import_module("sbx").PPO), ("sb3", import_module("stable_baselines3").PPO)):
        env = make_vec_env(asked["env"], n_envs=asked["n_envs"], seed=0)
        models[name] = algorithm("MlpPolicy", env, seed=0, device="cpu", **asked["hyperparams"])
        models[name].learn(1)
    for pair in range(asked["pairs"]):
        for name in ("sbx", "sb3") if pair % 2 else ("sb3", "sbx"):
            start = perf_counter()
            models[name].learn(asked["n_timesteps"])
            seconds[name].append(perf_counter() - start)
    versions = {name: importlib.metadata.version(package) for name, package in (("version", "sbx-rl"), ("jax", "jax"))}
    return {**versions, **seconds}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))  # noqa: T201
