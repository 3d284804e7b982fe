from __future__ import annotations

import base64
import copy
import io
import json
import random
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import TRPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from custom_ppo import CustomA2C, CustomPPO, Recipe
from custom_ppo.config import InvalidConfigError
from custom_ppo.engines import FusedEngine
from custom_ppo.recipe import SB3_A2C, SB3_PPO
from custom_ppo.sb3 import MlpPolicy, ModelFileError
from tests.probe_envs import RandomWorld

DIRECTIONS = {"from SB3": (PPO, CustomPPO), "to SB3": (CustomPPO, PPO)}
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


def make(cls: type[Any], env: Any = "CartPole-v1", policy: Any = "MlpPolicy", **kwargs: Any) -> Any:
    if isinstance(env, str) or callable(env):
        env = make_vec_env(env, n_envs=2, seed=0)
    return cls(policy, env, **{"n_steps": 16, "seed": 0, "device": "cpu", **kwargs})


def make_ppo(cls: type[Any], env: Any = "CartPole-v1", **kwargs: Any) -> Any:
    return make(cls, env, **{"batch_size": 16, "n_epochs": 2, **kwargs})


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.numpy().copy() for name, tensor in model.policy.state_dict().items()}


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


# Files


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_a_file_predicts_and_trains_alike_in_both_libraries(direction: str, case: str, tmp_path: Path) -> None:
    source_class, target_class = DIRECTIONS[direction]
    source = make_ppo(source_class, **CASES[case]).learn(64)
    source.save(tmp_path / "model")
    target = target_class.load(tmp_path / "model", device="cpu")
    assert type(target) is target_class
    np.testing.assert_equal(predictions(target), predictions(source))
    assert_same_training(target, source)
    env = CASES[case]["env"]
    assert_same_training(trained_further(target, env), trained_further(source, env))


def test_a_file_of_sb3_gets_the_policy_that_can_be_fused(tmp_path: Path) -> None:
    make_ppo(PPO).save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", device="cpu")
    assert loaded.policy_class is type(loaded.policy) is MlpPolicy
    assert isinstance(loaded.agent.engine, FusedEngine)


def test_a_file_of_ours_gets_sb3s_policy(tmp_path: Path) -> None:
    make_ppo(CustomPPO).save(tmp_path / "model")
    loaded = PPO.load(tmp_path / "model", device="cpu")
    assert loaded.policy_class is type(loaded.policy) is ActorCriticPolicy


@pytest.mark.parametrize("policy", ["CnnPolicy", "MultiInputPolicy"])
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_policies_for_images_and_dictionaries_are_the_other_librarys(
    policy: str, direction: str, tmp_path: Path
) -> None:
    source_class, target_class = DIRECTIONS[direction]
    case = next(case for case in CASES.values() if case.get("policy") == policy)
    make_ppo(source_class, **case).save(tmp_path / "model")
    loaded = target_class.load(tmp_path / "model", device="cpu")
    assert type(loaded.policy) is target_class.policy_aliases[policy]


@pytest.mark.parametrize("case", CAN_BE_NORMALIZED)
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_a_file_and_that_of_vecnormalize_predict_alike_from_raw_observations(
    direction: str, case: str, tmp_path: Path
) -> None:
    source_class, target_class = DIRECTIONS[direction]
    env = VecNormalize(make_vec_env(CASES[case]["env"], n_envs=2, seed=0))
    source = make_ppo(source_class, **{**CASES[case], "env": env}).learn(64)
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
    source = make_ppo(source_class, RandomWorld(IMAGE, spaces.Discrete(2)), policy=OwnPolicy)
    source.save(tmp_path / "model")
    assert type(target_class.load(tmp_path / "model", device="cpu").policy) is OwnPolicy


def test_sb3_reads_our_files_where_custom_ppo_is_not_installed(tmp_path: Path) -> None:
    model = make_ppo(CustomPPO).learn(64)
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
    make_ppo(CustomPPO, recipe=recipe, engine="autograd").save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", device="cpu")
    assert (loaded.recipe, loaded.engine, loaded.policy_class) == (recipe, "autograd", MlpPolicy)


def test_a_file_object_is_read_and_stays_open() -> None:
    file = io.BytesIO()
    make_ppo(CustomPPO).learn(32).save(file)
    assert CustomPPO.load(file, device="cpu").num_timesteps == 32
    assert not file.closed


def test_attributes_can_be_left_out_of_a_file(tmp_path: Path) -> None:
    model = make_ppo(CustomPPO).learn(32)
    model.save(tmp_path / "model", exclude=["num_timesteps"])
    assert CustomPPO.load(tmp_path / "model", device="cpu").num_timesteps == 0


