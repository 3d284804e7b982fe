"""Trainings that are interrupted, and everything by which two trainings can differ."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from custom_ppo import CustomA2C, CustomPPO
from custom_ppo.sb3 import ExactCheckpoint
from tests.probe_envs import ContextReward, RandomWorld

N_STEPS = 16

N_ROLLOUTS = 8

EVERY = 2

KILLED_IN = 6
"""Rollout in which training ends: the last checkpoint is after four, and a fifth update is lost."""


class Rows(KVWriter):
    """Keeps the rows of a logger, but for what is measured by a clock."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        clocks = ("time/fps", "time/time_elapsed")
        self.rows.append({key: value for key, value in key_values.items() if key not in clocks})


class KilledError(Exception):
    """Stands for a kill."""


class InterruptAt(BaseCallback):
    """Ends training, in the middle of a rollout, at its n-th step."""

    def __init__(self, n: int, end: Callable[[], Any]) -> None:
        super().__init__()
        self.n = n
        self.end = end

    def _on_step(self) -> bool:
        if self.n_calls == self.n:
            self.end()
        return True


def interrupt() -> None:
    raise KilledError


def world() -> gym.Env[Any, Any]:
    return RandomWorld(spaces.Box(-1, 1, (3,)), spaces.MultiDiscrete([2, 3]))


class GlobalWorld(RandomWorld):
    """Draws its rewards from NumPy's global generator, as the agent does its minibatches."""

    def __init__(self) -> None:
        super().__init__(spaces.Dict({"a": spaces.Box(-1, 1, (3,)), "b": spaces.Discrete(3)}), spaces.Discrete(2))

    def reward(self, action: Any) -> float:
        return float(np.random.normal())  # noqa: NPY002


CASES: dict[str, dict[str, Any]] = {
    "CartPole": {"env": "CartPole-v1", "learning_rate": lambda progress: 1e-2 * progress},
    "CartPole, autograd": {"env": "CartPole-v1", "engine": "autograd"},
    "CartPole, stacked frames": {"env": "CartPole-v1", "n_envs": 2, "wrap": lambda env: VecFrameStack(env, 3)},
    "Pendulum, normalised, gSDE": {
        "env": "Pendulum-v1",
        "n_envs": 4,
        "wrap": VecNormalize,
        "use_sde": True,
        "sde_sample_freq": 5,
        "clip_range": lambda progress: 0.3 * progress,
    },
    "Pendulum, A2C": {"cls": CustomA2C, "env": "Pendulum-v1", "n_envs": 2},
    "a world that samples its spaces": {"env": world, "n_envs": 2},
    "SB3's policy, Dict observations, global randomness": {
        "env": GlobalWorld,
        "n_envs": 2,
        "policy": PPO.policy_aliases["MultiInputPolicy"],
    },
    "one-step episodes": {"env": ContextReward},
    "MuJoCo, two environments": {"env": "Hopper-v5", "n_envs": 2, "wrap": VecNormalize},
}


def make_model(folder: Path, case: dict[str, Any]) -> Any:
    kwargs = {"policy": "MlpPolicy", "n_envs": 1, "wrap": None, "cls": CustomPPO, **case}
    cls, wrap = kwargs.pop("cls"), kwargs.pop("wrap")
    env: VecEnv = make_vec_env(kwargs.pop("env"), n_envs=kwargs.pop("n_envs"), seed=3, monitor_dir=str(folder))
    if cls is CustomPPO:
        kwargs = {"batch_size": 16, "n_epochs": 2, **kwargs}
    return cls(env=wrap(env) if wrap else env, n_steps=N_STEPS, seed=0, device="cpu", **kwargs)


def learn(model: Any, *callbacks: BaseCallback) -> list[dict[str, Any]]:
    """Train to the end, or to an interruption; returns what was logged."""
    rows = Rows()
    model.set_logger(Logger(None, [rows]))
    try:
        model.learn(N_STEPS * model.n_envs * N_ROLLOUTS, callback=CallbackList(list(callbacks)), log_interval=1)
    except KilledError:
        return rows.rows
    model.logger.dump()  # what the last update told it
    return rows.rows


def scramble() -> None:
    """Move the random generators, as another process would have other random numbers."""
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)


def without_seconds(episodes: Any) -> list[dict[str, Any]]:
    return [{key: value for key, value in episode.items() if key != "t"} for episode in episodes]


def everything(model: Any) -> dict[str, Any]:
    """All by which two trainings can differ, taken before anything else draws random numbers."""
    normalisation = model.get_vec_normalize_env()
    env = model.env.unwrapped
    return {
        "randomness": [torch.get_rng_state().numpy(), np.random.get_state(), random.getstate()],  # noqa: NPY002
        "weights": {name: tensor.numpy().copy() for name, tensor in model.policy.state_dict().items()},
        "optimizer": [
            {name: torch.as_tensor(value).numpy().copy() for name, value in state.items()}
            for state in model.policy.optimizer.state.values()
        ],
        "learning_rate": model.policy.optimizer.param_groups[0]["lr"],
        "counters": [model.num_timesteps, model._n_updates, model._current_progress_remaining],
        "observations": [model._last_obs, model._last_episode_starts, model._last_original_obs],
        "episodes": without_seconds(model.ep_info_buffer),
        "environments": [generator.bit_generator.state for generator in env.get_attr("np_random")],
        "spaces": [space.np_random.bit_generator.state for space in (model.action_space, model.observation_space)]
        if isinstance(env.envs[0].unwrapped, RandomWorld)
        else [],
        "statistics": [
            vars(normalisation.obs_rms),
            vars(normalisation.ret_rms),
            normalisation.returns,
            normalisation.old_reward,
        ]
        if normalisation
        else [],
    }


def episode_logs(folder: Path) -> dict[str, list[list[str]]]:
    """Rows of all monitor files, without the seconds."""
    return {
        path.name: [line.split(",")[:2] for line in path.read_text().splitlines()[1:]]
        for path in sorted(folder.glob("*.monitor.csv"))
    }


def interrupted(folder: Path, case: dict[str, Any]) -> tuple[Path, list[dict[str, Any]]]:
    """A training that ends too early: its checkpoint, and the rows that were logged up to that."""
    checkpoint = ExactCheckpoint(folder / "checkpoint", every=EVERY)
    end = InterruptAt(N_STEPS * KILLED_IN - 3, interrupt)
    rows = learn(make_model(folder, case), checkpoint, end)
    assert len(rows) == KILLED_IN - 1
    return checkpoint.path, rows[: (KILLED_IN - 1) // EVERY * EVERY]
