"""Files and models that cannot change sides are refused with the reason."""

from __future__ import annotations

import base64
import json
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from gymnasium import spaces
from sb3_contrib import TRPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.buffers import RolloutBuffer

from custom_ppo import CustomA2C, CustomPPO, Recipe
from custom_ppo.config import InvalidConfigError
from custom_ppo.recipe import SB3_A2C, SB3_PPO
from custom_ppo.sb3 import MlpPolicy, ModelFileError
from tests.custom_ppo.sb3.exchanged_models import make_on_two_envs, make_ppo_on_two_envs
from tests.probe_envs import RandomWorld


@pytest.mark.parametrize("part", ["policy_loss", "optimizer"])
def test_a_recipe_that_sb3_does_not_have_is_named(part: str, tmp_path: Path) -> None:
    model = make_ppo_on_two_envs(CustomPPO, recipe=SB3_PPO.replace(name="mine", **{part: getattr(SB3_A2C, part)}))
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
    make_ppo_on_two_envs(CustomPPO, recipe="ppo_penalty").save(tmp_path / "model")
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
    assert isinstance(make_ppo_on_two_envs(CustomPPO, recipe=Recipe(name="mine")).to_sb3(), PPO)


class OwnTrain(PPO):
    def train(self) -> None:
        super().train()


class OwnBuffer(RolloutBuffer):
    pass


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: make_on_two_envs(A2C), "CustomPPO.from_sb3() takes a model of SB3's PPO, got A2C"),
        (lambda: make_ppo_on_two_envs(OwnTrain), "OwnTrain has its own train(), which would be lost"),
        (
            lambda: make_ppo_on_two_envs(PPO, rollout_buffer_class=OwnBuffer),
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
            lambda: make_on_two_envs(A2C),
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
            lambda: make_on_two_envs(TRPO, batch_size=16),
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
            lambda: make_ppo_on_two_envs(PPO),
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
    make_ppo_on_two_envs(CustomPPO, policy=vars(module)["Theirs"]).save(path)

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
    make_ppo_on_two_envs(CustomPPO).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def model_with_a_wrong_byte(path: Path) -> None:
    make_ppo_on_two_envs(CustomPPO).save(path)
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
    make_ppo_on_two_envs(CustomPPO, RandomWorld(spaces.Discrete(3), spaces.Discrete(2))).save(path)
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