def test_custom_objects_replace_what_is_in_a_file(tmp_path: Path) -> None:
    make_ppo(CustomPPO).save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", device="cpu", custom_objects={"gamma": 0.5})
    assert loaded.gamma == 0.5


@pytest.mark.parametrize(("source_class", "target_class"), [(A2C, CustomA2C), (CustomA2C, CustomA2C)])
def test_a2cs_files_train_on_alike(source_class: type[Any], target_class: type[Any], tmp_path: Path) -> None:
    source = make(source_class).learn(64)
    source.save(tmp_path / "model")
    target = target_class.load(tmp_path / "model", device="cpu")
    np.testing.assert_equal(predictions(target), predictions(source))
    ours, theirs = (trained_further(model, "CartPole-v1") for model in (target, source))
    np.testing.assert_equal(weights(ours), weights(theirs))


# Models


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_a_model_changes_sides_with_all_it_has(direction: str, case: str) -> None:
    source_class, target_class = DIRECTIONS[direction]
    settings = CASES[case]
    env = VecNormalize(make_vec_env(settings["env"], n_envs=2), norm_obs=case in CAN_BE_NORMALIZED)
    source = make_ppo(source_class, **{**settings, "env": env})
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
    source = make_ppo(CustomPPO).learn(32)
    before = weights(source)
    source.to_sb3().learn(32)
    np.testing.assert_equal(weights(source), before)


def test_environments_are_not_seeded_anew_by_a_change_of_sides() -> None:
    source = make_ppo(CustomPPO).learn(32)
    source.to_sb3()
    assert source.env.unwrapped._seeds == [None, None]


def test_an_a2c_changes_sides() -> None:
    source = make(A2C).learn(64)
    target = CustomA2C.from_sb3(source)
    np.testing.assert_equal(weights(target), weights(source))


# Refusals


@pytest.mark.parametrize("part", ["policy_loss", "optimizer"])
def test_a_recipe_that_sb3_does_not_have_is_named(part: str, tmp_path: Path) -> None:
    model = make_ppo(CustomPPO, recipe=SB3_PPO.replace(name="mine", **{part: getattr(SB3_A2C, part)}))
    with pytest.raises(InvalidConfigError) as error:
        model.to_sb3()
    assert str(error.value) == f"the recipe 'mine' has its own {part}, which SB3's PPO cannot express"
    model.save(tmp_path / "model")
    with pytest.raises(InvalidConfigError) as error:
        PPO.load(tmp_path / "model", device="cpu")
    assert str(error.value) == (
        f"this model was trained by a recipe with its own {part}, which SB3 does not have: "
        "load it with the class of custom_ppo that saved it"
    )


def test_a_file_whose_recipe_cannot_be_read_is_refused(tmp_path: Path) -> None:
    make_ppo(CustomPPO, recipe="ppo_penalty").save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["data"])
    data["recipe"][":serialized:"] = base64.b64encode(
        b"\x80\x04ccustom_ppo.recipe\na_part_that_was_renamed\n."
    ).decode()
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        for name, content in {**members, "data": json.dumps(data).encode()}.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFileError, match="other: needs code that is not here: Could not deserialize object recipe"):
        CustomPPO.load(tmp_path / "other", device="cpu")


def test_the_name_of_a_recipe_alone_is_no_difference() -> None:
    assert isinstance(make_ppo(CustomPPO, recipe=Recipe(name="mine")).to_sb3(), PPO)


class OwnTrain(PPO):
    def train(self) -> None:
        super().train()


