"""Models on two environments, made by SB3 or by custom_ppo, for tests in which one side takes over the other's."""

from __future__ import annotations

from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from custom_ppo import CustomPPO

DIRECTIONS = {"from SB3": (PPO, CustomPPO), "to SB3": (CustomPPO, PPO)}


def make_on_two_envs(cls: type[Any], env: Any = "CartPole-v1", policy: Any = "MlpPolicy", **kwargs: Any) -> Any:
    """Return an untrained model; an id or a function that makes environments is put on two of them."""
    if isinstance(env, str) or callable(env):
        env = make_vec_env(env, n_envs=2, seed=0)
    return cls(policy, env, **{"n_steps": 16, "seed": 0, "device": "cpu", **kwargs})


def make_ppo_on_two_envs(cls: type[Any], env: Any = "CartPole-v1", **kwargs: Any) -> Any:
    return make_on_two_envs(cls, env, **{"batch_size": 16, "n_epochs": 2, **kwargs})


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.numpy().copy() for name, tensor in model.policy.state_dict().items()}
