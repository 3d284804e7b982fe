from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecFrameStack, VecNormalize

from custom_ppo import CustomA2C, CustomPPO
from custom_ppo.config import InvalidConfigError
from custom_ppo.diagnostics import TrainingDivergedError
from custom_ppo.sb3 import ExactCheckpoint, ModelFileError
from custom_ppo.sb3.resume import previous_of
from tests.probe_envs import BrokenWorld, ContextReward, RandomWorld

N_STEPS = 16
N_ROLLOUTS = 8
EVERY = 2
KILLED_IN = 6
"""Rollout in which training ends: the last checkpoint is after four, and a fifth update is lost."""


class Rows(KVWriter):
    """Keeps the rows of a logger, but for what is measured by a clock."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        clocks = ("time/fps", "time/time_elapsed")
        self.rows.append({key: value for key, value in key_values.items() if key not in clocks})


class KilledError(Exception):
    """Stands for a kill."""


class InterruptAt(BaseCallback):
    """Ends training, in the middle of a rollout, at its n-th step."""

    def __init__(self, n: int, end: Callable[[], Any]) -> None:
        super().__init__()
        self.n = n
        self.end = end

    def _on_step(self) -> bool:
        if self.n_calls == self.n:
            self.end()
        return True


def interrupt() -> None:
    raise KilledError


def world() -> gym.Env[Any, Any]:
    return RandomWorld(spaces.Box(-1, 1, (3,)), spaces.MultiDiscrete([2, 3]))


class GlobalWorld(RandomWorld):
    """Draws its rewards from NumPy's global generator, as the agent does its minibatches."""

    def __init__(self) -> None:
        super().__init__(spaces.Dict({"a": spaces.Box(-1, 1, (3,)), "b": spaces.Discrete(3)}), spaces.Discrete(2))

    def reward(self, action: Any) -> float:
        return float(np.random.normal())  # noqa: NPY002


CASES: dict[str, dict[str, Any]] = {
    "CartPole": {"env": "CartPole-v1", "learning_rate": lambda progress: 1e-2 * progress},
    "CartPole, autograd": {"env": "CartPole-v1", "engine": "autograd"},
    "CartPole, stacked frames": {"env": "CartPole-v1", "n_envs": 2, "wrap": lambda env: VecFrameStack(env, 3)},
    "Pendulum, normalised, gSDE": {
        "env": "Pendulum-v1",
        "n_envs": 4,
        "wrap": VecNormalize,
        "use_sde": True,
        "sde_sample_freq": 5,
        "clip_range": lambda progress: 0.3 * progress,
    },
    "Pendulum, A2C": {"cls": CustomA2C, "env": "Pendulum-v1", "n_envs": 2},
    "a world that samples its spaces": {"env": world, "n_envs": 2},
    "SB3's policy, Dict observations, global randomness": {
        "env": GlobalWorld,
        "n_envs": 2,
        "policy": PPO.policy_aliases["MultiInputPolicy"],
    },
    "one-step episodes": {"env": ContextReward},
    "MuJoCo, two environments": {"env": "Hopper-v5", "n_envs": 2, "wrap": VecNormalize},
}


def make_model(folder: Path, case: dict[str, Any]) -> Any:
    kwargs = {"policy": "MlpPolicy", "n_envs": 1, "wrap": None, "cls": CustomPPO, **case}
    cls, wrap = kwargs.pop("cls"), kwargs.pop("wrap")
    env: VecEnv = make_vec_env(kwargs.pop("env"), n_envs=kwargs.pop("n_envs"), seed=3, monitor_dir=str(folder))
    if cls is CustomPPO:
        kwargs = {"batch_size": 16, "n_epochs": 2, **kwargs}
    return cls(env=wrap(env) if wrap else env, n_steps=N_STEPS, seed=0, device="cpu", **kwargs)


def learn(model: Any, *callbacks: BaseCallback) -> list[dict[str, Any]]:
    """Train to the end, or to an interruption; returns what was logged."""
    rows = Rows()
    model.set_logger(Logger(None, [rows]))
    try:
        model.learn(N_STEPS * model.n_envs * N_ROLLOUTS, callback=CallbackList(list(callbacks)), log_interval=1)
    except KilledError:
        return rows.rows
    model.logger.dump()  # what the last update told it
    return rows.rows


def scramble() -> None:
    """Move the random generators, as another process would have other random numbers."""
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)


def without_seconds(episodes: Any) -> list[dict[str, Any]]:
    return [{key: value for key, value in episode.items() if key != "t"} for episode in episodes]


