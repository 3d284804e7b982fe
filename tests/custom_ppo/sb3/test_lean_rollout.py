"""Lean loop of rollouts: the buffers, callbacks, errors and environments of SB3's loop."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback, StopTrainingOnMaxEpisodes
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from custom_ppo import CustomPPO
from custom_ppo.agent import PPOAgent
from custom_ppo.diagnostics import TrainingDivergedError
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.recipe import SB3_PPO
from tests.custom_ppo.parity import assert_identical, train
from tests.custom_ppo.sb3.lean_model import LeanA2C, LeanPPO
from tests.custom_ppo.sb3.models import assert_same_weights, make_model
from tests.custom_ppo.sb3.test_local_variables import FewInfos, Recorder, StopAfter
from tests.probe_envs import BrokenWorld, RandomWorld

ROLLOUT = ("observations", "actions", "rewards", "values", "log_probs", "episode_starts", "advantages", "returns")


class KeepRollouts(BaseCallback):
    """Callback that copies every rollout and what the model keeps from one to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer: Any = self.model.rollout_buffer  # type: ignore[attr-defined]
        self.rollouts.append(
            {
                **{name: copy.deepcopy(getattr(buffer, name)) for name in ROLLOUT},
                "last observation": copy.deepcopy(self.model._last_obs),
                "episode starts": np.copy(self.model._last_episode_starts),  # type: ignore[arg-type]
                "episodes": [(episode["r"], episode["l"]) for episode in self.model.ep_info_buffer or ()],
                "successes": list(self.model.ep_success_buffer or ()),
                "generator": torch.get_rng_state().numpy(),
            }
        )


def rollouts(cls: type[Any], env: VecEnv, **settings: Any) -> list[dict[str, Any]]:
    keep = KeepRollouts()
    policy = "MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy"
    model = make_model(cls, env, **{"policy": policy, **settings}).learn(32 * env.num_envs, callback=keep)
    if cls in (LeanPPO, LeanA2C):
        assert len(model.actors) == len(keep.rollouts), "the readable loop ran"
    return keep.rollouts


@pytest.mark.parametrize("normalize", [False, True], ids=["", "VecNormalize"])
@pytest.mark.parametrize("n_envs", [1, 4, 16])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1"])
def test_rollouts_are_sb3s(env: str, n_envs: int, normalize: bool) -> None:
    def make() -> VecEnv:
        vec_env = make_vec_env(env, n_envs=n_envs, seed=0)
        return VecNormalize(vec_env) if normalize else vec_env

    np.testing.assert_equal(*(rollouts(cls, make()) for cls in (LeanPPO, PPO)))


@pytest.mark.parametrize("settings", [{}, {"use_sde": True, "sde_sample_freq": 4}], ids=["", "gSDE"])
def test_training_is_sb3s(settings: dict[str, Any]) -> None:
    assert_identical(*(train(cls, "Pendulum-v1", 4, normalize=True, **settings) for cls in (LeanPPO, PPO)))
    assert_identical(*(train(cls, "Pendulum-v1", 1, evaluate=True, **settings) for cls in (LeanPPO, PPO)))


def recorded(
    cls: type[Any], action_space: spaces.Space[Any], observation_space: spaces.Space[Any] | None = None
) -> Recorder:
    recorder = Recorder()
    observed = observation_space or spaces.Box(-1, 1, (2,))
    env = make_vec_env(lambda: RandomWorld(observed, action_space), n_envs=2, seed=0)
    policy = "MultiInputPolicy" if isinstance(observed, spaces.Dict) else "MlpPolicy"
    make_model(cls, env, policy=policy).learn(96, callback=recorder)
    return recorder


@pytest.mark.parametrize(
    "action_space",
    [spaces.Box(-0.5, 0.5, (2,)), spaces.Box(-0.5, 0.5, (2, 2)), spaces.Discrete(3), spaces.MultiBinary(2)],
    ids=str,
)
def test_callbacks_see_sb3s_local_variables_at_the_same_moments(action_space: spaces.Space[Any]) -> None:
    assert_same_records(*(recorded(cls, action_space) for cls in (LeanPPO, PPO)))


def test_callbacks_see_sb3s_local_variables_of_dict_observations() -> None:
    assert_same_records(*(recorded(cls, spaces.Discrete(3), MIXED) for cls in (LeanPPO, PPO)))


def assert_same_records(ours: Recorder, theirs: Recorder) -> None:
    assert ours.events == theirs.events
    np.testing.assert_equal(ours.steps, theirs.steps)
    assert ours.timeouts, "no episode was cut by its time limit"
    np.testing.assert_equal(ours.timeouts, theirs.timeouts)
    for moment, names in theirs.keys.items():
        assert names - ours.keys[moment] == set(), moment


class Goals(gym.Wrapper[Any, Any, Any, Any]):
    """Reports at every step whether the agent has succeeded."""

    def step(self, action: Any) -> Any:
        *rest, info = self.env.step(action)
        return (*rest, {**info, "is_success": bool(rest[1] > 0)})


