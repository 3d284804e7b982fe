"""Training that is interrupted and resumed ends with the bits of training that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env

from custom_ppo import CustomPPO
from custom_ppo.diagnostics import TrainingDivergedError
from custom_ppo.sb3 import ExactCheckpoint
from tests.custom_ppo.sb3.interruption import (
    CASES,
    N_ROLLOUTS,
    N_STEPS,
    InterruptAt,
    KilledError,
    episode_logs,
    everything,
    interrupt,
    interrupted,
    learn,
    make_model,
    scramble,
)
from tests.probe_envs import BrokenWorld


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
from tests.custom_ppo.sb3.interruption import CASES, EVERY, KILLED_IN, N_STEPS, InterruptAt, learn, make_model

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
    root = Path(__file__).parents[3]
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