def everything(model: Any) -> dict[str, Any]:
    """All by which two trainings can differ, taken before anything else draws random numbers."""
    normalisation = model.get_vec_normalize_env()
    env = model.env.unwrapped
    return {
        "randomness": [torch.get_rng_state().numpy(), np.random.get_state(), random.getstate()],  # noqa: NPY002
        "weights": {name: tensor.numpy().copy() for name, tensor in model.policy.state_dict().items()},
        "optimizer": [
            {name: torch.as_tensor(value).numpy().copy() for name, value in state.items()}
            for state in model.policy.optimizer.state.values()
        ],
        "learning_rate": model.policy.optimizer.param_groups[0]["lr"],
        "counters": [model.num_timesteps, model._n_updates, model._current_progress_remaining],
        "observations": [model._last_obs, model._last_episode_starts, model._last_original_obs],
        "episodes": without_seconds(model.ep_info_buffer),
        "environments": [generator.bit_generator.state for generator in env.get_attr("np_random")],
        "spaces": [space.np_random.bit_generator.state for space in (model.action_space, model.observation_space)]
        if isinstance(env.envs[0].unwrapped, RandomWorld)
        else [],
        "statistics": [
            vars(normalisation.obs_rms),
            vars(normalisation.ret_rms),
            normalisation.returns,
            normalisation.old_reward,
        ]
        if normalisation
        else [],
    }


def episode_logs(folder: Path) -> dict[str, list[list[str]]]:
    """Rows of all monitor files, without the seconds."""
    return {
        path.name: [line.split(",")[:2] for line in path.read_text().splitlines()[1:]]
        for path in sorted(folder.glob("*.monitor.csv"))
    }


