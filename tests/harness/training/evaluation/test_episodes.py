from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from harness.experiment.plan import RunSpec
from harness.training.envs import make_eval_env, make_training_env
from harness.training.evaluation import episodes, evaluate
from harness.training.models import build_model
from harness.training.train import _copy_normalization
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec

A2C = {"n_steps": 16, "batch_size": None, "n_epochs": None}
DOUBLE_PENDULUM = "InvertedDoublePendulum-v5"


def played(spec: RunSpec, model: Any, play: Any, n_episodes: int) -> tuple[Any, ...]:
    """Return the results of two evaluations in one set of environments, and the generators' states after them."""
    env = make_eval_env(spec, 7, n_episodes)
    _copy_normalization(model, env)
    rounds = [play(model, env, n_episodes) for _ in range(2)]
    base: Any = env.unwrapped
    states = [str(member.unwrapped.np_random.bit_generator.state) for member in base.envs]
    env.close()
    return rounds, states


def with_sb3(model: Any, env: VecEnv, n_episodes: int) -> Any:
    return evaluate_policy(model, env, n_episodes, deterministic=True, return_episode_rewards=True)


def bits(outcome: tuple[Any, ...]) -> Any:
    rounds, states = outcome
    return [([reward.hex() for reward in rewards], lengths) for rewards, lengths in rounds], states


SPECS = [
    tiny_spec(),
    tiny_spec("custom_ppo"),
    tiny_spec("a2c", **A2C),
    tiny_spec(normalize=True),
    tiny_spec("ppo", "Pendulum-v1", use_sde=True),
    tiny_spec("custom_ppo", "Pendulum-v1", use_sde=True, normalize=True),
    tiny_spec("a2c", "Pendulum-v1", use_sde=True, policy_kwargs="dict(log_std_init=-2, ortho_init=False)", **A2C),
    tiny_spec("ppo", DOUBLE_PENDULUM, normalize=True),
    tiny_spec("custom_ppo", DOUBLE_PENDULUM),
    tiny_spec("ppo", "InvertedPendulum-v5"),  # stepped by its own code
    tiny_spec("ppo", "MountainCarContinuous-v0", policy_kwargs="dict(activation_fn=nn.ReLU, net_arch=[8])"),
    tiny_spec("ppo", FAULTY_ENV),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.algo} {spec.env}")
@pytest.mark.parametrize("n_episodes", [3, 12])
def test_episodes_are_those_of_evaluate_policy(spec: RunSpec, n_episodes: int, tmp_path: Path) -> None:
    model = build_model(spec, make_training_env(spec, tmp_path)).learn(256)

    ours, theirs = (bits(played(spec, model, play, n_episodes)) for play in (evaluate, with_sb3))

    assert ours == theirs


@pytest.mark.parametrize("spec", SPECS[:1] + SPECS[7:8], ids=lambda spec: str(spec.env))
def test_paused_environments_do_not_change_the_last_evaluation(spec: RunSpec, tmp_path: Path) -> None:
    model = build_model(spec, make_training_env(spec, tmp_path)).learn(256)
    results = []
    for play in (with_sb3, lambda *arguments: evaluate(*arguments, last=True)):
        env = make_eval_env(spec, 7, 30)
        _copy_normalization(model, env)
        results.append(play(model, env, 30))
        env.close()

    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("algo", "env", "hyperparams"),
    [
        ("dqn", "CartPole-v1", {"learning_starts": 50}),
        ("recurrent_ppo", "CartPole-v1", {"policy": "MlpLstmPolicy"}),
        ("ppo", "CartPole-v1", {"env_wrapper": "gymnasium.wrappers.FlattenObservation"}),
        ("ppo", "CartPole-v1", {"frame_stack": 2}),
    ],
)
def test_other_policies_and_wrappers_are_left_to_sb3(
    algo: str, env: str, hyperparams: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec(algo, env, n_steps=None, n_epochs=None, batch_size=None, n_envs=1, **hyperparams)
    model = build_model(spec, make_training_env(spec, tmp_path))
    called = []
    monkeypatch.setattr(
        episodes, "evaluate_policy", lambda *arguments, **rest: called.append(1) or evaluate_policy(*arguments, **rest)
    )

    ours, theirs = (bits(played(spec, model, play, 2)) for play in (evaluate, with_sb3))

    assert ours == theirs
    assert len(called) == 2


def test_an_actor_that_disagrees_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny_spec("ppo", "Pendulum-v1")
    model = build_model(spec, make_training_env(spec, tmp_path))
    expected = bits(played(spec, model, with_sb3, 3))
    monkeypatch.setattr(episodes.Actor, "actions", lambda self: np.zeros((len(self.inputs), 1), np.float32))

    assert bits(played(spec, model, evaluate, 3)) == expected


def test_weights_that_are_nan_raise_what_sb3_raises(tmp_path: Path) -> None:
    spec = tiny_spec()
    model = build_model(spec, make_training_env(spec, tmp_path))
    with torch.no_grad():
        model.policy.action_net.bias[0] = torch.nan

    with pytest.raises(ValueError, match="to satisfy the constraint"):
        played(spec, model, evaluate, 3)


class Successful(gym.Wrapper[Any, Any, Any, Any]):
    """CartPole that reports success at the end of an episode."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "is_success": terminated or truncated}


def test_the_last_info_of_each_counted_episode_is_passed_on(tmp_path: Path) -> None:
    spec = tiny_spec()
    model = build_model(spec, make_training_env(spec, tmp_path))
    env = make_eval_env(spec, 7, 3)
    base: Any = env.unwrapped
    for member in base.envs:
        member.env = Successful(member.env)
    infos: list[dict[str, Any]] = []

    evaluate(model, env, 6, on_end=infos.append)

    assert [info["is_success"] for info in infos] == [True] * 6
    env.close()
