"""CustomPPO and SB3's PPO, trained under one seed, compared bit for bit: weights, optimiser, logs and generators."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn

from custom_ppo import CustomPPO
from custom_ppo.agent import AutogradEngine
from custom_ppo.fused import FusedEngine
from tests.probe_envs import RandomWorld

N_ITERATIONS = 20
VECTOR = spaces.Box(-1, 1, (3,))
TIGHT = spaces.Box(np.array([-0.1, -1], np.float32), np.array([0.3, 0.5], np.float32))
"""Bounds so tight that most actions are clipped to them."""

BOLD: dict[str, Any] = {"learning_rate": 1e-2, "clip_range": 0.1, "ent_coef": 0.01}
SCHEDULES: dict[str, Any] = {
    "learning_rate": lambda progress: 1e-3 * progress,
    "clip_range": lambda progress: 0.2 * progress + 0.01,
    "clip_range_vf": lambda progress: 0.5 * progress + 0.01,
}


@dataclass(frozen=True)
class Outcome:
    """Everything by which two trainings can differ."""

    model: Any
    logs: list[dict[str, Any]]
    random_states: list[Any]


def world(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> Callable[[], gym.Env[Any, Any]]:
    """Makes worlds with time limits and terminations; spaces are copied, as they carry generators."""
    return lambda: RandomWorld(copy.deepcopy(observations), copy.deepcopy(actions))


class Logged(BaseCallback):
    """Keeps what the logger holds after every update."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._keep()

    def _on_training_end(self) -> None:
        self._keep()

    def _keep(self) -> None:
        if self.logger.name_to_value:
            self.rows.append(dict(self.logger.name_to_value))


def train(
    cls: type[Any],
    env: str | Callable[[], gym.Env[Any, Any]],
    n_envs: int,
    *,
    policy: Any = "MlpPolicy",
    normalize: bool = False,
    evaluate: bool = False,
    parts: int = 1,
    n_iterations: int = N_ITERATIONS,
    **kwargs: Any,
) -> Outcome:
    kwargs = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "seed": 0, "device": "cpu", **kwargs}
    vec_env: VecEnv = make_vec_env(env, n_envs=n_envs, seed=kwargs["seed"])
    if normalize:
        vec_env = VecNormalize(vec_env, gamma=kwargs.get("gamma", 0.99))
    model = cls(policy, vec_env, **kwargs)
    log = Logged()
    callbacks: list[BaseCallback] = [log]
    if evaluate:
        eval_env = make_vec_env(env, n_envs=1, seed=123)
        callbacks.append(EvalCallback(eval_env, eval_freq=40, n_eval_episodes=2, deterministic=True, verbose=0))
    for part in range(parts):
        model.learn(
            kwargs["n_steps"] * n_envs * n_iterations // parts,
            callback=CallbackList(callbacks),
            log_interval=None,
            reset_num_timesteps=part == 0,
        )
    return Outcome(model, log.rows, [torch.get_rng_state().numpy(), np.random.get_state(), random.getstate()])  # noqa: NPY002


def assert_identical(ours: Outcome, theirs: Outcome) -> None:
    state, reference = ours.model.policy.state_dict(), theirs.model.policy.state_dict()
    assert list(state) == list(reference)
    for name, expected in reference.items():
        assert torch.equal(state[name], expected), name
    our_adam, their_adam = (outcome.model.policy.optimizer.state_dict() for outcome in (ours, theirs))
    assert our_adam["param_groups"] == their_adam["param_groups"]
    for index, expected in their_adam["state"].items():
        for name, tensor in expected.items():
            assert torch.equal(our_adam["state"][index][name], tensor), f"{name} of parameter {index}"
    assert len(ours.logs) == len(theirs.logs)
    for our_row, their_row in zip(ours.logs, theirs.logs, strict=True):
        np.testing.assert_equal(our_row, their_row)
    for our_random, their_random in zip(ours.random_states, theirs.random_states, strict=True):
        np.testing.assert_equal(our_random, their_random)
    assert ours.model.num_timesteps == theirs.model.num_timesteps
    assert ours.model._n_updates == theirs.model._n_updates


