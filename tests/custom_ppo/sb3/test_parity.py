"""CustomPPO and SB3's PPO, trained under one seed, compared bit for bit: weights, optimiser, logs and generators."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize, VecTransposeImage
from torch import nn

from custom_ppo import CustomPPO
from custom_ppo.engines import AutogradEngine, FusedEngine
from tests.custom_ppo.parity import assert_identical, train
from tests.probe_envs import RandomWorld

N_ITERATIONS = 20
VECTOR = spaces.Box(-1, 1, (3,))
TIGHT = spaces.Box(np.array([-0.1, -1], np.float32), np.array([0.3, 0.5], np.float32))
"""Bounds so tight that most actions are clipped to them."""

MIXED = spaces.Dict(
    {
        "image": spaces.Box(0, 255, (36, 36, 1), np.uint8),
        "vector": VECTOR,
        "choice": spaces.Discrete(3),
        "choices": spaces.MultiDiscrete([2, 4]),
        "switches": spaces.MultiBinary(2),
    }
)

BOLD: dict[str, Any] = {"learning_rate": 1e-2, "clip_range": 0.1, "ent_coef": 0.01}
CNN: dict[str, Any] = {"policy": "CnnPolicy", "n_envs": 2, "n_iterations": 2}
DICT: dict[str, Any] = {"policy": "MultiInputPolicy", "n_envs": 2, "n_iterations": 4}
SCHEDULES: dict[str, Any] = {
    "learning_rate": lambda progress: 1e-3 * progress,
    "clip_range": lambda progress: 0.2 * progress + 0.01,
    "clip_range_vf": lambda progress: 0.5 * progress + 0.01,
}


def world(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> Callable[[], gym.Env[Any, Any]]:
    """Makes worlds with time limits and terminations; spaces are copied, as they carry generators."""
    return lambda: RandomWorld(copy.deepcopy(observations), copy.deepcopy(actions))


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
    "Pendulum, stacked, normalised": {
        "env": "Pendulum-v1",
        "n_envs": 2,
        "wrap": lambda env: VecFrameStack(VecNormalize(env, gamma=0.9, clip_reward=2.0), n_stack=3),
        "gamma": 0.9,
        **BOLD,
    },
    "CartPole, in processes of their own": {"env": "CartPole-v1", "n_envs": 3, "in_processes": True, **BOLD},
    "timeouts, normalised, in processes of their own": {
        "env": world(VECTOR, TIGHT),
        "n_envs": 2,
        "normalize": True,
        "in_processes": True,
        **BOLD,
    },
    "Pendulum, gSDE": {"env": "Pendulum-v1", "n_envs": 4, "use_sde": True, "sde_sample_freq": 4},
    "Pendulum, squashed gSDE": {
        "env": "Pendulum-v1",
        "n_envs": 1,
        "use_sde": True,
        "ent_coef": 0.01,
        "policy_kwargs": {"squash_output": True, "use_expln": True, "full_std": False, "log_std_init": -1.0},
    },
    "timeouts, tight bounds": {"env": world(VECTOR, TIGHT), "n_envs": 2, **BOLD},
    "timeouts, normalised": {"env": world(VECTOR, TIGHT), "n_envs": 2, "normalize": True, **BOLD},
    "timeouts, matrix of actions": {"env": world(VECTOR, spaces.Box(-1, 1, (2, 2), np.float64)), "n_envs": 2},
    "timeouts, MultiDiscrete": {
        "env": world(VECTOR, spaces.MultiDiscrete([2, 3])),
        "n_envs": 2,
        **BOLD,
    },
    "timeouts, MultiBinary": {"env": world(VECTOR, spaces.MultiBinary(3)), "n_envs": 2, **BOLD},
    "timeouts, Discrete observations": {"env": world(spaces.Discrete(5), spaces.Discrete(3)), "n_envs": 2, **BOLD},
    "timeouts, MultiDiscrete observations": {
        "env": world(spaces.MultiDiscrete([3, 2]), spaces.Discrete(3)),
        "n_envs": 2,
    },
    "timeouts, float64 observations": {
        "env": world(spaces.Box(-1, 1, (2, 2), np.float64), spaces.Discrete(2)),
        "n_envs": 2,
    },
    "images, channels last": {
        "env": world(spaces.Box(0, 255, (36, 40, 3), np.uint8), spaces.Discrete(2)),
        **CNN,
    },
    "images, channels first, hidden layers": {
        "env": world(spaces.Box(0, 255, (1, 36, 36), np.uint8), TIGHT),
        **CNN,
        "policy_kwargs": {"net_arch": {"pi": [5], "vf": []}, "share_features_extractor": False},
    },
    "images, normalised already": {
        "env": world(spaces.Box(-1, 1, (2, 36, 36)), spaces.Discrete(2)),
        **CNN,
        "policy_kwargs": {"normalize_images": False, "ortho_init": False, "activation_fn": nn.ReLU},
    },
    "images, four frames": {
        "env": world(spaces.Box(0, 255, (36, 36, 1), np.uint8), spaces.Discrete(2)),
        **CNN,
        "wrap": lambda env: VecFrameStack(env, n_stack=4),
    },
    "images, transposed by hand, stacked, rewards normalised": {
        "env": world(spaces.Box(0, 255, (36, 38, 3), np.uint8), spaces.Discrete(2)),
        **CNN,
        "wrap": lambda env: VecNormalize(VecFrameStack(VecTransposeImage(env), n_stack=2), norm_obs=False),
    },
    "images, in processes of their own": {
        "env": world(spaces.Box(0, 255, (36, 36, 1), np.uint8), TIGHT),
        **CNN,
        "in_processes": True,
    },
    "images for SB3's own policy": {
        "fused": False,
        "env": world(spaces.Box(0, 255, (36, 36, 1), np.uint8), spaces.Discrete(2)),
        **CNN,
        "policy": PPO.policy_aliases["CnnPolicy"],
    },
    "Dict observations": {
        "env": world(MIXED, spaces.Discrete(2)),
        **DICT,
        "policy_kwargs": {"features_extractor_kwargs": {"cnn_output_dim": 8}},
    },
    "Dict observations, normalised": {
        "env": world(spaces.Dict({"a": VECTOR, "b": spaces.Box(-1, 1, (2, 2))}), TIGHT),
        **DICT,
        "normalize": True,
    },
    "Dict observations, stacked, in processes of their own": {
        "env": world(spaces.Dict({"a": VECTOR, "image": spaces.Box(0, 255, (36, 36, 1), np.uint8)}), TIGHT),
        **DICT,
        "wrap": lambda env: VecFrameStack(VecTransposeImage(env), n_stack=2),
        "in_processes": True,
    },
    "Dict observations for SB3's own policy": {
        "fused": False,
        "env": world(spaces.Dict({"a": VECTOR, "b": spaces.Discrete(3)}), spaces.Discrete(2)),
        **DICT,
        "policy": PPO.policy_aliases["MultiInputPolicy"],
    },
}


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("case", list(CASES))
def test_training_is_sb3s_to_the_bit(case: str) -> None:
    settings = dict(CASES[case])
    can_be_fused = settings.pop("fused", True)
    theirs = train(PPO, **settings)
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
