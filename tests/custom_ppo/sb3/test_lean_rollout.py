"""Lean loop of rollouts: the buffers, callbacks, errors and environments of SB3's loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from tests.custom_ppo.parity import assert_identical, train
from tests.custom_ppo.sb3.lean_model import LeanA2C, LeanPPO
from tests.custom_ppo.sb3.models import make_model
from tests.custom_ppo.sb3.test_local_variables import Recorder
from tests.probe_envs import RandomWorld

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
                **{name: getattr(buffer, name).copy() for name in ROLLOUT},
                "last observation": np.copy(self.model._last_obs),  # type: ignore[arg-type]
                "episode starts": np.copy(self.model._last_episode_starts),  # type: ignore[arg-type]
                "episodes": [(episode["r"], episode["l"]) for episode in self.model.ep_info_buffer or ()],
                "successes": list(self.model.ep_success_buffer or ()),
                "generator": torch.get_rng_state().numpy(),
            }
        )


def rollouts(cls: type[Any], env: VecEnv, **settings: Any) -> list[dict[str, Any]]:
    keep = KeepRollouts()
    model = make_model(cls, env, **settings).learn(32 * env.num_envs, callback=keep)
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


def recorded(cls: type[Any], action_space: spaces.Space[Any]) -> Recorder:
    recorder = Recorder()
    env = make_vec_env(lambda: RandomWorld(spaces.Box(-1, 1, (2,)), action_space), n_envs=2, seed=0)
    make_model(cls, env).learn(96, callback=recorder)
    return recorder


@pytest.mark.parametrize(
    "action_space",
    [spaces.Box(-0.5, 0.5, (2,)), spaces.Box(-0.5, 0.5, (2, 2)), spaces.Discrete(3), spaces.MultiBinary(2)],
    ids=str,
)
def test_callbacks_see_sb3s_local_variables_at_the_same_moments(action_space: spaces.Space[Any]) -> None:
    ours, theirs = (recorded(cls, action_space) for cls in (LeanPPO, PPO))
    assert ours.events == theirs.events
    np.testing.assert_equal(ours.steps, theirs.steps)
    assert ours.timeouts, "no episode was cut by its time limit"
    np.testing.assert_equal(ours.timeouts, theirs.timeouts)
    for moment, names in theirs.keys.items():
        assert names - ours.keys[moment] == set(), moment
