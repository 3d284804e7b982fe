from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from custom_ppo import CustomA2C
from custom_ppo.config import InvalidConfigError
from tests.probe_envs import RandomWorld

BOX = spaces.Box(-1, 1, (3,))


def train(
    algorithm: type[Any],
    action_space: spaces.Space[Any],
    policy: str = "MlpPolicy",
    observation_space: spaces.Space[Any] = BOX,
    n_iterations: int = 30,
    **kwargs: Any,
) -> Any:
    env = make_vec_env(lambda: RandomWorld(observation_space, action_space), n_envs=3, seed=4)
    model = algorithm(policy, env, seed=4, device="cpu", **kwargs)
    model.learn(3 * model.n_steps * n_iterations, log_interval=10)
    env.close()
    return model


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"normalize_advantage": True, "n_steps": 8, "ent_coef": 0.01, "gae_lambda": 0.9},
        {"rms_prop_eps": 1e-3, "max_grad_norm": 0.1},
        {"use_rms_prop": False, "learning_rate": lambda progress: 1e-3 * progress},
        {"policy_kwargs": {"optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": {"alpha": 0.9}}},
        {"policy_kwargs": {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-5}}},
        {"policy_kwargs": {"optimizer_class": RMSpropTFLike}, "use_rms_prop": False},
    ],
    ids=["defaults", "normalised", "eps", "adam", "own optimiser", "TensorFlow's RMSprop", "the same without eps"],
)
@pytest.mark.parametrize("action_space", [spaces.Discrete(3), spaces.Box(-1, 1, (2,))], ids=["discrete", "box"])
def test_it_trains_to_the_bits_of_sb3s_a2c(action_space: spaces.Space[Any], kwargs: dict[str, Any]) -> None:
    theirs, ours = (train(algorithm, action_space, **kwargs) for algorithm in (A2C, CustomA2C))

    assert type(ours.policy.optimizer) is type(theirs.policy.optimizer)
    for name, tensor in theirs.policy.state_dict().items():
        assert torch.equal(tensor, ours.policy.state_dict()[name]), name
    expected, got = (model.logger.name_to_value for model in (theirs, ours))
    assert expected.keys() == got.keys()
    assert {k: v for k, v in got.items() if not k.startswith("time/")} == {
        k: v for k, v in expected.items() if not k.startswith("time/")
    }


@pytest.mark.parametrize("policy", ["CnnPolicy", "MultiInputPolicy"])
def test_its_policies_for_images_and_dicts_are_sb3s(policy: str) -> None:
    image = spaces.Box(0, 255, (36, 36, 1), np.uint8)
    observations = image if policy == "CnnPolicy" else spaces.Dict({"image": image, "vector": BOX})
    theirs, ours = (train(algorithm, spaces.Discrete(3), policy, observations, 4) for algorithm in (A2C, CustomA2C))

    for name, tensor in theirs.policy.state_dict().items():
        assert torch.equal(tensor, ours.policy.state_dict()[name]), name


def test_its_arguments_and_defaults_are_those_of_sb3s_a2c() -> None:
    theirs, ours = (inspect.signature(algorithm).parameters for algorithm in (A2C, CustomA2C))
    shared = [(name, p.default) for name, p in ours.items() if name != "engine"]
    assert shared == [(name, p.default) for name, p in theirs.items()]


class OwnBuffer(RolloutBuffer):
    """A buffer whose methods would be lost."""


def test_a_buffer_class_of_the_user_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"^`rollout_buffer_class` and `rollout_buffer_kwargs` are not taken"):
        CustomA2C("MlpPolicy", "CartPole-v1", rollout_buffer_class=OwnBuffer)


def test_it_is_saved_and_loaded_with_its_recipe(tmp_path: Any) -> None:
    model = train(CustomA2C, spaces.Discrete(3), rms_prop_eps=1e-3)
    model.save(tmp_path / "a2c")

    loaded = CustomA2C.load(tmp_path / "a2c", device="cpu")

    assert loaded.recipe.name == "a2c"
    assert loaded.policy.optimizer.param_groups[0]["eps"] == 1e-3
    for name, tensor in model.policy.state_dict().items():
        assert torch.equal(tensor, loaded.policy.state_dict()[name])
