"""Files and models that change sides between SB3 and custom_ppo predict and train on alike."""

from __future__ import annotations

import copy
import io
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from custom_ppo import CustomA2C, CustomPPO
from custom_ppo.engines import FusedEngine
from custom_ppo.recipe import SB3_A2C, SB3_PPO
from custom_ppo.sb3 import MlpPolicy
from tests.custom_ppo.sb3.exchanged_models import DIRECTIONS, make_on_two_envs, make_ppo_on_two_envs, weights
from tests.probe_envs import RandomWorld

N_OBSERVATIONS = 1000

IMAGE = spaces.Box(0, 255, (36, 36, 1), np.uint8)

DICT = spaces.Dict({"image": IMAGE, "vector": spaces.Box(-1, 1, (3,)), "choice": spaces.Discrete(3)})


def world(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> Callable[[], gym.Env[Any, Any]]:
    """Makes worlds; spaces are copied, as they carry generators."""
    return lambda: RandomWorld(copy.deepcopy(observations), copy.deepcopy(actions))


CASES: dict[str, dict[str, Any]] = {
    "CartPole": {"env": "CartPole-v1", "learning_rate": lambda progress: 1e-2 * progress, "clip_range_vf": 0.2},
    "Pendulum": {
        "env": "Pendulum-v1",
        "policy_kwargs": {"net_arch": {"pi": [8], "vf": [16, 8]}, "activation_fn": nn.ReLU},
        "target_kl": 0.01,
    },
    "Pendulum, gSDE": {
        "env": "Pendulum-v1",
        "use_sde": True,
        "policy_kwargs": {"squash_output": True, "full_std": False, "optimizer_kwargs": {"betas": (0.8, 0.9)}},
    },
    "Discrete observations": {"env": world(spaces.Discrete(5), spaces.MultiDiscrete([2, 3]))},
    "images": {"env": world(IMAGE, spaces.Discrete(2)), "policy": "CnnPolicy"},
    "Dict observations": {"env": world(DICT, spaces.Box(-1, 1, (2,))), "policy": "MultiInputPolicy"},
}

CAN_BE_NORMALIZED = ("CartPole", "Pendulum", "Pendulum, gSDE")
"""Observations that stand for themselves; of the others, rewards alone can be normalised."""


def optimizer(model: Any) -> Any:
    return copy.deepcopy(model.policy.optimizer.state_dict())


def global_randomness() -> list[Any]:
    return [torch.get_rng_state().numpy(), np.random.get_state(), random.getstate()]  # noqa: NPY002


def observations_of(space: spaces.Space[Any]) -> Any:
    """A batch of what this space holds: the same one for equal spaces."""
    if isinstance(space, spaces.Dict):
        return {key: observations_of(part) for key, part in space.items()}
    sampled = copy.deepcopy(space)
    sampled.seed(0)
    return np.stack([sampled.sample() for _ in range(N_OBSERVATIONS)])


def predictions(model: Any, observations: Any = None) -> list[Any]:
    """Deterministic and sampled actions, and values, for many observations, the same ones for equal spaces."""
    if observations is None:
        observations = observations_of(model.observation_space)
    torch.manual_seed(1)
    if model.use_sde:
        model.policy.reset_noise(N_OBSERVATIONS)
    with torch.no_grad():
        values = model.policy.predict_values(model.policy.obs_to_tensor(observations)[0]).numpy()
    answers = [model.predict(observations, deterministic=flag)[0] for flag in (True, False)]
    assert len(values) == len(answers[0]) == N_OBSERVATIONS
    return [*answers, values, torch.get_rng_state().numpy()]


def trained_further(model: Any, env: Any) -> Any:
    """Train a model further, in new environments and with equal random numbers for all callers."""
    model.set_env(make_vec_env(env, n_envs=2, seed=4))
    model.set_random_seed(5)
    return model.learn(64, reset_num_timesteps=False)


def assert_same_training(ours: Any, theirs: Any) -> None:
    np.testing.assert_equal(weights(ours), weights(theirs))
    for left, right in zip(*(optimizer(model)["state"].values() for model in (ours, theirs)), strict=True):
        assert all(torch.equal(left[name], right[name]) for name in right)
    for name in ("num_timesteps", "_n_updates", "_current_progress_remaining", "n_steps", "batch_size", "n_epochs"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for schedule in ("lr_schedule", "clip_range"):
        assert getattr(ours, schedule)(0.7) == getattr(theirs, schedule)(0.7)


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_a_file_predicts_and_trains_alike_in_both_libraries(direction: str, case: str, tmp_path: Path) -> None:
    source_class, target_class = DIRECTIONS[direction]
    source = make_ppo_on_two_envs(source_class, **CASES[case]).learn(64)
    source.save(tmp_path / "model")
    target = target_class.load(tmp_path / "model", device="cpu")
    assert type(target) is target_class
    np.testing.assert_equal(predictions(target), predictions(source))
    assert_same_training(target, source)
    env = CASES[case]["env"]
    assert_same_training(trained_further(target, env), trained_further(source, env))


def test_a_file_of_sb3_gets_the_policy_that_can_be_fused(tmp_path: Path) -> None:
    make_ppo_on_two_envs(PPO).save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", device="cpu")
    assert loaded.policy_class is type(loaded.policy) is MlpPolicy
    assert isinstance(loaded.agent.engine, FusedEngine)


def test_a_file_of_ours_gets_sb3s_policy(tmp_path: Path) -> None:
    make_ppo_on_two_envs(CustomPPO).save(tmp_path / "model")
    loaded = PPO.load(tmp_path / "model", device="cpu")
    assert loaded.policy_class is type(loaded.policy) is ActorCriticPolicy


@pytest.mark.parametrize("policy", ["CnnPolicy", "MultiInputPolicy"])
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_policies_for_images_and_dictionaries_are_the_other_librarys(
    policy: str, direction: str, tmp_path: Path
) -> None:
    source_class, target_class = DIRECTIONS[direction]
    case = next(case for case in CASES.values() if case.get("policy") == policy)
    make_ppo_on_two_envs(source_class, **case).save(tmp_path / "model")
    loaded = target_class.load(tmp_path / "model", device="cpu")
    assert type(loaded.policy) is target_class.policy_aliases[policy]


@pytest.mark.parametrize("case", CAN_BE_NORMALIZED)
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_a_file_and_that_of_vecnormalize_predict_alike_from_raw_observations(
    direction: str, case: str, tmp_path: Path
) -> None:
    source_class, target_class = DIRECTIONS[direction]
    env = VecNormalize(make_vec_env(CASES[case]["env"], n_envs=2, seed=0))
    source = make_ppo_on_two_envs(source_class, **{**CASES[case], "env": env}).learn(64)
    source.save(tmp_path / "model")
    env.save(str(tmp_path / "normalize.pkl"))
    raw = observations_of(source.observation_space)
    expected = predictions(source, env.normalize_obs(raw))

    loaded_env = VecNormalize.load(str(tmp_path / "normalize.pkl"), make_vec_env(CASES[case]["env"], n_envs=2))
    target = target_class.load(tmp_path / "model", env=loaded_env, device="cpu")

    assert target.get_vec_normalize_env() is loaded_env
    np.testing.assert_equal(predictions(target, loaded_env.normalize_obs(raw)), expected)
    with np.testing.assert_raises(AssertionError):  # or the statistics would not matter
        np.testing.assert_equal(predictions(target, raw), expected)


class OwnPolicy(ActorCriticCnnPolicy):
    """A policy that neither library has an equal of."""


@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_other_policy_classes_stay_what_they_are(direction: str, tmp_path: Path) -> None:
    source_class, target_class = DIRECTIONS[direction]
    source = make_ppo_on_two_envs(source_class, RandomWorld(IMAGE, spaces.Discrete(2)), policy=OwnPolicy)
    source.save(tmp_path / "model")
    assert type(target_class.load(tmp_path / "model", device="cpu").policy) is OwnPolicy


def test_sb3_reads_our_files_where_custom_ppo_is_not_installed(tmp_path: Path) -> None:
    model = make_ppo_on_two_envs(CustomPPO).learn(64)
    model.save(tmp_path / "model")
    code = (
        "import sys; sys.modules['custom_ppo'] = None; from stable_baselines3 import PPO\n"
        f"model = PPO.load({str(tmp_path / 'model')!r}, device='cpu')\n"
        "print(model.num_timesteps, repr(model.policy.value_net.bias.item()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["64", repr(model.policy.value_net.bias.item())], done.stderr


def test_recipe_and_engine_survive_a_file(tmp_path: Path) -> None:
    recipe = SB3_PPO.replace(name="mine", policy_loss=SB3_A2C.policy_loss)
    make_ppo_on_two_envs(CustomPPO, recipe=recipe, engine="autograd").save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", device="cpu")
    assert (loaded.recipe, loaded.engine, loaded.policy_class) == (recipe, "autograd", MlpPolicy)


def test_a_file_object_is_read_and_stays_open() -> None:
    file = io.BytesIO()
    make_ppo_on_two_envs(CustomPPO).learn(32).save(file)
    assert CustomPPO.load(file, device="cpu").num_timesteps == 32
    assert not file.closed


def test_attributes_can_be_left_out_of_a_file(tmp_path: Path) -> None:
    model = make_ppo_on_two_envs(CustomPPO).learn(32)
    model.save(tmp_path / "model", exclude=["num_timesteps"])
    assert CustomPPO.load(tmp_path / "model", device="cpu").num_timesteps == 0


def test_custom_objects_replace_what_is_in_a_file(tmp_path: Path) -> None:
    make_ppo_on_two_envs(CustomPPO).save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", device="cpu", custom_objects={"gamma": 0.5})
    assert loaded.gamma == 0.5


@pytest.mark.parametrize(("source_class", "target_class"), [(A2C, CustomA2C), (CustomA2C, CustomA2C)])
def test_a2cs_files_train_on_alike(source_class: type[Any], target_class: type[Any], tmp_path: Path) -> None:
    source = make_on_two_envs(source_class).learn(64)
    source.save(tmp_path / "model")
    target = target_class.load(tmp_path / "model", device="cpu")
    np.testing.assert_equal(predictions(target), predictions(source))
    ours, theirs = (trained_further(model, "CartPole-v1") for model in (target, source))
    np.testing.assert_equal(weights(ours), weights(theirs))


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_a_model_changes_sides_with_all_it_has(direction: str, case: str) -> None:
    source_class, target_class = DIRECTIONS[direction]
    settings = CASES[case]
    env = VecNormalize(make_vec_env(settings["env"], n_envs=2), norm_obs=case in CAN_BE_NORMALIZED)
    source = make_ppo_on_two_envs(source_class, **{**settings, "env": env})
    source.learn(64)
    before = global_randomness()
    target = source.to_sb3() if target_class is PPO else CustomPPO.from_sb3(source)
    np.testing.assert_equal(global_randomness(), before)
    assert type(target) is target_class
    assert target.env is source.env
    assert target.get_vec_normalize_env() is source.get_vec_normalize_env()
    np.testing.assert_equal(target._last_obs, source._last_obs)
    assert_same_training(target, source)
    np.testing.assert_equal(predictions(target), predictions(source))
    assert_same_training(trained_further(target, settings["env"]), trained_further(source, settings["env"]))


def test_a_model_that_changed_sides_has_weights_of_its_own() -> None:
    source = make_ppo_on_two_envs(CustomPPO).learn(32)
    before = weights(source)
    source.to_sb3().learn(32)
    np.testing.assert_equal(weights(source), before)


def test_environments_are_not_seeded_anew_by_a_change_of_sides() -> None:
    source = make_ppo_on_two_envs(CustomPPO).learn(32)
    source.to_sb3()
    assert source.env.unwrapped._seeds == [None, None]


def test_an_a2c_changes_sides() -> None:
    source = make_on_two_envs(A2C).learn(64)
    target = CustomA2C.from_sb3(source)
    np.testing.assert_equal(weights(target), weights(source))
