from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import NatureCNN
from torch import nn

from custom_ppo import CustomPPO
from custom_ppo.sb3 import CnnPolicy, MlpPolicy, MultiInputPolicy
from tests.custom_ppo.sb3.models import BOTH, SMALL, assert_same_weights, make_model
from tests.probe_envs import RandomWorld


@pytest.mark.parametrize("policy", [MlpPolicy, CnnPolicy, MultiInputPolicy])
def test_the_policies_take_what_sb3s_take(policy: type[MlpPolicy]) -> None:
    theirs = inspect.signature(PPO.policy_aliases[policy.__name__]).parameters
    ours = inspect.signature(policy).parameters
    assert [name for name in ours if name != "recipe"] == list(theirs)
    # They stand for SB3's defaults, which are classes of its own.
    own_defaults = ("features_extractor_class", "optimizer_class")
    assert {n: p.default for n, p in theirs.items() if n not in own_defaults} == {
        n: p.default for n, p in ours.items() if n not in (*own_defaults, "recipe")
    }


@pytest.mark.parametrize("policy", ["MlpPolicy", "CnnPolicy", "NoPolicy"])
def test_sb3s_own_complaints_about_a_policy_are_kept(policy: str) -> None:
    messages = []
    for cls in BOTH:
        env = RandomWorld(spaces.Dict({"a": spaces.Box(-1, 1, (2,))}), spaces.Discrete(2))
        with pytest.raises(ValueError) as error:  # noqa: PT011  the messages are compared
            cls(policy, env, **SMALL)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_a_list_around_net_arch_is_understood_as_sb3_understands_it() -> None:
    models = []
    for cls in BOTH:
        with pytest.warns(UserWarning, match="net_arch"):
            models.append(make_model(cls, policy_kwargs={"net_arch": [{"pi": [8], "vf": [4]}]}))
    assert_same_weights(*models)


def test_a_cnn_is_followed_by_no_hidden_layers() -> None:
    env = RandomWorld(spaces.Box(0, 255, (36, 36, 1), np.uint8), spaces.Discrete(2))
    assert_same_weights(*(make_model(cls, env, policy_kwargs={"features_extractor_class": NatureCNN}) for cls in BOTH))


@pytest.mark.parametrize(
    ("env", "kwargs"),
    [
        ("CartPole-v1", {}),
        ("Pendulum-v1", {}),
        ("Pendulum-v1", {"use_sde": True, "policy_kwargs": {"squash_output": True}}),
    ],
    ids=["discrete", "box", "squashed"],
)
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("n", [None, 1, 5])
def test_predictions_are_sb3s(env: str, kwargs: dict[str, Any], deterministic: bool, n: int | None) -> None:
    theirs = make_model(PPO, env, **kwargs).learn(64)
    ours = make_model(CustomPPO, env, **kwargs)
    ours.policy.load_state_dict(theirs.policy.state_dict())
    shape = ours.observation_space.shape if n is None else (n, *ours.observation_space.shape)
    observations = np.random.default_rng(0).uniform(-2, 2, shape).astype(np.float32)
    answers = []
    for model in (ours, theirs):
        model.set_random_seed(2)
        if kwargs:
            model.policy.reset_noise(n or 1)
        actions, state = model.predict(observations, deterministic=deterministic)
        assert state is None
        answers.append(actions)
    np.testing.assert_array_equal(*answers)
    assert answers[0].dtype == answers[1].dtype
    assert type(answers[0]) is type(answers[1])


IMAGES = spaces.Box(0, 255, (40, 36, 3), np.uint8)

OTHER_OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "CnnPolicy": IMAGES,
    "MultiInputPolicy": spaces.Dict({"image": IMAGES, "choice": spaces.Discrete(3), "vector": spaces.Box(-1, 1, (2,))}),
}


def make_for(cls: type[Any], policy: str, **kwargs: Any) -> Any:
    env = make_vec_env(lambda: RandomWorld(OTHER_OBSERVATIONS[policy], spaces.Discrete(3)), n_envs=2, seed=0)
    return make_model(cls, env, policy=policy, **kwargs)


@pytest.mark.parametrize("policy", list(OTHER_OBSERVATIONS))
def test_predictions_of_images_and_dicts_are_sb3s_in_either_order_of_axes(policy: str) -> None:
    ours, theirs = (make_for(cls, policy).learn(32) for cls in BOTH)
    batch = ours.get_env().reset()  # channels first
    one: Any = OTHER_OBSERVATIONS[policy].sample()  # channels last, and no batch
    for observations in (batch, one):
        for deterministic in (True, False):
            answers = []
            for model in (ours, theirs):
                model.set_random_seed(2)
                answers.append(model.predict(observations, deterministic=deterministic)[0])
            np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("policy", list(OTHER_OBSERVATIONS))
def test_policies_for_images_and_dicts_change_hands_with_sb3(policy: str, tmp_path: Path) -> None:
    for source_class, target_class in (BOTH, BOTH[::-1]):
        source = make_for(source_class, policy).learn(32)
        source.save(tmp_path / "source")
        target = make_for(target_class, policy, seed=5)
        target.set_parameters(tmp_path / "source", device="cpu")
        assert_same_weights(target, source)
        loaded = target_class.load(tmp_path / "source", env=source.get_env(), device="cpu")
        assert_same_weights(loaded, source)
        assert loaded.learn(32).num_timesteps == 32


def test_a_policy_can_be_saved_without_its_algorithm(tmp_path: Path) -> None:
    architecture = {"net_arch": {"pi": [8], "vf": [4]}, "activation_fn": nn.ReLU, "share_features_extractor": False}
    policy = make_model(CustomPPO, policy_kwargs=architecture).policy
    policy.save(tmp_path / "policy.pt")
    loaded = MlpPolicy.load(str(tmp_path / "policy.pt"))
    assert not loaded.share_features_extractor
    observations = torch.randn(5, 4)
    assert torch.equal(loaded.predict_values(observations), policy.predict_values(observations))


def test_a_function_that_makes_the_policy_is_accepted_as_by_sb3() -> None:
    def small(cls: type[Any]) -> Any:
        def make_policy(*args: Any, **kwargs: Any) -> Any:
            return cls.policy_aliases["MlpPolicy"](*args, net_arch=[4], **kwargs)

        return make_policy

    weights = [
        cls(small(cls), "CartPole-v1", n_steps=16, batch_size=8, n_epochs=1, seed=0, device="cpu")
        .learn(16)
        .policy.state_dict()
        for cls in (PPO, CustomPPO)
    ]

    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(theirs, ours) for theirs, ours in zip(*(part.values() for part in weights), strict=True))