def random_world(observation_space: spaces.Space[Any], n_envs: int = 3) -> VecEnv:
    return make_vec_env(lambda: Goals(RandomWorld(observation_space, spaces.Discrete(2))), n_envs=n_envs, seed=0)


@pytest.mark.parametrize(
    "observation_space",
    [
        spaces.Box(-1, 1, (2, 3)),
        spaces.Box(-1, 1, (3,), np.float64),
        spaces.Box(0, 9, (2,), np.int64),
        spaces.Discrete(4),
    ],
    ids=str,
)
def test_rollouts_of_other_observations_and_with_successes_are_sb3s(observation_space: spaces.Space[Any]) -> None:
    ours, theirs = (rollouts(cls, random_world(observation_space)) for cls in (LeanPPO, PPO))
    np.testing.assert_equal(ours, theirs)
    assert ours[-1]["successes"]


def test_rollouts_of_normalised_integers_which_the_memory_truncates_are_sb3s() -> None:
    envs = (VecNormalize(random_world(spaces.Box(0, 9, (2,), np.int64))) for _ in range(2))
    np.testing.assert_equal(*(rollouts(cls, env) for cls, env in zip((LeanPPO, PPO), envs, strict=True)))


MIXED = spaces.Dict(
    {
        "vector": spaces.Box(-1, 1, (2,)),
        "matrix": spaces.Box(-1, 1, (2, 3), np.float64),
        "choice": spaces.Discrete(3),
        "choices": spaces.MultiDiscrete([2, 4]),
        "switches": spaces.MultiBinary(3),
    }
)


@pytest.mark.parametrize("normalize", [False, True], ids=["", "VecNormalize"])
@pytest.mark.parametrize("n_envs", [1, 3])
def test_rollouts_of_dict_observations_are_sb3s(n_envs: int, normalize: bool) -> None:
    def make() -> VecEnv:
        env = random_world(MIXED, n_envs)
        return VecNormalize(env, norm_obs_keys=["matrix", "vector"]) if normalize else env

    np.testing.assert_equal(*(rollouts(cls, make()) for cls in (LeanPPO, PPO)))


@pytest.mark.parametrize("order", ["as the space", "reversed"])
def test_rollouts_of_dict_observations_with_images_are_sb3s(order: str) -> None:
    parts = {"image": spaces.Box(0, 255, (36, 37, 1), np.uint8), "vector": spaces.Box(-1, 1, (2,))}
    space = spaces.Dict(parts if order == "as the space" else [*reversed(parts.items())])
    np.testing.assert_equal(*(rollouts(cls, random_world(space, 2), n_steps=8, n_epochs=1) for cls in (LeanPPO, PPO)))


def test_training_of_a2c_is_sb3s() -> None:
    def trained(cls: type[Any]) -> Any:
        env = VecNormalize(make_vec_env(lambda: TimeLimit(gym.make("Pendulum-v1"), 13), n_envs=3, seed=0))
        return cls("MlpPolicy", env, seed=0, device="cpu").learn(600)

    ours = trained(LeanA2C)
    assert len(ours.actors) == 40
    assert_same_weights(ours, trained(A2C))


@pytest.mark.parametrize("make_callback", [StopAfter, lambda: StopTrainingOnMaxEpisodes(2)], ids=["steps", "episodes"])
def test_a_callback_stops_training_where_it_stops_sb3s(make_callback: Callable[[], BaseCallback]) -> None:
    ours, theirs = (make_model(cls).learn(500, callback=make_callback()) for cls in (LeanPPO, PPO))
    assert ours.num_timesteps == theirs.num_timesteps < 500
    assert_same_weights(ours, theirs)
    for name in ROLLOUT:
        if ours.rollout_buffer.pos > 0:
            np.testing.assert_array_equal(getattr(ours.rollout_buffer, name), getattr(theirs.rollout_buffer, name))
    np.testing.assert_array_equal(ours._last_obs, theirs._last_obs)
    np.testing.assert_array_equal(ours._last_episode_starts, theirs._last_episode_starts)


def row_of(array: Any, step: int) -> Any:
    return {key: row_of(part, step) for key, part in array.items()} if isinstance(array, dict) else array[step].copy()


