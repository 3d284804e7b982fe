"""SB3's own callbacks, driven by SB3's PPO and by CustomPPO: the same calls, files, verdicts and bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    LogEveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from custom_ppo import CustomPPO
from tests.custom_ppo.parity import Logged, Outcome, assert_identical, outcome_of

BOTH = (CustomPPO, PPO)
TOTAL = 1024

MakeCallback = Callable[[Path], BaseCallback]


def evaluation(folder: Path, **kwargs: Any) -> EvalCallback:
    env = make_vec_env("CartPole-v1", n_envs=2, seed=123)
    settings = {"eval_freq": 50, "n_eval_episodes": 3, "verbose": 0, "log_path": str(folder), **kwargs}
    return EvalCallback(env, best_model_save_path=str(folder), **settings)


class CountCalls(BaseCallback):
    """An event: remembers when it happened."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[int] = []

    def _on_step(self) -> bool:
        self.at.append(self.num_timesteps)
        return len(self.at) < 5


CALLBACKS: dict[str, MakeCallback] = {
    "EvalCallback": evaluation,
    "EvalCallback, stochastic": lambda folder: evaluation(folder, deterministic=False),
    "EvalCallback, StopTrainingOnRewardThreshold": lambda folder: evaluation(
        folder, callback_on_new_best=StopTrainingOnRewardThreshold(30.0)
    ),
    "EvalCallback, StopTrainingOnNoModelImprovement": lambda folder: evaluation(
        folder, callback_after_eval=StopTrainingOnNoModelImprovement(max_no_improvement_evals=1, min_evals=2)
    ),
    "StopTrainingOnMaxEpisodes": lambda folder: StopTrainingOnMaxEpisodes(max_episodes=9),
    "CheckpointCallback": lambda folder: CheckpointCallback(100, str(folder), save_vecnormalize=True),
    "EveryNTimesteps": lambda folder: EveryNTimesteps(150, CountCalls()),
    "LogEveryNTimesteps": lambda folder: LogEveryNTimesteps(100),
    "all at once": lambda folder: CallbackList(
        [
            evaluation(folder / "evaluations"),
            CheckpointCallback(200, str(folder)),
            EveryNTimesteps(70, CountCalls()),
            StopTrainingOnMaxEpisodes(max_episodes=15),
        ]
    ),
}
ENDS_EARLY = {
    "EvalCallback, StopTrainingOnRewardThreshold",
    "EvalCallback, StopTrainingOnNoModelImprovement",
    "StopTrainingOnMaxEpisodes",
    "EveryNTimesteps",
    "all at once",
}


def trained(cls: type[Any], callback: BaseCallback, **learn: Any) -> Outcome:
    env: VecEnv = make_vec_env("CartPole-v1", n_envs=2, seed=0)
    if isinstance(callback, CheckpointCallback):
        env = VecNormalize(env)
    model = cls("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=3, learning_rate=3e-3, seed=0, device="cpu")
    log = Logged()
    model.learn(TOTAL, callback=CallbackList([callback, log]), log_interval=None, **learn)
    return outcome_of(model, log)


def state_of(callback: BaseCallback) -> dict[str, Any]:
    """All that a callback counts and judges, and the same of those below it."""
    state: dict[str, Any] = {"": type(callback).__name__}
    for name, value in vars(callback).items():
        if isinstance(value, BaseCallback):
            if name != "parent":
                state[name] = state_of(value)
        elif name == "callbacks":
            state[name] = [state_of(child) for child in value]
        elif isinstance(value, bool | int | float | list | np.ndarray):
            state[name] = value
    return state


def files_of(folder: Path) -> dict[str, Any]:
    """Return the files that a callback wrote: weights of models, arrays, and the names of the others."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".zip":
            found[name] = {key: t.numpy() for key, t in PPO.load(path, device="cpu").policy.state_dict().items()}
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = dict(arrays)
        elif path.suffix == ".pkl":
            found[name] = vars(VecNormalize.load(str(path), make_vec_env("CartPole-v1", n_envs=2)).obs_rms)
        else:
            found[name] = None
    return found


@pytest.mark.parametrize("name", list(CALLBACKS))
def test_a_callback_of_sb3_does_to_custom_ppo_what_it_does_to_ppo(name: str, tmp_path: Path) -> None:
    outcomes, states, files = [], [], []
    for cls in BOTH:
        folder = tmp_path / cls.__name__
        callback = CALLBACKS[name](folder)
        outcomes.append(trained(cls, callback))
        states.append(state_of(callback))
        files.append(files_of(folder))
    assert_identical(*outcomes)
    np.testing.assert_equal(states[0], states[1])
    np.testing.assert_equal(files[0], files[1])
    assert (outcomes[0].model.num_timesteps < TOTAL) == (name in ENDS_EARLY)
    writes = "EvalCallback" in name or name in ("CheckpointCallback", "all at once")
    assert bool(files[0]) == writes


def test_the_comparison_of_callbacks_notices_another_training(tmp_path: Path) -> None:
    callbacks = [evaluation(tmp_path / name) for name in "ab"]
    trained(PPO, callbacks[0])
    env = make_vec_env("CartPole-v1", n_envs=2, seed=0)
    PPO("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=2, learning_rate=3e-3, seed=0, device="cpu").learn(
        TOTAL, callback=callbacks[1]
    )
    with pytest.raises(AssertionError):
        np.testing.assert_equal(*(state_of(callback) for callback in callbacks))
    with pytest.raises(AssertionError):
        np.testing.assert_equal(*(files_of(tmp_path / name) for name in "ab"))


def test_a_progress_bar_counts_the_same_steps(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    pytest.importorskip("rich")
    bars = []
    for cls in BOTH:
        callback = ProgressBarCallback()
        trained(cls, callback)
        bars.append((callback.pbar.n, callback.pbar.total))
    assert bars[0] == bars[1] == (TOTAL, TOTAL)
    assert_identical(*(trained(cls, Logged(), progress_bar=True) for cls in BOTH))
    capsys.readouterr()
