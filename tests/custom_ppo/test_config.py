from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from custom_ppo.config import InvalidConfigError, PPOConfig, UpdateConfig, constant, value_at


def test_the_defaults_are_sb3s() -> None:
    theirs = inspect.signature(PPO).parameters
    for field in dataclasses.fields(PPOConfig):
        assert field.default == theirs[field.name].default, field.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_size": 1},
            "`batch_size` must be greater than 1 to normalise advantages, got 1: "
            "the standard deviation of one number is undefined",
        ),
        ({"batch_size": 0, "normalize_advantage": False}, "`batch_size` must be at least 1, got 0"),
        ({"batch_size": -8, "normalize_advantage": False}, "`batch_size` must be at least 1, got -8"),
        ({"n_steps": 0}, "`n_steps` must be at least 1, got 0"),
        ({"n_epochs": -1}, "`n_epochs` must be at least 1, got -1"),
        ({"gamma": 3}, "`gamma` must be in [0, 1], got 3"),
        ({"gamma": -0.1}, "`gamma` must be in [0, 1], got -0.1"),
        ({"gae_lambda": 1.01}, "`gae_lambda` must be in [0, 1], got 1.01"),
        ({"gae_lambda": float("nan")}, "`gae_lambda` must be in [0, 1], got nan"),
        ({"clip_range": -1}, "`clip_range` must be at least 0, got -1"),
        ({"max_grad_norm": -0.5}, "`max_grad_norm` must be at least 0, got -0.5"),
        ({"target_kl": -0.01}, "`target_kl` must be at least 0, got -0.01"),
        ({"ent_coef": float("inf")}, "`ent_coef` must be a finite number, got inf"),
        ({"vf_coef": float("nan")}, "`vf_coef` must be a finite number, got nan"),
        (
            {"clip_range_vf": -0.2},
            "`clip_range_vf` must be positive, got -0.2; pass None to leave the value unclipped",
        ),
        ({"clip_range_vf": 0}, "`clip_range_vf` must be positive, got 0; pass None to leave the value unclipped"),
    ],
)
@pytest.mark.parametrize("caught_as", [InvalidConfigError, ValueError, AssertionError])
def test_a_value_that_cannot_train_is_refused(
    arguments: dict[str, Any], message: str, caught_as: type[Exception]
) -> None:
    with pytest.raises(caught_as) as error:
        PPOConfig(**arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "arguments",
    [{"batch_size": 1, "normalize_advantage": False}, {"batch_size": None}, {"clip_range_vf": constant(-1.0)}],
)
def test_unusual_values_that_can_train_are_accepted(arguments: dict[str, Any]) -> None:
    for name, value in arguments.items():
        assert getattr(PPOConfig(**arguments), name) is value


def test_a_config_cannot_be_changed_behind_its_validation() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PPOConfig().n_steps = 0  # type: ignore[misc]


def test_a_schedule_is_called_and_a_constant_is_not() -> None:
    assert value_at(lambda progress: 4 * progress, 0.25) == 1.0
    assert value_at(constant(3.0), 0.25) == 3.0
    assert value_at(3, 0.25) == 3.0


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), lambda _: np.float32(0.5), 1])
def test_a_value_is_always_a_python_float(value: Any) -> None:
    assert type(value_at(value, 1.0)) is float


def test_an_update_gets_plain_numbers_at_its_progress() -> None:
    config = PPOConfig(learning_rate=lambda progress: progress, clip_range=lambda progress: 2 * progress, n_epochs=3)
    numbers = config.at(0.25, beta=4.0)
    assert (numbers.learning_rate, numbers.clip_range, numbers.clip_range_vf, numbers.beta) == (0.25, 0.5, None, 4.0)
    shared = set(UpdateConfig.__dataclass_fields__) - {"learning_rate", "clip_range", "clip_range_vf", "beta"}
    assert all(getattr(numbers, name) == getattr(config, name) for name in shared)
    assert PPOConfig(clip_range_vf=0.5).at(1.0).clip_range_vf == 0.5
