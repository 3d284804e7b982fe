from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from harness.experiment.plan import RunSpec
from harness.training import evaluation as module
from harness.training.callbacks import Evaluation, Stopwatch
from harness.training.envs import SB3_CLASSES, VecEnvClasses, lean_classes, make_eval_env, make_training_env
from harness.training.evaluation import Episodes, evaluated
from harness.training.lean_predictions import lean_predictions
from harness.training.models import build_model
from harness.training.train import _copy_normalization
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec

A2C = {"n_steps": 16, "batch_size": None, "n_epochs": None}
DOUBLE_PENDULUM = "InvertedDoublePendulum-v5"


@pytest.fixture
def _only_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if an evaluation is left to SB3's function."""

    def unexpected(*_: Any) -> None:
        raise AssertionError("left to evaluate_policy")

    monkeypatch.setattr(module, "_by_sb3", unexpected)


def by_sb3(model: Any, env: VecEnv, n_episodes: int) -> Episodes:
    """Return the episodes of an unmodified evaluate_policy."""
    returns, lengths = evaluate_policy(model, env, n_episodes, deterministic=True, return_episode_rewards=True)
    return Episodes(returns, lengths)  # type: ignore[arg-type]


def played(
    spec: RunSpec, model: Any, n_episodes: int, classes: VecEnvClasses, evaluation: Callable[..., Episodes]
) -> tuple[Any, ...]:
    """Return the results of three evaluations in one set of environments, and the generators' states after them."""
    env = make_eval_env(spec, 7, n_episodes, classes=classes)
    _copy_normalization(model, env)
    rounds = []
    for _ in range(3):
        episodes = evaluation(model, env, n_episodes)
        rounds.append(([value.hex() for value in episodes.returns], episodes.lengths))
    base: Any = env.unwrapped
    states = [str(member.unwrapped.np_random.bit_generator.state) for member in base.envs]
    monitors = [(member.total_steps, member.episode_returns, member.episode_lengths) for member in base.envs]
    env.close()
    return rounds, states, monitors, torch.get_rng_state().tolist()


@pytest.mark.usefixtures("_only_own_loop")
@pytest.mark.parametrize(
    "spec",
    [
        tiny_spec(),
        tiny_spec("custom_ppo"),
        tiny_spec("a2c", **A2C),
        tiny_spec(normalize=True),
        tiny_spec(normalize="{'norm_obs': False}"),
        tiny_spec("custom_ppo", "Pendulum-v1", use_sde=True, normalize="{'clip_obs': 0.5}"),
        tiny_spec("a2c", "Pendulum-v1", use_sde=True, **A2C),
        tiny_spec("ppo", DOUBLE_PENDULUM, normalize=True),
        tiny_spec("custom_ppo", DOUBLE_PENDULUM),
        tiny_spec("ppo", FAULTY_ENV),
    ],
    ids=lambda spec: f"{spec.algo} {spec.env} {spec.hyperparams.get('normalize', '')}",
)
@pytest.mark.parametrize("n_episodes", [1, 3, 12])
def test_own_evaluations_are_those_of_evaluate_policy(spec: RunSpec, n_episodes: int) -> None:
    model = build_model(spec, make_training_env(spec, None)).learn(256)
    expected = played(spec, model, n_episodes, SB3_CLASSES, by_sb3)

    with lean_predictions(model):
        assert played(spec, model, n_episodes, lean_classes(), evaluated) == expected
        assert played(spec, model, n_episodes, SB3_CLASSES, evaluated) == expected