CASES: dict[str, dict[str, Any]] = {
    "CartPole, defaults": {"env": "CartPole-v1", "n_envs": 1},
    "CartPole, 8 envs, schedules": {"env": "CartPole-v1", "n_envs": 8, "batch_size": 32, **SCHEDULES},
    "CartPole, bold, a batch that does not divide": {"env": "CartPole-v1", "n_envs": 3, "batch_size": 17, **BOLD},
    "CartPole, a last minibatch of one": {"env": "CartPole-v1", "n_envs": 1, "n_steps": 33, "batch_size": 16, **BOLD},
    "CartPole, early stopping": {"env": "CartPole-v1", "n_envs": 2, "target_kl": 0.002, **BOLD},
    "CartPole, advantages as they are": {
        "env": "CartPole-v1",
        "n_envs": 2,
        "normalize_advantage": False,
        "max_grad_norm": 0.05,
        "vf_coef": 1.0,
    },
    "CartPole, the whole batch": {"env": "CartPole-v1", "n_envs": 2, "batch_size": 32, "n_epochs": 1, "gamma": 0.9},
    "CartPole, ReLU": {
        "env": "CartPole-v1",
        "n_envs": 2,
        "policy_kwargs": {"net_arch": {"pi": [8], "vf": [16, 8]}, "activation_fn": nn.ReLU},
        **BOLD,
    },
    "CartPole, own settings of Adam": {
        "env": "CartPole-v1",
        "n_envs": 1,
        "policy_kwargs": {"optimizer_kwargs": {"betas": (0.8, 0.9)}},
    },
    "CartPole, weight decay": {
        "env": "CartPole-v1",
        "n_envs": 1,
        "policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.01}},
        "fused": False,
    },
    "CartPole, Adam by name": {
        "env": "CartPole-v1",
        "n_envs": 1,
        "policy_kwargs": {"optimizer_class": torch.optim.Adam},
    },
    "CartPole, SGD": {
        "env": "CartPole-v1",
        "n_envs": 1,
        "policy_kwargs": {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.9}},
        "fused": False,
    },
    "CartPole, SB3's own policy class": {
        "env": "CartPole-v1",
        "n_envs": 2,
        "policy": ActorCriticPolicy,
        "fused": False,
        **BOLD,
    },
    "CartPole, evaluated": {"env": "CartPole-v1", "n_envs": 2, "evaluate": True, **BOLD},
    "CartPole, learnt in two parts": {"env": "CartPole-v1", "n_envs": 2, "parts": 2, **SCHEDULES},
    "Pendulum, defaults": {"env": "Pendulum-v1", "n_envs": 1},
    "Pendulum, 8 envs, clipped values": {"env": "Pendulum-v1", "n_envs": 8, "clip_range_vf": 0.2, **BOLD},
    "Pendulum, normalised": {"env": "Pendulum-v1", "n_envs": 2, "normalize": True, "gamma": 0.9, **BOLD},
    "Pendulum, gSDE": {"env": "Pendulum-v1", "n_envs": 4, "use_sde": True, "sde_sample_freq": 4, "fused": False},
    "Pendulum, squashed gSDE": {
        "env": "Pendulum-v1",
        "n_envs": 1,
        "use_sde": True,
        "ent_coef": 0.01,
        "policy_kwargs": {"squash_output": True, "use_expln": True, "full_std": False, "log_std_init": -1.0},
        "fused": False,
    },
    "timeouts, tight bounds": {"env": world(VECTOR, TIGHT), "n_envs": 2, **BOLD},
    "timeouts, normalised": {"env": world(VECTOR, TIGHT), "n_envs": 2, "normalize": True, **BOLD},
    "timeouts, matrix of actions": {"env": world(VECTOR, spaces.Box(-1, 1, (2, 2), np.float64)), "n_envs": 2},
    "timeouts, MultiDiscrete": {
        "env": world(VECTOR, spaces.MultiDiscrete([2, 3])),
        "n_envs": 2,
        "fused": False,
        **BOLD,
    },
    "timeouts, MultiBinary": {"env": world(VECTOR, spaces.MultiBinary(3)), "n_envs": 2, "fused": False, **BOLD},
    "timeouts, Discrete observations": {"env": world(spaces.Discrete(5), spaces.Discrete(3)), "n_envs": 2, **BOLD},
    "timeouts, MultiDiscrete observations": {
        "env": world(spaces.MultiDiscrete([3, 2]), spaces.Discrete(3)),
        "n_envs": 2,
    },
    "timeouts, float64 observations": {
        "env": world(spaces.Box(-1, 1, (2, 2), np.float64), spaces.Discrete(2)),
        "n_envs": 2,
    },
    "timeouts, images for SB3's CNN": {
        "env": world(spaces.Box(0, 255, (36, 36, 1), np.uint8), spaces.Discrete(2)),
        "n_envs": 2,
        "n_iterations": 2,
        "policy": PPO.policy_aliases["CnnPolicy"],
        "fused": False,
    },
    "timeouts, Dict observations for SB3's policy": {
        "env": world(spaces.Dict({"a": VECTOR, "b": spaces.Discrete(3)}), spaces.Discrete(2)),
        "n_envs": 2,
        "n_iterations": 4,
        "policy": PPO.policy_aliases["MultiInputPolicy"],
        "fused": False,
    },
}


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("case", list(CASES))
def test_training_is_sb3s_to_the_bit(case: str) -> None:
    settings = dict(CASES[case])
    can_be_fused = settings.pop("fused", True)
    theirs = train(PPO, **settings)
    assert theirs.logs, "nothing was compared"
    for engine in ("autograd", "fused" if can_be_fused else "auto"):
        ours = train(CustomPPO, engine=engine, **settings)
        expected_engine = FusedEngine if engine == "fused" else AutogradEngine
        assert isinstance(ours.model.agent.engine, expected_engine)
        assert_identical(ours, theirs)


