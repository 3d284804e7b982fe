"""Small models of CustomPPO and of SB3's PPO, and the comparison of their weights."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from custom_ppo import CustomPPO

BOTH = (CustomPPO, PPO)

SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "seed": 0, "device": "cpu"}


def make_model(cls: type[Any], env: Any = "CartPole-v1", **kwargs: Any) -> Any:
    """Return an untrained model of this class, with rollouts so short that a test sees several of them."""
    return cls(**{"policy": "MlpPolicy", "env": env, **SMALL, **kwargs})


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}


def assert_same_weights(ours: Any, theirs: Any) -> None:
    for name, expected in weights(theirs).items():
        assert torch.equal(weights(ours)[name], expected), name


def trained(cls: type[Any], env: Any = "CartPole-v1", **settings: Any) -> Any:
    """Return a model of this class after 32 steps, with the policy that fits the observations of env."""
    given: dict[str, Any] = {"n_steps": 16, "batch_size": 8, "n_epochs": 2, "seed": 0, "device": "cpu", **settings}
    policy = "MultiInputPolicy" if isinstance(getattr(env, "observation_space", None), spaces.Dict) else "MlpPolicy"
    return cls(policy, env, **given).learn(32)
