"""Arguments of CustomPPO: those of SB3's PPO are taken, and mistakes are refused where they are made."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import FloatSchedule

from custom_ppo import CustomPPO
from custom_ppo.config import InvalidConfigError
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.recipe import SB3_A2C
from tests.custom_ppo.sb3.models import BOTH, SMALL, make_model
from tests.probe_envs import RandomWorld


def test_the_arguments_are_those_of_sb3s_ppo() -> None:
    ours, theirs = (inspect.signature(cls).parameters for cls in BOTH)
    assert [name for name in ours if name not in ("recipe", "engine")] == list(theirs)
    for name in theirs:
        assert ours[name].default == theirs[name].default, name
        assert ours[name].kind == theirs[name].kind, name


class HalvedBuffer(RolloutBuffer):
    """A buffer of the user, whose methods would be lost."""

    def add(self, obs: Any, action: Any, reward: Any, *rest: Any) -> None:
        super().add(obs, action, reward / 2, *rest)


@pytest.mark.parametrize("method", ["learn", "predict", "save", "load", "set_parameters", "get_parameters", "set_env"])
def test_the_methods_take_what_sb3s_take(method: str) -> None:
    ours, theirs = (inspect.signature(getattr(cls, method)).parameters for cls in BOTH)
    assert {name: p.default for name, p in ours.items()} == {name: p.default for name, p in theirs.items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"n_steps": 1},
            "`n_steps * n_envs` must be greater than 1 to normalise advantages, got n_steps=1 and n_envs=1",
        ),
        ({"n_epochs": 0}, "`n_epochs` must be at least 1, got 0"),
        ({"clip_range_vf": -1}, "`clip_range_vf` must be positive, got -1; pass None to leave the value unclipped"),
        (
            {"policy_kwargs": {"squash_output": True}},
            "squash_output=True is only available when using gSDE (use_sde=True)",
        ),
        (
            {"recipe": SB3_A2C, "policy_kwargs": {"optimizer_kwargs": {"eps": 0.1}}},
            "`optimizer_kwargs` needs an `optimizer_class`: the recipe has an optimiser of its own",
        ),
        (
            {"rollout_buffer_class": HalvedBuffer},
            "`rollout_buffer_class` and `rollout_buffer_kwargs` are not taken, as the memory is a part of this "
            "algorithm: for other advantages pass recipe=SB3_PPO.replace(advantages=...), for another memory set "
            "`model.rollout_buffer` to a subclass of custom_ppo.memory.TrajectoryMemory",
        ),
        ({"recipe": "ppo_penlaty"}, "there is no recipe 'ppo_penlaty', did you mean 'ppo_penalty'?"),
        (
            {"policy": "CnnPolicy"},
            "a CNN needs images: a Box of three axes, uint8, from 0 to 255, got Box([-4.8 -inf -0.41887903 -inf], "
            "[4.8 inf 0.41887903 inf], (4,), float32); use 'MlpPolicy', "
            "or normalize_images=False where images are normalised already",
        ),
        (
            {"recipe": SB3_A2C, "policy": ActorCriticPolicy},
            "the recipe has its own optimizer, but ActorCriticPolicy brings one with it; use 'MlpPolicy'",
        ),
    ],
)
def test_a_mistake_is_reported_where_it_is_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as error:
        CustomPPO(**{"policy": "MlpPolicy", "env": "CartPole-v1", **SMALL, **arguments})
    assert str(error.value) == message


def test_empty_arguments_of_a_buffer_are_no_arguments() -> None:
    assert make_model(CustomPPO, rollout_buffer_kwargs={}).learn(16).num_timesteps == 16


class HalvedRewards(TrajectoryMemory):
    def add(self, observations: Any, actions: Any, rewards: Any, *rest: Any) -> None:
        super().add(observations, actions, rewards / 2, *rest)


def test_another_memory_may_be_set_as_the_message_says() -> None:
    model = make_model(CustomPPO)
    model.rollout_buffer = HalvedRewards(16, 1, model.observation_space, model.action_space)
    model.learn(16)
    assert model.rollout_buffer.rewards.tolist() == [[0.5]] * 16


def complaint(cls: type[Any], sizes: dict[str, Any]) -> list[Any]:
    """Return the kinds of warnings of a constructor for these numbers, and whether it asserts."""
    n_envs = sizes.pop("n_envs", 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            make_model(cls, make_vec_env("CartPole-v1", n_envs=n_envs), **sizes)
        except AssertionError:
            return ["asserts"]
    # A collection of garbage in this moment reports files that an earlier test left open.
    return [warning.category for warning in caught if warning.category is not ResourceWarning]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"n_steps": 16, "batch_size": 16}, []),
        ({"n_steps": 16, "batch_size": 1}, ["asserts"]),
        ({"n_steps": 1, "batch_size": 2}, ["asserts"]),
        ({"n_steps": 1, "batch_size": 2, "n_envs": 2}, []),
        ({"n_steps": 1, "batch_size": 1, "normalize_advantage": False}, []),
        ({"n_steps": 10, "batch_size": 1, "normalize_advantage": False}, []),
        ({"n_steps": 10, "batch_size": 4}, [UserWarning]),
        ({"n_steps": 10, "batch_size": 4, "n_envs": 2}, []),
        ({"n_steps": 10, "batch_size": 3, "n_envs": 2}, [UserWarning]),
        ({"n_steps": 10, "batch_size": 64}, [UserWarning]),
        ({"n_steps": 10, "batch_size": 4, "normalize_advantage": False}, [UserWarning]),
        ({"clip_range_vf": 0.0}, ["asserts"]),
        ({"clip_range_vf": -0.1}, ["asserts"]),
        ({"clip_range_vf": FloatSchedule(0.1)}, []),
    ],
    ids=str,
)
def test_wrong_sizes_are_refused_or_warned_about_where_sb3_does(sizes: dict[str, Any], expected: list[Any]) -> None:
    assert [complaint(cls, dict(sizes)) for cls in BOTH] == [expected, expected]


def refusal_of(act: Callable[[Any], Any], model: Any) -> tuple[type[Exception], str] | None:
    try:
        act(model)
    except Exception as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize(
    "act",
    [
        lambda model: model.predict(np.zeros(3, np.float32)),
        lambda model: model.predict(np.zeros((2, 5), np.float32)),
        lambda model: model.predict({"a": np.zeros(4, np.float32)}),
        lambda model: model.predict(np.zeros((1, 1, 4), np.float32)),
        lambda model: model.set_env(make_vec_env("CartPole-v1", n_envs=3)),
        lambda model: model.set_env(make_vec_env("Pendulum-v1", n_envs=2)),
        lambda model: model.set_parameters({"policy": {}, "policy.optimizer": {}}),
        lambda model: model.set_parameters({"policies": {}}),
        lambda model: make_model(type(model), "MountainCarContinuous-v0", use_sde=False, policy="CnnPolicyy"),
        lambda model: make_model(type(model), RandomWorld(spaces.Box(-1, 1, (2,)), spaces.Box(-1, np.inf, (2,)))),
        lambda model: make_model(
            type(model),
            RandomWorld(spaces.Box(-1, 1, (2,)), spaces.Dict({"a": spaces.Discrete(2)})),
            policy="MlpPolicy",
        ),
        lambda model: make_model(type(model), use_sde=True),
    ],
    ids=[
        *("short observation", "long observations", "Dict observation", "three axes"),
        *("another number of environments", "other spaces", "no weights", "unknown names"),
        *("unknown policy", "unbounded actions", "Dict actions", "gSDE for Discrete actions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_sb3s_words(act: Callable[[Any], Any]) -> None:
    ours, theirs = (refusal_of(act, make_model(cls, make_vec_env("CartPole-v1", n_envs=2, seed=0))) for cls in BOTH)
    assert ours is not None
    words = ours[1].replace("CustomPPO", "PPO").replace("for MlpPolicy", "for ActorCriticPolicy")
    assert (ours[0], words) == theirs