class MonitoredLives(Monitor[Any, Any]):
    """A Monitor around lives that are hidden from it, so that ends of lives have no `episode`."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        self.n_lives = getattr(self, "n_lives", 0) + 1
        self.needs_reset = False
        info["is_success"] = bool(self.n_lives % 2)
        return observation, reward, terminated or self.n_lives % 101 == 0, truncated, info


def test_lives_and_successes_are_counted_as_by_evaluate_policy() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", seed=0)

    def environments() -> DummyVecEnv:
        env = DummyVecEnv([lambda: MonitoredLives(gym.make("CartPole-v1"))] * 3)
        env.seed(0)
        return env

    expected = module._by_sb3(model, environments(), 8)
    with lean_predictions(model):
        assert module._is_known(model, environments())
        found = evaluated(model, environments(), 8)

    assert found == expected
    assert len(found.returns) < len(found.successes), "some lives end before the episode"


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    original = module._by_sb3
    monkeypatch.setattr(module, "_by_sb3", lambda *arguments: calls.append(1) or original(*arguments))
    return calls


@pytest.mark.parametrize(
    ("algo", "hyperparams"),
    [
        ("ppo", {"frame_stack": 2}),
        ("dqn", {"learning_starts": 50, "n_envs": 1}),
        ("recurrent_ppo", {"policy": "MlpLstmPolicy", "n_envs": 1}),
    ],
)
def test_other_policies_and_environments_are_left_to_evaluate_policy(
    algo: str, hyperparams: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    unused = {} if algo == "ppo" else {"n_steps": None, "n_epochs": None, "batch_size": None}
    spec = tiny_spec(algo, **unused, **hyperparams)
    model = build_model(spec, make_training_env(spec, None))
    expected = played(spec, model, 3, SB3_CLASSES, by_sb3)
    calls = count_calls(monkeypatch)

    with lean_predictions(model):
        assert played(spec, model, 3, lean_classes(), evaluated) == expected

    assert len(calls) == 3


class OwnPredict(PPO):
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        return super().predict(*args, **kwargs)


class OtherVecEnv(DummyVecEnv):
    pass


def _cartpoles() -> list[Callable[[], Any]]:
    return [lambda: Monitor(gym.make("CartPole-v1"))] * 2


@pytest.mark.parametrize(
    ("algorithm", "make_env"),
    [
        (OwnPredict, lambda: DummyVecEnv(_cartpoles())),
        (PPO, lambda: OtherVecEnv(_cartpoles())),
        (PPO, lambda: VecNormalize(DummyVecEnv(_cartpoles()), training=True)),
        (PPO, lambda: VecNormalize(VecNormalize(DummyVecEnv(_cartpoles()), training=False), training=False)),
        (PPO, lambda: DummyVecEnv([lambda: gym.make("CartPole-v1")])),
    ],
    ids=["predict", "vector environment", "statistics that move", "two wrappers", "no monitor"],
)
@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped")
def test_what_may_do_something_else_is_left_to_evaluate_policy(
    algorithm: type[PPO], make_env: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = algorithm("MlpPolicy", "CartPole-v1")
    calls = count_calls(monkeypatch)

    with lean_predictions(model):
        evaluated(model, make_env(), 2)

    assert calls == [1]


class Rows(KVWriter):
    """Keeps every row that a logger writes."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append((step, {key: value for key, value in key_values.items() if "time/" not in key}))

    def close(self) -> None: ...


@pytest.mark.parametrize("normalize", [None, True])
def test_the_callback_writes_what_sb3s_callback_writes(normalize: bool | None, tmp_path: Any) -> None:
    spec = tiny_spec(normalize=normalize)

    def run(name: str, make: Callable[..., EvalCallback]) -> tuple[Any, ...]:
        env = make_eval_env(spec, 3, 4, classes=lean_classes())
        model = build_model(spec, make_training_env(spec, None, classes=lean_classes()))
        rows = Rows()
        model.set_logger(Logger(None, [rows]))
        paths = {"log_path": str(tmp_path / name), "best_model_save_path": str(tmp_path / name)}
        callback = make(env, eval_freq=32, n_eval_episodes=4, **paths)
        model.learn(512, callback=callback)
        with np.load(tmp_path / name / "evaluations.npz") as data:
            arrays = {key: (data[key].dtype, data[key].tolist()) for key in data.files}
        best = PPO.load(tmp_path / name / "best_model.zip").policy.state_dict()
        numbers = {key: tensor.numpy().tobytes() for key, tensor in best.items()}
        return arrays, numbers, rows.rows, callback.last_mean_reward, callback.best_mean_reward

    expected = run("sb3", lambda env, **kwargs: EvalCallback(env, deterministic=True, verbose=0, **kwargs))
    assert run("own", lambda env, **kwargs: Evaluation(env, Stopwatch(), **kwargs)) == expected