class OwnBuffer(RolloutBuffer):
    pass


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: make(A2C), "CustomPPO.from_sb3() takes a model of SB3's PPO, got A2C"),
        (lambda: make_ppo(OwnTrain), "OwnTrain has its own train(), which would be lost"),
        (
            lambda: make_ppo(PPO, rollout_buffer_class=OwnBuffer),
            "PPO has its own rollout_buffer_class, which would be lost",
        ),
    ],
)
def test_a_model_that_would_lose_something_is_refused(model: Any, message: str) -> None:
    with pytest.raises(InvalidConfigError) as error:
        CustomPPO.from_sb3(model())
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("saved", "loader", "reason"),
    [
        (
            lambda: make(A2C),
            CustomPPO,
            "not a model of PPO: it has no batch_size, n_epochs, clip_range; "
            "its policy is stable_baselines3.common.policies.ActorCriticPolicy",
        ),
        (
            lambda: DQN("MlpPolicy", "CartPole-v1", buffer_size=10, device="cpu"),
            CustomPPO,
            "not a model of PPO: it has no gae_lambda, n_epochs, clip_range; "
            "its policy is stable_baselines3.dqn.policies.DQNPolicy",
        ),
        (
            lambda: make(TRPO, batch_size=16),
            CustomPPO,
            "not a model of PPO: it has no n_epochs, clip_range; "
            "its policy is stable_baselines3.common.policies.ActorCriticPolicy",
        ),
        (
            lambda: RecurrentPPO("MlpLstmPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu"),
            CustomPPO,
            "not a model of PPO: its policy is sb3_contrib.common.recurrent.policies.RecurrentActorCriticPolicy",
        ),
        (
            lambda: make_ppo(PPO),
            CustomA2C,
            "not a model of A2C: it has n_epochs, clip_range; "
            "its policy is stable_baselines3.common.policies.ActorCriticPolicy",
        ),
    ],
    ids=["A2C", "DQN", "TRPO", "RecurrentPPO", "PPO as A2C"],
)
def test_a_file_of_another_algorithm_is_refused(saved: Any, loader: type[Any], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    saved().save(path)
    with pytest.raises(ModelFileError) as error:
        loader.load(path, device="cpu")
    assert str(error.value) == f"{path}: {reason}; load it with the class that saved it"


def test_code_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.zip"
    module = types.ModuleType("their_policies")
    exec("from custom_ppo.sb3 import MlpPolicy\nclass Theirs(MlpPolicy): pass", vars(module))
    monkeypatch.setitem(sys.modules, "their_policies", module)
    make_ppo(CustomPPO, policy=vars(module)["Theirs"]).save(path)

    def refusal() -> str:
        with pytest.raises(ModelFileError) as error:
            CustomPPO.load(path, device="cpu")
        assert "\n" not in str(error.value)
        return str(error.value)

    monkeypatch.delattr(module, "Theirs")
    assert "Can't get attribute 'Theirs' on <module 'their_policies'>" in refusal()
    monkeypatch.delitem(sys.modules, "their_policies")
    assert refusal() == (
        f"{path}: needs code that is not here: No module named 'their_policies'; "
        "install it, or pass a substitute in custom_objects"
    )
    loaded = CustomPPO.load(path, device="cpu", custom_objects={"policy_class": MlpPolicy})
    assert type(loaded.policy) is MlpPolicy


def zip_without_data(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")


def zip_with_other_data(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", "hello")


def half_of_a_model(path: Path) -> None:
    make_ppo(CustomPPO).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def model_with_a_wrong_byte(path: Path) -> None:
    make_ppo(CustomPPO).save(path)
    content = path.read_bytes()
    middle = content.index(b"policy.pth") + 2000  # within the weights
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (
            lambda path: path.write_text("hello"),
            "not a model, or only a part of one: File is not a zip file; save it again, or take an older copy",
        ),
        (
            half_of_a_model,
            "not a model, or only a part of one: File ends too early; save it again, or take an older copy",
        ),
        (
            model_with_a_wrong_byte,
            "not a model, or only a part of one: 'policy.pth' is damaged; save it again, or take an older copy",
        ),
        (zip_without_data, "a zip file without 'data'; expected a model written by save()"),
        (zip_with_other_data, "its 'data' is not that of a model: Expecting value: line 1 column 1 (char 0)"),
    ],
    ids=["text", "half", "wrong byte", "no data", "other data"],
)
def test_a_file_that_is_no_model_is_refused(write: Any, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    write(path)
    with pytest.raises(ModelFileError) as error:
        CustomPPO.load(path, device="cpu")
    assert str(error.value) == f"{path}: {reason}"


def test_an_environment_with_other_spaces_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    make_ppo(CustomPPO, RandomWorld(spaces.Discrete(3), spaces.Discrete(2))).save(path)
    with pytest.raises(ModelFileError) as error:
        CustomPPO.load(path, env=RandomWorld(spaces.Discrete(4), spaces.Discrete(2)), device="cpu")
    assert str(error.value) == (
        f"{path}: trained in other spaces than those of `env`: Observation spaces do not match: "
        "Discrete(3) != Discrete(4); load it with an environment like that of its training"
    )
    with pytest.raises(ModelFileError) as error:
        CustomPPO.load(path, env=gym.make("CartPole-v1"), device="cpu")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_python_s_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.zip"):
        CustomPPO.load(tmp_path / "nothing")
