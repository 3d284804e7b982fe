"""Long trainings by SB3's PPO and by CustomPPO, to show that not one bit differs after many updates.

    python -m tests.custom_ppo.long_run CartPole-v1 1000000
    python -m tests.custom_ppo.long_run Pendulum-v1 1000000 --n-envs 4 --engine fused

SB3's defaults, from one seed. Compared are weights, the state of the optimiser, all rows of the log, the random
generators and the environments; the exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch
from stable_baselines3 import PPO

from custom_ppo import CustomPPO
from tests.custom_ppo.parity import Outcome, differences, train


def main() -> int:
    """Train both, print how long each took, and return 0 if all is equal."""
    parser = argparse.ArgumentParser(description="Trains SB3's PPO and CustomPPO for long, and compares all results.")
    parser.add_argument("env", help="id of a Gymnasium environment")
    parser.add_argument("n_timesteps", type=int, help="environment steps")
    parser.add_argument("--n-envs", type=int, default=1, help="parallel environments")
    parser.add_argument("--engine", default="auto", help="engine of CustomPPO")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings: dict[str, Any] = {"n_steps": 2048 // arguments.n_envs, "batch_size": 64, "n_epochs": 10}
    settings["n_iterations"] = -(-arguments.n_timesteps // 2048)

    def timed(cls: type[Any], **more: Any) -> tuple[Outcome, float]:
        start = time.perf_counter()
        outcome = train(cls, arguments.env, arguments.n_envs, **settings, **more)
        return outcome, time.perf_counter() - start

    ours, our_time = timed(CustomPPO, engine=arguments.engine)
    theirs, their_time = timed(PPO)
    found = list(differences(ours, theirs))
    engine = type(ours.model.agent.engine).__name__.removesuffix("Engine").lower()
    what = f"{arguments.env}, {theirs.model.num_timesteps:,} steps, {theirs.model._n_updates:,} epochs, engine {engine}"
    print(f"{what}: {'equal' if not found else 'different'}, {our_time:.0f} s and {their_time:.0f} s (SB3)")
    print(*found[:20], sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