def test_the_comparison_notices_the_last_bit() -> None:
    theirs, ours = (train(cls, "CartPole-v1", 1, n_iterations=2) for cls in (PPO, CustomPPO))
    with torch.no_grad():
        bias = ours.model.policy.value_net.bias
        bias.copy_(torch.nextafter(bias, bias + 1))
    with pytest.raises(AssertionError, match=r"value_net\.bias"):
        assert_identical(ours, theirs)


def test_the_examples_stop_early_clip_and_time_out() -> None:
    early = train(CustomPPO, **CASES["CartPole, early stopping"])
    assert early.model._n_updates < 2 * N_ITERATIONS
    bold = train(CustomPPO, **CASES["CartPole, bold, a batch that does not divide"])
    assert max(row["train/clip_fraction"] for row in bold.logs if "train/clip_fraction" in row) > 0.1
    memory = train(CustomPPO, **CASES["timeouts, tight bounds"]).model.rollout_buffer
    assert memory.episode_starts[1:].sum() > 2
    assert np.abs(memory.actions).max() > 0.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("seed", range(40))
def test_random_settings_train_to_sb3s_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    env, sde = [
        ("CartPole-v1", False),
        ("Pendulum-v1", False),
        ("Pendulum-v1", True),
        (world(VECTOR, TIGHT), False),
        (world(VECTOR, spaces.MultiDiscrete([2, 3])), False),
        (world(spaces.Discrete(4), spaces.Discrete(3)), False),
    ][rng.integers(6)]
    settings: dict[str, Any] = {
        "env": env,
        "n_envs": int(rng.integers(1, 9)),
        "n_steps": int(rng.integers(8, 100)),
        "batch_size": int(rng.integers(2, 200)),
        "n_epochs": int(rng.integers(1, 8)),
        "learning_rate": float(10 ** rng.uniform(-4, -2)),
        "gamma": float(rng.uniform(0.8, 1.0)),
        "gae_lambda": float(rng.uniform(0.0, 1.0)),
        "clip_range": float(rng.uniform(0.05, 0.3)),
        "clip_range_vf": [None, 0.1][rng.integers(2)],
        "normalize_advantage": bool(rng.integers(2)),
        "ent_coef": [0.0, 0.01][rng.integers(2)],
        "vf_coef": float(rng.uniform(0.1, 1.0)),
        "max_grad_norm": float(10 ** rng.uniform(-2, 1)),
        "target_kl": [None, 0.01][rng.integers(2)],
        "use_sde": sde,
        "normalize": bool(rng.integers(2)) and env in ("CartPole-v1", "Pendulum-v1"),
        "policy_kwargs": {
            "net_arch": rng.integers(1, 70, size=rng.integers(0, 3)).tolist(),
            "activation_fn": (nn.Tanh, nn.ReLU)[rng.integers(2)],
        },
        "seed": seed,
        "n_iterations": 20,
    }
    assert_identical(train(CustomPPO, **settings), train(PPO, **settings))
