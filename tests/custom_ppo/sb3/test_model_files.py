"""Files of CustomPPO: what they hold, and how training goes on from them."""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.env_util import make_vec_env

from custom_ppo import CustomPPO
from tests.custom_ppo.sb3.models import BOTH, assert_same_weights, make_model


def test_a_saved_model_predicts_and_trains_on(tmp_path: Path) -> None:
    model = make_model(CustomPPO, policy_kwargs={"net_arch": [8]}, clip_range=lambda progress: 0.2 * progress).learn(64)
    model.save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", env=gym.make("CartPole-v1"), device="cpu")
    assert_same_weights(loaded, model)
    assert (loaded.num_timesteps, loaded._n_updates, loaded.recipe) == (64, 8, model.recipe)
    observations = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        loaded.predict(observations, deterministic=True)[0], model.predict(observations, deterministic=True)[0]
    )
    for ours, theirs in zip(loaded.policy.optimizer.state.values(), model.policy.optimizer.state.values(), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    loaded.learn(64, reset_num_timesteps=False)
    assert loaded.num_timesteps == 128


def test_a_file_holds_no_rollout_and_no_second_copy_of_the_networks(tmp_path: Path) -> None:
    make_model(CustomPPO).learn(16).save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model.zip") as file:
        saved = json.loads(file.read("data"))
    assert {"agent", "policy", "rollout_buffer"}.isdisjoint(saved)


def test_training_leaves_the_spaces_in_a_file_as_they_were() -> None:
    env = make_vec_env("Pendulum-v1", n_envs=2, seed=0)
    model = CustomPPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0)
    spaces = model.action_space, model.observation_space
    before = [copy.deepcopy(vars(space)) for space in spaces]

    model.learn(64)

    for space, attributes in zip(spaces, before, strict=True):
        np.testing.assert_equal({**vars(space), "_np_random": None}, {**attributes, "_np_random": None})


def test_loading_can_change_the_rollout(tmp_path: Path) -> None:
    make_model(CustomPPO).save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", env=make_vec_env("CartPole-v1", n_envs=2), n_steps=8, device="cpu")
    loaded.learn(16)
    assert loaded.rollout_buffer.rewards.shape == (8, 2)
    assert loaded.num_timesteps == 16


def test_files_change_hands_with_sb3_in_both_directions(tmp_path: Path) -> None:
    for source_class, target_class in (BOTH, BOTH[::-1]):
        source = make_model(source_class).learn(64)
        source.save(tmp_path / "source")
        target = make_model(target_class, seed=5)
        target.set_parameters(tmp_path / "source", device="cpu")
        assert_same_weights(target, source)
        loaded = target_class.load(tmp_path / "source", env=gym.make("CartPole-v1"), device="cpu")
        assert_same_weights(loaded, source)
        trained = []
        for model in (source, target, loaded):
            model.set_env(make_vec_env("CartPole-v1", seed=4))
            model.set_random_seed(6)
            # From the same start: PyTorch's optimisers keep the tensors that they are given, so each gets a copy.
            model.policy.optimizer.load_state_dict(copy.deepcopy(model.policy.optimizer.state_dict()))
            trained.append(model.learn(64))
        for model in trained[1:]:
            assert_same_weights(model, source)


def test_the_penalty_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    model = make_model(CustomPPO, recipe="ppo_penalty", learning_rate=0.0).learn(48)
    model.save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", env=gym.make("CartPole-v1"), device="cpu")
    assert loaded.beta == model.beta == 0.125
    loaded.learn(16, reset_num_timesteps=False)
    assert loaded.beta == 0.0625


def test_parameters_have_sb3s_names() -> None:
    ours, theirs = (make_model(cls).get_parameters() for cls in BOTH)
    assert set(ours) == set(theirs) == {"policy", "policy.optimizer"}
    assert list(ours["policy"]) == list(theirs["policy"])