def interrupted(folder: Path, case: dict[str, Any]) -> tuple[Path, list[dict[str, Any]]]:
    """A training that ends too early: its checkpoint, and the rows that were logged up to that."""
    checkpoint = ExactCheckpoint(folder / "checkpoint", every=EVERY)
    end = InterruptAt(N_STEPS * KILLED_IN - 3, interrupt)
    rows = learn(make_model(folder, case), checkpoint, end)
    assert len(rows) == KILLED_IN - 1
    return checkpoint.path, rows[: (KILLED_IN - 1) // EVERY * EVERY]


@pytest.mark.parametrize("name", list(CASES))
def test_an_interrupted_training_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    if "MuJoCo" in name:
        pytest.importorskip("mujoco")
    case = CASES[name]
    uninterrupted = make_model(tmp_path / "reference", case)
    expected_rows = learn(uninterrupted)
    expected = everything(uninterrupted)
    path, first_rows = interrupted(tmp_path / "resumed", case)
    scramble()
    model = case.get("cls", CustomPPO).resume(path, device="cpu")
    rows = first_rows + learn(model)
    np.testing.assert_equal(everything(model), expected)
    np.testing.assert_equal(rows, expected_rows)
    assert len(rows) == N_ROLLOUTS + 1
    assert episode_logs(tmp_path / "resumed") == episode_logs(tmp_path / "reference")


def test_checkpoints_do_not_change_the_training_that_makes_them(tmp_path: Path) -> None:
    case = CASES["Pendulum, normalised, gSDE"]
    outcomes = []
    for folder, callbacks in (("with", [ExactCheckpoint(tmp_path / "checkpoint")]), ("without", [])):
        model = make_model(tmp_path / folder, case)
        learn(model, *callbacks)
        outcomes.append(everything(model))
    np.testing.assert_equal(*outcomes)
    assert episode_logs(tmp_path / "with") == episode_logs(tmp_path / "without")


def test_a_training_that_is_interrupted_twice_ends_with_the_same_bits(tmp_path: Path) -> None:
    case = CASES["CartPole"]
    uninterrupted = make_model(tmp_path / "reference", case)
    learn(uninterrupted)
    expected = everything(uninterrupted)
    path, _ = interrupted(tmp_path / "resumed", case)
    learn(CustomPPO.resume(path, device="cpu"), ExactCheckpoint(path), InterruptAt(2 * N_STEPS + 5, interrupt))
    model = CustomPPO.resume(path, device="cpu")
    assert model.num_timesteps == 6 * N_STEPS
    learn(model)
    np.testing.assert_equal(everything(model), expected)


def test_a_second_part_of_a_training_is_resumed_by_the_call_that_was_interrupted(tmp_path: Path) -> None:
    case = CASES["CartPole"]
    further = {"total_timesteps": 4 * N_STEPS, "reset_num_timesteps": False}
    uninterrupted = make_model(tmp_path / "reference", case).learn(2 * N_STEPS).learn(**further)
    expected = everything(uninterrupted)
    model = make_model(tmp_path / "resumed", case).learn(2 * N_STEPS)
    checkpoint = ExactCheckpoint(tmp_path / "checkpoint")
    with pytest.raises(KilledError):
        model.learn(**further, callback=[checkpoint, InterruptAt(2 * N_STEPS + 5, interrupt)])
    resumed = CustomPPO.resume(checkpoint.path, device="cpu").learn(**further)
    np.testing.assert_equal(everything(resumed), expected)


def test_loading_a_checkpoint_as_a_model_is_not_enough(tmp_path: Path) -> None:
    # If this were equal, the tests above would show nothing.
    case = CASES["CartPole"]
    uninterrupted = make_model(tmp_path / "reference", case)
    learn(uninterrupted)
    path, _ = interrupted(tmp_path / "resumed", case)
    env = make_vec_env("CartPole-v1", seed=3)
    loaded = CustomPPO.load(path, env=env, device="cpu")
    loaded.learn(4 * N_STEPS, reset_num_timesteps=False)
    assert loaded.num_timesteps == uninterrupted.num_timesteps
    ours, theirs = (model.policy.state_dict()["value_net.bias"] for model in (loaded, uninterrupted))
    assert not torch.equal(ours, theirs)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from custom_ppo.sb3 import ExactCheckpoint
from tests.custom_ppo.test_resume import CASES, EVERY, KILLED_IN, N_STEPS, InterruptAt, learn, make_model

folder = Path(sys.argv[1])
kill = InterruptAt(N_STEPS * KILLED_IN - 3, lambda: os.kill(os.getpid(), signal.SIGKILL))
learn(make_model(folder, CASES[sys.argv[2]]), ExactCheckpoint(folder / "checkpoint", every=EVERY), kill)
"""


@pytest.mark.parametrize(
    "name",
    [
        "CartPole",
        "Pendulum, normalised, gSDE",  # four environments, VecNormalize
        "MuJoCo, two environments",
        "SB3's policy, Dict observations, global randomness",
    ],
)
def test_a_killed_process_is_resumed_by_another_to_the_same_bits(name: str, tmp_path: Path) -> None:
    if "MuJoCo" in name:
        pytest.importorskip("mujoco")
    uninterrupted = make_model(tmp_path / "reference", CASES[name])
    learn(uninterrupted)
    expected = everything(uninterrupted)
    root = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed"), name],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    model = CustomPPO.resume(tmp_path / "killed" / "checkpoint.zip", device="cpu")
    assert model.num_timesteps == 4 * N_STEPS * model.n_envs
    learn(model)
    np.testing.assert_equal(everything(model), expected)
    assert episode_logs(tmp_path / "killed") == episode_logs(tmp_path / "reference")


def test_training_that_diverged_resumes_from_its_last_good_checkpoint(
    tmp_path: Path,
) -> None:
    healthy = make_model(tmp_path / "healthy", {"env": BrokenWorld})
    learn(healthy)
    expected = everything(healthy)
    checkpoint = ExactCheckpoint(tmp_path / "checkpoint")
    model = make_model(tmp_path / "broken", {"env": lambda: BrokenWorld(nan_reward_at=4 * N_STEPS + 7)})
    with pytest.raises(TrainingDivergedError) as error:
        learn(model, checkpoint)
    assert str(error.value) == (
        f"iteration 5: the reward of step 7 of {N_STEPS}, environment 0, is nan: the environment returned it"
    )
    assert not checkpoint.path.with_name(f"{checkpoint.path.name}.unfinished").exists()
    again = CustomPPO.resume(checkpoint.path, device="cpu")
    assert again.num_timesteps == 4 * N_STEPS
    with pytest.raises(TrainingDivergedError, match=r"^iteration 5: the reward of step 7 "):
        learn(again)
    mended = CustomPPO.resume(checkpoint.path, device="cpu")
    mended.env.envs[0].unwrapped.nan_reward_at = 0
    learn(mended)
    np.testing.assert_equal(everything(mended), expected)


# When a checkpoint is made


class CountSaves(ExactCheckpoint):
    def __init__(self, path: Path, every: int) -> None:
        super().__init__(path, every)
        self.saves: list[int] = []

    def save(self) -> None:
        super().save()
        self.saves.append(self.num_timesteps // N_STEPS)


def test_the_last_rollout_is_saved_too(tmp_path: Path) -> None:
    checkpoint = CountSaves(tmp_path / "checkpoint", every=3)
    learn(make_model(tmp_path, CASES["CartPole"]), checkpoint)
    assert checkpoint.saves == [3, 6, 8]
    finished = CustomPPO.resume(checkpoint.path, device="cpu")
    learn(finished)
    assert finished.num_timesteps == N_ROLLOUTS * N_STEPS, "there was nothing left to do"


def test_a_callback_can_be_used_for_two_trainings(tmp_path: Path) -> None:
    checkpoint = CountSaves(tmp_path / "checkpoint", every=100)
    for _ in range(2):
        learn(make_model(tmp_path, CASES["CartPole"]), checkpoint)
    assert checkpoint.saves == [8, 8]


def test_no_checkpoint_is_made_within_a_rollout(tmp_path: Path) -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            return self.n_calls < 3 * N_STEPS + 5

    checkpoint = CountSaves(tmp_path / "checkpoint", every=2)
    learn(make_model(tmp_path, CASES["CartPole"]), checkpoint, Stop())
    assert checkpoint.saves == [2]


def test_a_checkpoint_is_a_model_for_both_libraries(tmp_path: Path) -> None:
    model = make_model(tmp_path, CASES["CartPole"])
    learn(model, ExactCheckpoint(tmp_path / "checkpoint"))
    observations = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    expected = model.predict(observations, deterministic=True)[0]
    for cls in (CustomPPO, PPO):
        loaded = cls.load(tmp_path / "checkpoint.zip", device="cpu")
        np.testing.assert_array_equal(loaded.predict(observations, deterministic=True)[0], expected)


def test_the_break_is_not_counted_as_training_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = interrupted(tmp_path, CASES["CartPole"])
    model = CustomPPO.resume(path, device="cpu")
    assert model._interrupted is not None
    elapsed = model._interrupted.elapsed
    assert elapsed > 0
    now = 10**19
    monkeypatch.setattr("custom_ppo.sb3.resume.time.time_ns", lambda: now)
    learn(model)
    assert model.start_time == now - elapsed


# Mistakes, found before training


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


# Damaged files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint after four rollouts; the one before it is after two."""
    return interrupted(tmp_path, CASES["CartPole"])[0]


def resume_error(path: Path) -> str:
    with pytest.raises(ModelFileError) as error:
        CustomPPO.resume(path, device="cpu")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("share", "reason"),
    # Half of the file holds the end of policy.pth, which is a zip file itself.
    [(0.0, "File is not a zip file"), (0.01, "File is not a zip file"), (0.5, "File ends too early")],
)
def test_a_truncated_checkpoint_leaves_the_one_before_it(path: Path, share: float, reason: str) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    previous = previous_of(path)
    assert resume_error(path) == (
        f"{path}: not a model, or only a part of one: {reason}; save it again, or take an older copy; "
        f"resume from {previous}"
    )
    assert CustomPPO.resume(previous, device="cpu").num_timesteps == 2 * N_STEPS


