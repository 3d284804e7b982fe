from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.utils import explained_variance

from custom_ppo import CustomPPO
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.sb3.log import mean, variance_explained
from tests.custom_ppo.sb3.models import BOTH, make_model
from tests.probe_envs import RandomWorld


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
    model = make_model(cls, env, **kwargs)
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
        make_model(cls, target_kl=1e-6, learning_rate=1e-2, verbose=1).learn(48, log_interval=None)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert re.search(r"^Early stopping at step \d due to reaching max kl: \d\.\d\d$", texts[0], re.MULTILINE)


def test_it_is_silent_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    make_model(CustomPPO, target_kl=1e-6).learn(48)
    assert capsys.readouterr() == ("", "")


def test_tensorboard_gets_a_folder_with_sb3s_name(tmp_path: Path) -> None:
    pytest.importorskip("torch.utils.tensorboard")
    for cls in BOTH:
        make_model(cls, tensorboard_log=str(tmp_path / cls.__name__)).learn(32)
    assert [folder.name for folder in (tmp_path / "CustomPPO").iterdir()] == ["PPO_1"]
    assert [folder.name for folder in (tmp_path / "PPO").iterdir()] == ["PPO_1"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_have_the_bits_and_the_type_of_numpys(dtype: type[Any]) -> None:
    rng = np.random.default_rng(0)
    for n in [*range(1, 20), 130, 1000]:
        numbers: Any = [dtype(x) for x in rng.normal(size=n) * 10.0 ** rng.integers(-30, 30)]
        numbers = numbers if dtype is np.float32 else [float(x) for x in numbers]
        ours, theirs = mean(numbers), np.mean(numbers)
        assert type(ours) is type(theirs)
        assert ours.tobytes() == theirs.tobytes()
    assert np.signbit(mean([-0.0])) == np.signbit(np.mean([-0.0]))


@pytest.mark.parametrize("n_steps", [1, 2, 5, 8, 16, 33, 257])
def test_explained_variance_has_the_bits_of_sb3s(n_steps: int) -> None:
    rng = np.random.default_rng(n_steps)
    space = spaces.Box(-1, 1, (1,))
    for n_envs in (1, 2, 8):
        for scale in (1e-20, 1e-3, 1.0, 1e10, 1e25, 0.0):
            memory = TrajectoryMemory(n_steps, n_envs, space, space)
            memory.values[:], memory.returns[:] = rng.normal(size=(2, n_steps, n_envs)) * scale
            with np.errstate(all="ignore"):
                theirs = explained_variance(memory.values.T.flatten(), memory.returns.T.flatten())
                ours = variance_explained(memory)
            assert np.float64(ours).tobytes() == np.float64(theirs).tobytes()
