from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from stable_baselines3.common.env_util import make_vec_env

from harness.training.evaluation import dynamics
from harness.training.evaluation.dynamics import CartPoles, InvertedDoublePendulums, Pendulums, dynamics_of

KNOWN = [("CartPole-v1", CartPoles), ("Pendulum-v1", Pendulums), ("InvertedDoublePendulum-v5", InvertedDoublePendulums)]


def envs_of(env_id: str, **kwargs: Any) -> list[gym.Env[Any, Any]]:
    env: Any = make_vec_env(env_id, 2, env_kwargs=kwargs)
    env.reset()
    env.step(np.zeros((2, *env.action_space.shape), env.action_space.dtype))
    envs: list[gym.Env[Any, Any]] = env.envs
    return envs


@pytest.fixture(autouse=True)
def _no_earlier_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "_verdicts", {})


@pytest.mark.parametrize(("env_id", "expected"), KNOWN)
def test_thousands_of_steps_have_the_bits_of_gymnasium(
    env_id: str, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamics, "N_CHECKED_STEPS", 3000)

    assert dynamics_of(envs_of(env_id)) is expected


@pytest.mark.parametrize(("env_id", "kwargs"), [("Pendulum-v1", {"g": 9.81}), (KNOWN[2][0], {"frame_skip": 2})])
def test_options_of_an_environment_are_taken_over(env_id: str, kwargs: dict[str, Any]) -> None:
    assert dynamics_of(envs_of(env_id, **kwargs)) is not None


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [("CartPole-v1", {"sutton_barto_reward": True}), ("Acrobot-v1", {}), ("InvertedPendulum-v5", {})],
)
def test_other_environments_and_options_are_unknown(env_id: str, kwargs: dict[str, Any]) -> None:
    assert dynamics_of(envs_of(env_id, **kwargs)) is None


def test_other_equations_in_gymnasium_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    step = CartPoleEnv.step

    def other(self: Any, action: Any) -> Any:
        observation, *rest = step(self, action)
        return np.nextafter(observation, np.float32(9)), *rest

    monkeypatch.setattr(CartPoleEnv, "step", other)

    assert dynamics_of(envs_of("CartPole-v1")) is None


def test_an_environment_with_a_wrapped_method_is_unknown() -> None:
    envs = envs_of("CartPole-v1")
    inside: Any = envs[0].unwrapped
    inside.step = inside.step

    assert dynamics_of(envs) is None
