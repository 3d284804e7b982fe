"""ExactCheckpoint: when it saves, and what becomes of a damaged file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from custom_ppo import CustomPPO
from custom_ppo.sb3 import ExactCheckpoint, ModelFileError
from custom_ppo.sb3.resume import previous_of
from tests.custom_ppo.sb3.interruption import (
    CASES,
    N_ROLLOUTS,
    N_STEPS,
    interrupted,
    learn,
    make_model,
)


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
