from __future__ import annotations

import copy
import inspect
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback, StopTrainingOnMaxEpisodes
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import NatureCNN
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnvWrapper
from torch import nn

import custom_ppo
from custom_ppo import CustomPPO
from custom_ppo.config import InvalidConfigError
from custom_ppo.diagnostics import TrainingDivergedError
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.recipe import SB3_A2C, SB3_PPO
from custom_ppo.sb3 import CnnPolicy, MlpPolicy, MultiInputPolicy
from tests.probe_envs import BrokenWorld, RandomWorld

BOTH = (CustomPPO, PPO)
SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "seed": 0, "device": "cpu"}


def make(cls: type[Any], env: Any = "CartPole-v1", **kwargs: Any) -> Any:
    return cls(**{"policy": "MlpPolicy", "env": env, **SMALL, **kwargs})


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}


def assert_same_weights(ours: Any, theirs: Any) -> None:
    for name, expected in weights(theirs).items():
        assert torch.equal(weights(ours)[name], expected), name


# Arguments


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


@pytest.mark.parametrize("policy", ["MlpPolicy", "CnnPolicy", "NoPolicy"])
def test_sb3s_own_complaints_about_a_policy_are_kept(policy: str) -> None:
    messages = []
    for cls in BOTH:
        env = RandomWorld(spaces.Dict({"a": spaces.Box(-1, 1, (2,))}), spaces.Discrete(2))
        with pytest.raises(ValueError) as error:  # noqa: PT011  the messages are compared
            cls(policy, env, **SMALL)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_empty_arguments_of_a_buffer_are_no_arguments() -> None:
    assert make(CustomPPO, rollout_buffer_kwargs={}).learn(16).num_timesteps == 16


class HalvedRewards(TrajectoryMemory):
    def add(self, observations: Any, actions: Any, rewards: Any, *rest: Any) -> None:
        super().add(observations, actions, rewards / 2, *rest)


def test_another_memory_may_be_set_as_the_message_says() -> None:
    model = make(CustomPPO)
    model.rollout_buffer = HalvedRewards(16, 1, model.observation_space, model.action_space)
    model.learn(16)
    assert model.rollout_buffer.rewards.tolist() == [[0.5]] * 16


