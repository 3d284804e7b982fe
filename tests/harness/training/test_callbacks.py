from __future__ import annotations

import math
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecNormalize

from custom_ppo import CustomPPO
from harness.training.callbacks import ProgressReporter, SaveNormalization, Stopwatch, TrustRegion
from harness.training.progress import Progress


class Rows(KVWriter):
    """Keeps every row that a logger writes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None: ...


class Snapshots(BaseCallback):
    """Copies each rollout and its behaviour policy before the update."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer: Any = self.model.rollout_buffer  # type: ignore[attr-defined]
        self.taken.append({name: np.copy(getattr(buffer, name)) for name in ("observations", "actions")})
        self.taken[-1]["old"] = {key: value.clone() for key, value in self.model.policy.state_dict().items()}


def learn(model: Any, n_timesteps: int, *callbacks: BaseCallback) -> list[dict[str, Any]]:
    rows = Rows()
    model.set_logger(Logger(None, [rows]))
    model.learn(n_timesteps, callback=list(callbacks))
    model.logger.dump()
    return rows.rows


def log_probs(model: Any, snapshot: dict[str, Any], weights: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return log pi(a|s) of every transition, computed one by one from the formula of the density."""
    policy: Any = PPO("MlpPolicy", model.get_env()).policy
    policy.load_state_dict(weights)
    found = []
    with torch.no_grad():
        for observations, actions in zip(snapshot["observations"], snapshot["actions"], strict=True):
            for observation, action in zip(observations, actions, strict=True):
                distribution = policy.get_distribution(torch.as_tensor(observation)[None]).distribution
                if isinstance(distribution, torch.distributions.Categorical):
                    found.append(torch.log(distribution.probs[0, int(action.item())]).item())
                else:
                    mean, std = distribution.mean[0].double().numpy(), distribution.stddev[0].double().numpy()
                    density = -0.5 * ((action - mean) / std) ** 2 - np.log(std) - 0.5 * math.log(2 * math.pi)
                    found.append(float(density.sum()))
    return np.array(found)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("algorithm", [PPO, A2C, CustomPPO])
def test_the_quantiles_are_those_of_the_ratio_of_new_to_old_policy(algorithm: Any, env_id: str) -> None:
    model = algorithm("MlpPolicy", make_vec_env(env_id, n_envs=2, seed=0), n_steps=32, seed=0, learning_rate=0.01)
    snapshots = Snapshots()

    last = learn(model, 128, snapshots, TrustRegion(Stopwatch(), 128))[-1]

    snapshot = snapshots.taken[-1]
    log_ratio = log_probs(model, snapshot, model.policy.state_dict()) - log_probs(model, snapshot, snapshot["old"])
    assert np.ptp(log_ratio) > 0.01
    for name, share in {"01": 0.01, "25": 0.25, "50": 0.5, "75": 0.75, "99": 0.99}.items():
        assert last[f"update/ratio_q{name}"] == pytest.approx(np.quantile(np.exp(log_ratio), share), rel=1e-4)
    assert last["update/kl"] == pytest.approx(np.mean(np.exp(log_ratio) - 1 - log_ratio), rel=1e-2, abs=1e-6)


def test_every_update_is_logged_in_the_row_of_the_next_rollout() -> None:
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", seed=0), n_steps=32, batch_size=32, n_epochs=1, seed=0)

    rows = learn(model, 96, TrustRegion(Stopwatch(), 96))

    assert ["update/kl" in row for row in rows] == [False, True, True, True]


def test_the_number_of_measurements_is_limited() -> None:
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", seed=0), n_steps=16, batch_size=16, n_epochs=1, seed=0)

    rows = learn(model, 320, TrustRegion(Stopwatch(), 320, n_measurements=5))

    assert sum("update/kl" in row for row in rows) == 5


def test_a_recurrent_policy_is_skipped_with_one_warning() -> None:
    env = make_vec_env("CartPole-v1", seed=0)
    model = RecurrentPPO("MlpLstmPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = learn(model, 64, TrustRegion(Stopwatch(), 64))

    said = [str(w.message) for w in caught if "probability ratio" in str(w.message)]
    assert len(said) == 1
    assert said[0].startswith("the probability ratio cannot be measured for this policy: ")
    assert not any(key.startswith("update/") for row in rows for key in row)


def test_an_off_policy_algorithm_is_skipped_without_a_warning() -> None:
    model = DQN("MlpPolicy", make_vec_env("CartPole-v1", seed=0), learning_starts=10, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = learn(model, 40, TrustRegion(Stopwatch(), 40))

    assert not any(key.startswith("update/") for row in rows for key in row)


def test_a_stopwatch_sums_the_time_of_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watch = Stopwatch()

    with watch.paused_training():
        pass
    with pytest.raises(KeyError), watch.paused_training():
        raise KeyError

    assert watch.seconds == 2.5


def test_progress_is_reported_at_most_once_per_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Progress] = []
    reporter = ProgressReporter(said.append, seconds=1.0)
    reporter.model = SimpleNamespace(ep_info_buffer=[{"r": 3.0}, {"r": 5.0}])  # type: ignore[assignment]
    clock = iter([100.0, 100.9, 101.0, 101.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))

    for reporter.num_timesteps in (1, 2, 3, 4):
        assert reporter._on_step()

    assert said == [Progress(1, 4.0), Progress(3, 4.0)]


def test_progress_before_the_end_of_an_episode_has_no_return() -> None:
    said: list[Progress] = []
    reporter = ProgressReporter(said.append)
    reporter.model = SimpleNamespace(ep_info_buffer=[])  # type: ignore[assignment]
    reporter._on_step()

    assert math.isnan(said[0].episode_return)


@pytest.mark.parametrize("normalised", [True, False])
def test_normalisation_is_saved_if_the_environment_has_any(normalised: bool, tmp_path: Path) -> None:
    env = make_vec_env("CartPole-v1")
    env = VecNormalize(env) if normalised else env
    path = tmp_path / "CartPole-v1" / "best_vecnormalize.pkl"
    callback = SaveNormalization(path)
    callback.model = PPO("MlpPolicy", env)

    assert callback._on_step()

    assert path.exists() == normalised
