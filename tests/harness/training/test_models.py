from __future__ import annotations

from typing import Any

import pytest
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env

from custom_ppo.recipe import PPO_PENALTY
from harness.errors import ConfigError
from harness.training.models import LinearSchedule, build_model, constructor_arguments
from tests.harness.toy_subjects import tiny_spec


def build(algo: str = "ppo", **hyperparams: Any) -> Any:
    env = make_vec_env("CartPole-v1", n_envs=2)
    return build_model(tiny_spec(algo, seed=5, **hyperparams), env)


def test_the_model_has_the_hyperparameters_of_the_spec_and_its_seed() -> None:
    model = build(gamma=0.5, learning_rate=0.01)

    assert (model.gamma, model.n_steps, model.batch_size, model.n_epochs, model.seed) == (0.5, 64, 64, 2, 5)
    assert model.lr_schedule(0.3) == 0.01
    assert model.device == torch.device("cpu")


def test_a_linear_schedule_falls_to_zero() -> None:
    model = build(clip_range="lin_0.2")

    assert [model.clip_range(remaining) for remaining in (1.0, 0.5, 0.0)] == [0.2, 0.1, 0.0]


def test_a_model_with_a_schedule_can_be_saved(tmp_path: Any) -> None:
    build(learning_rate="lin_0.001").save(tmp_path / "model")

    assert type(build()).load(tmp_path / "model").learning_rate == LinearSchedule(0.001)


def test_names_in_policy_kwargs_become_classes() -> None:
    model = build(policy_kwargs="dict(activation_fn=nn.ReLU, net_arch=dict(pi=[8], vf=[4]))")

    assert isinstance(model.policy.mlp_extractor.policy_net[1], torch.nn.ReLU)
    assert model.policy.mlp_extractor.value_net[0].out_features == 4


def test_a_buffer_class_and_a_policy_class_are_imported() -> None:
    arguments = constructor_arguments(
        tiny_spec(rollout_buffer_class="RolloutBuffer", policy="stable_baselines3.common.policies.ActorCriticPolicy")
    )

    assert arguments["rollout_buffer_class"] is RolloutBuffer
    assert arguments["policy"].__name__ == "ActorCriticPolicy"


def test_keys_of_the_environment_are_not_arguments_of_the_algorithm() -> None:
    spec = tiny_spec(normalize=True, frame_stack=2, env_kwargs={"a": 1}, policy=None)

    assert constructor_arguments(spec) == {"policy": "MlpPolicy", "n_steps": 64, "batch_size": 64, "n_epochs": 2}


def test_a_recipe_is_named_by_its_preset() -> None:
    assert build("custom_ppo", recipe="ppo_penalty").recipe is PPO_PENALTY

    with pytest.raises(ValueError, match=r"^there is no recipe 'ppo_penality', did you mean 'ppo_penalty'\?$"):
        build("custom_ppo", recipe="ppo_penality")


def test_an_argument_that_the_constructor_lacks_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        build("a2c", n_epochs=None, batch_size=None, clip_rnage=0.1, gae_lamda=0.9)

    assert str(error.value) == "a2c on CartPole-v1: A2C has no argument clip_rnage"

    with pytest.raises(ConfigError) as error:
        build(gae_lamda=0.9)

    assert str(error.value) == "ppo on CartPole-v1: PPO has no argument gae_lamda, did you mean gae_lambda?"
