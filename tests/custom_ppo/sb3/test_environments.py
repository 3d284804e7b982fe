"""Environments that cannot be saved and restored exactly are found out before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

from custom_ppo import CustomPPO
from custom_ppo.config import InvalidConfigError
from custom_ppo.sb3 import ExactCheckpoint
from custom_ppo.sb3.environments import dumps, loads
from tests.custom_ppo.sb3.interruption import (
    CASES,
    N_STEPS,
    episode_logs,
    everything,
    make_model,
    scramble,
)
from tests.probe_envs import ContextReward, RandomWorld


class Unsaveable(ContextReward):
    def __init__(self) -> None:
        super().__init__()
        self.handle = (step for step in range(3))


class Forgetful(RandomWorld):
    """Does not tell pickle where it is in its episode."""

    def __init__(self) -> None:
        super().__init__(spaces.Box(-1, 1, (3,)), spaces.Discrete(2))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "n_steps": 0}


def refusal(env: Any, tmp_path: Path) -> str:
    model = CustomPPO("MlpPolicy", env, n_steps=N_STEPS, batch_size=N_STEPS, device="cpu")
    with pytest.raises(InvalidConfigError) as error:
        model.learn(N_STEPS, callback=ExactCheckpoint(tmp_path / "checkpoint"))
    assert model.num_timesteps == 0
    assert not list(tmp_path.iterdir())
    return str(error.value)


def test_an_environment_that_cannot_be_saved_is_named_before_training(tmp_path: Path) -> None:
    assert refusal(make_vec_env(Unsaveable, n_envs=2), tmp_path) == (
        "an exact checkpoint is not possible: environment 0 cannot be saved because of Unsaveable.handle: "
        "cannot pickle 'generator' object"
    )


def test_box2d_cannot_be_saved_and_is_not_saved_wrongly(tmp_path: Path) -> None:
    pytest.importorskip("Box2D")
    message = refusal("LunarLander-v3", tmp_path)
    assert message.startswith(
        "an exact checkpoint is not possible: environment 0 cannot be saved because of LunarLander.world, "
    )


def test_an_environment_that_forgets_is_found_out(tmp_path: Path) -> None:
    assert refusal(Forgetful(), tmp_path) == (
        "an exact checkpoint is not possible: environments of DummyVecEnv go on differently after they were saved and "
        "restored; is there state outside of their attributes, or a clock?"
    )


def test_environments_in_other_processes_are_refused(tmp_path: Path) -> None:
    env = SubprocVecEnv([lambda: gym.make("CartPole-v1")], start_method="fork")
    try:
        assert refusal(env, tmp_path) == (
            "an exact checkpoint is not possible: SubprocVecEnv keeps its environments in other processes; "
            "use DummyVecEnv"
        )
    finally:
        env.close()


def test_the_trial_moves_neither_environments_nor_generators(tmp_path: Path) -> None:
    trained, checked = (make_model(tmp_path / name, CASES["one-step episodes"]) for name in ("a", "b"))
    for model, callbacks in ((trained, []), (checked, [ExactCheckpoint(tmp_path / "checkpoint")])):
        scramble()
        model.learn(0, callback=CallbackList(callbacks))
        model.state = everything(model)
    np.testing.assert_equal(checked.state, trained.state)
    assert episode_logs(tmp_path / "a") == episode_logs(tmp_path / "b")


def test_sb3s_own_ppo_is_refused(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=N_STEPS, batch_size=N_STEPS, device="cpu")
    with pytest.raises(InvalidConfigError) as error:
        model.learn(N_STEPS, callback=ExactCheckpoint(tmp_path / "checkpoint"))
    assert str(error.value) == (
        "ExactCheckpoint needs a CustomPPO, got PPO: SB3 calls no callback between an update and the next rollout; "
        "CustomPPO.from_sb3(model) makes one of it"
    )


def test_every_is_at_least_one() -> None:
    with pytest.raises(InvalidConfigError) as error:
        ExactCheckpoint("checkpoint", every=0)
    assert str(error.value) == "`every` must be at least 1 rollout, got 0"


def test_plain_types_of_numpy_are_restored_as_the_same_objects() -> None:
    space = spaces.Discrete(2)

    restored = loads(
        dumps({"space": space, "row": np.dtype(">f4"), "pair": np.dtype([("a", "i4")])}), reopen_logs=False
    )

    # Pickle writes an object once: files would have other bytes if two equal types were two objects.
    assert restored["space"].n.dtype is np.dtype(np.int64)
    assert restored["row"] == np.dtype(">f4")
    assert restored["pair"] == np.dtype([("a", "i4")])
    assert np.dtype("f4").isnative