class Meddler(BaseCallback):
    """Changes in place what it sees, and looks at the row of a step before the step is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Any] = []

    def _on_step(self) -> bool:
        buffer = self.locals["rollout_buffer"]
        self.rows.append([row_of(getattr(buffer, name), buffer.pos) for name in ROLLOUT])
        for name in ("rewards", "values", "log_probs"):
            self.locals[name][:] *= 0.5
        observed = self.locals["obs_tensor"]
        for part in observed.values() if isinstance(observed, dict) else [observed]:
            part[:] = part * 0.5
        return True


@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (3,)), MIXED], ids=["Box", "Dict"])
def test_a_callback_changes_in_place_what_is_remembered(space: spaces.Space[Any]) -> None:
    meddlers = Meddler(), Meddler()
    policy = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"
    models = [
        make_model(cls, random_world(space), policy=policy).learn(96, callback=meddler)
        for cls, meddler in zip((LeanPPO, PPO), meddlers, strict=True)
    ]
    np.testing.assert_equal(meddlers[0].rows, meddlers[1].rows)
    assert_same_weights(*models)


def test_infos_of_environments_that_go_on_may_be_missing_as_for_sb3() -> None:
    ours, theirs = (
        make_model(cls, FewInfos(make_vec_env("CartPole-v1", n_envs=2, seed=0))).learn(96) for cls in (LeanPPO, PPO)
    )
    assert_same_weights(ours, theirs)


@pytest.mark.parametrize("broken", [{"nan_observation_at": 5}, {"nan_reward_at": 5}], ids=str)
def test_numbers_that_are_not_finite_raise_the_readable_loops_error(broken: dict[str, int]) -> None:
    messages = []
    for cls in (LeanPPO, CustomPPO):
        with pytest.raises(TrainingDivergedError) as error:
            make_model(cls, BrokenWorld(**broken)).learn(64)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_weights_that_are_not_finite_raise_the_readable_loops_error() -> None:
    messages = []
    for cls in (LeanPPO, CustomPPO):
        model = make_model(cls)
        with torch.no_grad():
            model.policy.action_net.bias.fill_(torch.nan)
        with pytest.raises(TrainingDivergedError) as error:
            model.learn(64)
        messages.append(str(error.value))
        assert not model.rollout_buffer.observations.any()
    assert messages[0] == messages[1]


class Interrupted(gym.Wrapper[Any, Any, Any, Any]):
    """Is interrupted by the user, once, at its 21st step."""

    n_steps = 0

    def step(self, action: Any) -> Any:
        self.n_steps += 1
        if self.n_steps == 21:
            raise KeyboardInterrupt
        return self.env.step(action)


def test_an_interrupted_rollout_leaves_what_the_readable_loop_leaves() -> None:
    models = []
    for cls in (LeanPPO, CustomPPO):
        model = make_model(cls, make_vec_env(lambda: Interrupted(gym.make("CartPole-v1")), seed=0))
        with pytest.raises(KeyboardInterrupt):
            model.learn(64)
        models.append(model)
    for name in (*ROLLOUT, "position"):
        np.testing.assert_equal(*(getattr(model.rollout_buffer, name) for model in models))
    assert models[0].num_timesteps == models[1].num_timesteps == 20
    np.testing.assert_equal(*(model._last_obs for model in models))
    for model in models:
        model.set_random_seed(1)
        model.learn(64, reset_num_timesteps=False)
    assert_same_weights(*models)


def wrap_act(model: Any) -> None:
    act = model.agent.act
    model.agent.act = lambda observations: act(observations)


def wrap_remember(model: Any) -> None:
    remember = model.agent.remember
    model.agent.remember = lambda *args: remember(*args)


def wrap_add(model: Any) -> None:
    add = model.rollout_buffer.add
    model.rollout_buffer.add = lambda *args: add(*args)


class OtherMemory(TrajectoryMemory):
    """Memory of a user."""


def exchange_memory(model: Any) -> None:
    model.rollout_buffer = OtherMemory(model.n_steps, 1, model.observation_space, model.action_space)


@pytest.mark.parametrize("change", [wrap_act, wrap_remember, wrap_add, exchange_memory])
def test_a_part_that_is_watched_or_exchanged_brings_the_readable_loop_back(change: Callable[[Any], None]) -> None:
    model = make_model(LeanPPO)
    change(model)
    model.learn(32)
    assert model.actors == []


def test_a_patched_class_of_agents_brings_the_readable_loop_back(monkeypatch: pytest.MonkeyPatch) -> None:
    act = PPOAgent.act
    monkeypatch.setattr(PPOAgent, "act", lambda self, observations: act(self, observations))
    model = make_model(LeanPPO).learn(32)
    assert model.actors == []


@pytest.mark.parametrize("name", ["finish_rollout", "value", "terminal_value", "timeout_reward"])
def test_a_wrapped_step_of_the_agent_is_still_called(name: str) -> None:
    model = make_model(LeanPPO, make_vec_env(lambda: TimeLimit(gym.make("CartPole-v1"), 5), seed=0))
    calls = []
    original = getattr(model.agent, name)

    def watched(*args: Any) -> Any:
        calls.append(args)
        return original(*args)

    setattr(model.agent, name, watched)
    model.learn(32)
    assert len(model.actors) == 2
    assert calls


def test_another_recipe_acts_and_estimates_by_its_own_parts() -> None:
    recipe = SB3_PPO.replace(
        env_action=lambda actions, space: np.zeros_like(actions),
        advantages=lambda rewards, values, *args, **kwargs: (rewards - values, rewards),
    )
    models = [make_model(cls, "Pendulum-v1", recipe=recipe).learn(64) for cls in (LeanPPO, CustomPPO)]
    assert models[0].actors
    assert_same_weights(*models)