def complaint(cls: type[Any], sizes: dict[str, Any]) -> list[Any]:
    """Return the kinds of warnings of a constructor for these numbers, and whether it asserts."""
    n_envs = sizes.pop("n_envs", 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            make(cls, make_vec_env("CartPole-v1", n_envs=n_envs), **sizes)
        except AssertionError:
            return ["asserts"]
    return [warning.category for warning in caught]


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
        lambda model: make(type(model), "MountainCarContinuous-v0", use_sde=False, policy="CnnPolicyy"),
        lambda model: make(type(model), RandomWorld(spaces.Box(-1, 1, (2,)), spaces.Box(-1, np.inf, (2,)))),
        lambda model: make(
            type(model),
            RandomWorld(spaces.Box(-1, 1, (2,)), spaces.Dict({"a": spaces.Discrete(2)})),
            policy="MlpPolicy",
        ),
        lambda model: make(type(model), use_sde=True),
    ],
    ids=[
        *("short observation", "long observations", "Dict observation", "three axes"),
        *("another number of environments", "other spaces", "no weights", "unknown names"),
        *("unknown policy", "unbounded actions", "Dict actions", "gSDE for Discrete actions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_sb3s_words(act: Callable[[Any], Any]) -> None:
    ours, theirs = (refusal_of(act, make(cls, make_vec_env("CartPole-v1", n_envs=2, seed=0))) for cls in BOTH)
    assert ours is not None
    words = ours[1].replace("CustomPPO", "PPO").replace("for MlpPolicy", "for ActorCriticPolicy")
    assert (ours[0], words) == theirs


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_batch_that_does_not_divide_the_rollout_is_warned_about_as_by_sb3() -> None:
    messages = []
    for cls in BOTH:
        with pytest.warns(UserWarning) as warned:  # noqa: PT030  the whole message is compared
            make(cls, n_steps=20, batch_size=16)
        messages.append([str(warning.message) for warning in warned])
    assert messages[0] == messages[1]
    assert "a truncated mini-batch of size 4" in messages[0][0]


@pytest.mark.filterwarnings("default::UserWarning")
def test_the_warning_about_a_batch_points_at_the_line_that_can_mend_it() -> None:
    with pytest.warns(UserWarning) as warned:  # noqa: PT030  its place is compared
        make(CustomPPO, n_steps=20, batch_size=16)
    assert warned[0].filename == __file__


def test_a_list_around_net_arch_is_understood_as_sb3_understands_it() -> None:
    models = []
    for cls in BOTH:
        with pytest.warns(UserWarning, match="net_arch"):
            models.append(make(cls, policy_kwargs={"net_arch": [{"pi": [8], "vf": [4]}]}))
    assert_same_weights(*models)


def test_a_cnn_is_followed_by_no_hidden_layers() -> None:
    env = RandomWorld(spaces.Box(0, 255, (36, 36, 1), np.uint8), spaces.Discrete(2))
    assert_same_weights(*(make(cls, env, policy_kwargs={"features_extractor_class": NatureCNN}) for cls in BOTH))


# Predicting


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
    theirs = make(PPO, env, **kwargs).learn(64)
    ours = make(CustomPPO, env, **kwargs)
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
    return make(cls, env, policy=policy, **kwargs)


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


# Files


def test_a_saved_model_predicts_and_trains_on(tmp_path: Path) -> None:
    model = make(CustomPPO, policy_kwargs={"net_arch": [8]}, clip_range=lambda progress: 0.2 * progress).learn(64)
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
    make(CustomPPO).learn(16).save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model.zip") as file:
        saved = json.loads(file.read("data"))
    assert {"agent", "policy", "rollout_buffer"}.isdisjoint(saved)


def test_loading_can_change_the_rollout(tmp_path: Path) -> None:
    make(CustomPPO).save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", env=make_vec_env("CartPole-v1", n_envs=2), n_steps=8, device="cpu")
    loaded.learn(16)
    assert loaded.rollout_buffer.rewards.shape == (8, 2)
    assert loaded.num_timesteps == 16


def test_files_change_hands_with_sb3_in_both_directions(tmp_path: Path) -> None:
    for source_class, target_class in (BOTH, BOTH[::-1]):
        source = make(source_class).learn(64)
        source.save(tmp_path / "source")
        target = make(target_class, seed=5)
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


def test_a_policy_can_be_saved_without_its_algorithm(tmp_path: Path) -> None:
    architecture = {"net_arch": {"pi": [8], "vf": [4]}, "activation_fn": nn.ReLU, "share_features_extractor": False}
    policy = make(CustomPPO, policy_kwargs=architecture).policy
    policy.save(tmp_path / "policy.pt")
    loaded = MlpPolicy.load(str(tmp_path / "policy.pt"))
    assert not loaded.share_features_extractor
    observations = torch.randn(5, 4)
    assert torch.equal(loaded.predict_values(observations), policy.predict_values(observations))


def test_the_penalty_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    model = make(CustomPPO, recipe="ppo_penalty", learning_rate=0.0).learn(48)
    model.save(tmp_path / "model")
    loaded = CustomPPO.load(tmp_path / "model", env=gym.make("CartPole-v1"), device="cpu")
    assert loaded.beta == model.beta == 0.125
    loaded.learn(16, reset_num_timesteps=False)
    assert loaded.beta == 0.0625


def test_parameters_have_sb3s_names() -> None:
    ours, theirs = (make(cls).get_parameters() for cls in BOTH)
    assert set(ours) == set(theirs) == {"policy", "policy.optimizer"}
    assert list(ours["policy"]) == list(theirs["policy"])


# Callbacks and locals


class Recorder(BaseCallback):
    """Copies local variables at every step."""

    names = (
        *("n_steps", "n_rollout_steps", "obs_tensor", "new_obs", "rewards", "dones"),
        *("actions", "clipped_actions", "values", "log_probs"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.keys: dict[str, set[str]] = {}
        self.timeouts: list[Any] = []

    def _on_training_start(self) -> None:
        self.events.append("training start")
        self.keys["training start"] = set(self.locals)

    def _on_rollout_start(self) -> None:
        self.events.append("rollout start")

    def _on_step(self) -> bool:
        step: dict[str, Any] = {name: torch.as_tensor(self.locals[name]).numpy().copy() for name in self.names}
        step["idx"], step["done"] = (self.locals.get(name) for name in ("idx", "done"))
        step["infos"] = copy.deepcopy(self.locals["infos"])
        for info in step["infos"]:
            info.get("episode", {}).pop("t", None)  # seconds
        self._keep_timeout()
        step["rollout_buffer"] = self.locals["rollout_buffer"].rewards.copy()
        step["num_timesteps"] = self.num_timesteps
        step["episodes"] = len(self.model.ep_info_buffer or ())
        self.steps.append(step)
        self.events.append("step")
        self.keys["step"] = set(self.locals)
        return True

    def _on_rollout_end(self) -> None:
        self.events.append("rollout end")
        self._keep_timeout()
        self.keys["rollout end"] = set(self.locals)
        buffer = self.locals["rollout_buffer"]
        end: dict[str, Any] = {name: torch.as_tensor(self.locals[name]).numpy().copy() for name in self.names}
        self.steps.append({**end, "advantages": buffer.advantages.copy(), "returns": buffer.returns.copy()})

    def _keep_timeout(self) -> None:
        """Keep the observation and the value that the last time limit of this rollout was bootstrapped with."""
        if "terminal_value" in self.locals:
            self.timeouts.append([self.locals[name].numpy().copy() for name in ("terminal_obs", "terminal_value")])

    def _on_training_end(self) -> None:
        self.events.append("training end")


def recorded(cls: type[Any], action_space: spaces.Space[Any]) -> Recorder:
    recorder = Recorder()
    env = make_vec_env(lambda: RandomWorld(spaces.Box(-1, 1, (2,)), action_space), n_envs=2, seed=0)
    make(cls, env).learn(96, callback=recorder)
    return recorder


@pytest.mark.parametrize(
    "action_space", [spaces.Box(-0.5, 0.5, (2,)), spaces.Discrete(3), spaces.MultiBinary(2)], ids=str
)
def test_callbacks_see_the_same_local_variables_at_the_same_moments(action_space: spaces.Space[Any]) -> None:
    ours, theirs = (recorded(cls, action_space) for cls in BOTH)
    assert ours.events == theirs.events
    np.testing.assert_equal(ours.steps, theirs.steps)
    assert ours.timeouts, "no episode was cut by its time limit"
    np.testing.assert_equal(ours.timeouts, theirs.timeouts)


def test_callbacks_find_sb3s_names() -> None:
    ours, theirs = (recorded(cls, spaces.Discrete(2)) for cls in BOTH)
    assert {"terminal_obs", "terminal_value", "idx", "done", "infos"} <= theirs.keys["rollout end"]
    for moment, names in theirs.keys.items():
        assert names - ours.keys[moment] == set(), moment


class StopAfter(BaseCallback):
    def _on_step(self) -> bool:
        return self.n_calls < 21


@pytest.mark.parametrize("make_callback", [StopAfter, lambda: StopTrainingOnMaxEpisodes(2)], ids=["steps", "episodes"])
def test_a_callback_stops_training_where_it_stops_sb3s(make_callback: Callable[[], BaseCallback]) -> None:
    ours, theirs = (make(cls).learn(500, callback=make_callback()) for cls in BOTH)
    assert ours.num_timesteps == theirs.num_timesteps < 500
    assert ours._n_updates == theirs._n_updates
    assert_same_weights(ours, theirs)


@pytest.mark.parametrize("form", ["function", "list"])
def test_a_callback_may_be_a_function_or_a_list(form: str) -> None:
    calls: list[int] = []

    def count(locals_: dict[str, Any], _globals: dict[str, Any]) -> bool:
        calls.append(locals_["self"].num_timesteps)
        return True

    make(CustomPPO).learn(16, callback=count if form == "function" else [StopAfter(), StopAfter()])
    assert calls == (list(range(1, 17)) if form == "function" else [])


class FewInfos(VecEnvWrapper):
    """Returns no infos for steps in which no episode ends."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        return observations, rewards, dones, infos if dones.any() else []


def test_infos_of_environments_that_go_on_may_be_missing_as_for_sb3() -> None:
    world = RandomWorld(spaces.Box(-1, 1, (2,)), spaces.Discrete(2))
    ours, theirs = (
        make(cls, FewInfos(make_vec_env(lambda: copy.deepcopy(world), n_envs=2, seed=0))).learn(96) for cls in BOTH
    )
    assert_same_weights(ours, theirs)


# Logs


class Rows(KVWriter):
    """Keeps what is dumped, without the clock's part."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any], dict[str, Any]]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        clock = ("time/fps", "time/time_elapsed")
        values = {key: None if key in clock else value for key, value in key_values.items()}
        self.rows.append((step, values, dict(key_excluded)))

    def close(self) -> None:
        """There is nothing to close."""


def dumped(cls: type[Any], env: Any = "CartPole-v1", log_interval: int | None = 1, **kwargs: Any) -> Rows:
    rows = Rows()
    model = make(cls, env, **kwargs)
    model.set_logger(Logger(None, [rows]))
    model.learn(96, log_interval=log_interval)
    return rows


@pytest.mark.parametrize("log_interval", [1, 2])
@pytest.mark.parametrize(
    ("env", "kwargs"),
    [("CartPole-v1", {}), ("Pendulum-v1", {"clip_range_vf": 0.1}), ("CartPole-v1", {"target_kl": 1e-6})],
    ids=["discrete", "box, clipped values", "stopping early"],
)
def test_the_logger_gets_sb3s_rows(env: str, kwargs: dict[str, Any], log_interval: int) -> None:
    ours, theirs = (dumped(cls, env, log_interval, **kwargs).rows for cls in BOTH)
    assert len(ours) == 6 // log_interval
    np.testing.assert_equal(ours, theirs)


def test_a_log_interval_of_none_dumps_nothing() -> None:
    assert dumped(CustomPPO, log_interval=None).rows == []


def test_the_penalty_is_logged_where_there_is_one() -> None:
    ours, theirs = (
        dumped(cls, recipe="ppo_penalty") if cls is CustomPPO else dumped(cls, target_kl=None) for cls in BOTH
    )
    assert set(ours.rows[-1][1]) - set(theirs.rows[-1][1]) == {"train/beta"}
    # Dumped before the update of its iteration, so the first row has none.
    assert ours.rows[1][1]["train/beta"] == 1.0


class SuccessWorld(RandomWorld):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, {**info, "is_success": terminated}


def test_the_success_rate_is_logged_where_environments_tell_it() -> None:
    def rows(cls: type[Any]) -> Any:
        env = make_vec_env(lambda: SuccessWorld(spaces.Box(-1, 1, (2,)), spaces.Discrete(2)), seed=0)
        return dumped(cls, env).rows

    ours, theirs = (rows(cls) for cls in BOTH)
    assert "rollout/success_rate" in ours[-1][1]
    np.testing.assert_equal(ours, theirs)


def test_early_stopping_is_announced_as_sb3_announces_it(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for cls in BOTH:
        make(cls, target_kl=1e-6, learning_rate=1e-2, verbose=1).learn(48, log_interval=None)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert re.search(r"^Early stopping at step \d due to reaching max kl: \d\.\d\d$", texts[0], re.MULTILINE)


def test_it_is_silent_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    make(CustomPPO, target_kl=1e-6).learn(48)
    assert capsys.readouterr() == ("", "")


def test_tensorboard_gets_a_folder_with_sb3s_name(tmp_path: Path) -> None:
    pytest.importorskip("torch.utils.tensorboard")
    for cls in BOTH:
        make(cls, tensorboard_log=str(tmp_path / cls.__name__)).learn(32)
    assert [folder.name for folder in (tmp_path / "CustomPPO").iterdir()] == ["PPO_1"]
    assert [folder.name for folder in (tmp_path / "PPO").iterdir()] == ["PPO_1"]


# A life with changes


def set_attributes(model: Any) -> None:
    numbers = {"ent_coef": 0.1, "vf_coef": 2.0, "n_epochs": 3, "max_grad_norm": 0.1, "target_kl": 0.01, "batch_size": 8}
    for name, value in numbers.items():
        setattr(model, name, value)
    model.normalize_advantage = False
    model.clip_range = lambda _: 0.1
    model.lr_schedule = lambda _: 1e-2


def set_optimizer(model: Any) -> None:
    model.policy.optimizer = torch.optim.SGD(model.policy.parameters(), lr=0.1)


def set_environment(model: Any) -> None:
    model.set_env(make_vec_env("CartPole-v1", seed=77))


def set_policy(model: Any) -> None:
    torch.manual_seed(3)
    model.policy = type(model.policy)(model.observation_space, model.action_space, model.lr_schedule, net_arch=[4])


def wrap_policy(model: Any) -> None:
    evaluate = model.policy.evaluate_actions

    def doubled(*args: Any) -> Any:
        values, log_prob, entropy = evaluate(*args)
        return 2 * values, log_prob, entropy

    model.policy.evaluate_actions = doubled


def replace_head(model: Any) -> None:
    torch.manual_seed(3)
    model.policy.action_net = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 2))
    model.policy.optimizer = torch.optim.Adam(model.policy.parameters())


def train_some_parameters(model: Any) -> None:
    model.policy.optimizer = torch.optim.Adam(list(model.policy.parameters())[:4])


@pytest.mark.parametrize(
    "change",
    [
        set_attributes,
        set_optimizer,
        set_environment,
        set_policy,
        wrap_policy,
        replace_head,
        train_some_parameters,
    ],
)
def test_changes_between_two_trainings_act_as_in_sb3(change: Callable[[Any], None]) -> None:
    models = []
    for cls in BOTH:
        model = make(cls, make_vec_env("CartPole-v1", seed=1)).learn(64)
        before = weights(model)
        change(model)
        model.learn(64)
        assert any(name not in before or not torch.equal(t, before[name]) for name, t in weights(model).items())
        models.append(model)
    assert_same_weights(*models)


def test_a_changed_discount_acts_at_once_where_sb3s_buffer_keeps_the_old_one() -> None:
    model = make(CustomPPO).learn(16)
    model.gamma = 0.0
    model.learn(16)
    memory = model.rollout_buffer
    np.testing.assert_array_equal(memory.advantages, memory.rewards - memory.values)


def test_a_model_may_be_made_without_an_environment_or_networks() -> None:
    model = CustomPPO("MlpPolicy", None, _init_setup_model=False)  # type: ignore[arg-type]
    assert model.get_env() is None


def test_training_that_diverged_stops_with_its_reason() -> None:
    with pytest.raises(TrainingDivergedError) as error:
        make(CustomPPO, BrokenWorld(nan_reward_at=20)).learn(64)
    assert str(error.value) == (
        "iteration 2: the reward of step 4 of 16, environment 0, is nan: the environment returned it"
    )


def test_a_loss_that_is_not_finite_is_located_in_its_minibatch() -> None:
    losses = iter(range(1000))

    def exploding(returns: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        # Two epochs of one minibatch in each iteration: the sixth loss is that of iteration 3.
        return SB3_PPO.value_loss(returns, values) * (torch.nan if next(losses) == 5 else 1.0)

    with pytest.raises(TrainingDivergedError, match=r"^iteration 3, epoch 2, minibatch 1: the loss is nan \(policy "):
        make(CustomPPO, recipe=SB3_PPO.replace(value_loss=exploding)).learn(64)


# The package


def test_the_public_names_are_there() -> None:
    assert custom_ppo.__all__ == ["CustomA2C", "CustomPPO", "PPOConfig", "Recipe"]
    for name in custom_ppo.__all__:
        assert getattr(custom_ppo, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'custom_ppo' has no attribute 'TRPO'$"):
        custom_ppo.TRPO  # noqa: B018