def test_a_changed_byte_is_detected(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is damaged" in resume_error(path) or "Bad magic number" in resume_error(path)


def test_a_model_without_its_environments_is_no_checkpoint(tmp_path: Path) -> None:
    make_model(tmp_path, CASES["CartPole"]).save(tmp_path / "model.zip")
    assert resume_error(tmp_path / "model.zip") == (
        f"{tmp_path / 'model.zip'}: a zip file without 'exact_state.pkl'; "
        "expected a checkpoint of ExactCheckpoint (load() reads other models)"
    )


def test_a_lost_episode_log_is_reported(path: Path) -> None:
    log = path.parent / "0.monitor.csv"
    log.write_text("")
    message = resume_error(path)
    assert message.startswith(f"{path}: its environments cannot be restored: {log} has lost rows since: expected ")
    assert message.endswith(" bytes, found 0")


def test_a_failed_write_leaves_the_checkpoint_that_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left on device")

    model = CustomPPO.resume(path, device="cpu")
    checkpoint = ExactCheckpoint(path)
    checkpoint.init_callback(model)
    model.set_logger(Logger(None, []))
    monkeypatch.setattr("custom_ppo.sb3.resume.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save()
    assert path.read_bytes() == content


def test_other_versions_and_threads_are_warned_about(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom_ppo.sb3.resume.np.__version__", "0.0")
    with pytest.warns(UserWarning) as warned:  # noqa: PT030  the whole message is compared
        CustomPPO.resume(path, device="cpu")
    monkeypatch.undo()
    ours = [warning for warning in warned if warning.category is UserWarning]
    assert [str(warning.message) for warning in ours] == [
        f"{path} was written with numpy {np.__version__} (here 0.0): training goes on, but perhaps not to the same "
        "last bits"
    ]
    assert ours[0].filename == __file__
