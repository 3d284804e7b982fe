"""Callbacks that a hyperparameter file names: those of SB3 and rl_zoo3, their mistakes, and checkpoints beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from gymnasium import wrappers

from harness.errors import HarnessError
from harness.evaluation.episodes import evaluate_run
from harness.evaluation.settings import EvaluationSettings
from harness.experiment.run_folder import CHECKPOINT_NAME
from harness.training.control import Control
from harness.training.job import execute
from harness.training.train import train_run
from harness.training.trials import try_out
from harness.training.zoo_callbacks import build_callbacks, not_resumable
from tests.harness.toy_subjects import tiny_spec

SB3 = "stable_baselines3.common.callbacks"
ZOO = "rl_zoo3.callbacks"
SAC: dict[str, Any] = {
    "n_steps": None, "n_epochs": None, "n_envs": 1, "learning_starts": 100, "buffer_size": 1000, "batch_size": 16,
    "train_freq": 64, "gradient_steps": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what importing rl_zoo3 changes, so that other tests see Gymnasium's own wrapper."""
    for module in (wrappers, wrappers.common):
        monkeypatch.setattr(module, "TimeLimit", module.TimeLimit)


def test_callbacks_are_built_in_order_with_their_arguments(tmp_path: Path) -> None:
    value = [
        {f"{SB3}.CheckpointCallback": {"save_freq": 50, "save_path": "models"}},
        f"{ZOO}.RawStatisticsCallback",
        {f"{ZOO}.SaveVecNormalizeCallback": {"save_freq": 10, "save_path": "."}},
    ]

    checkpoint, raw, statistics = build_callbacks(tiny_spec(callback=value), tmp_path)

    assert vars(checkpoint)["save_freq"] == 50
    assert vars(checkpoint)["save_path"] == str(tmp_path / "models")
    assert type(raw).__name__ == "RawStatisticsCallback"
    assert vars(statistics)["save_path"] == str(tmp_path)
    assert not_resumable([checkpoint, raw, statistics]) == ["RawStatisticsCallback", "SaveVecNormalizeCallback"]


def test_an_entry_without_callbacks_has_none(tmp_path: Path) -> None:
    assert build_callbacks(tiny_spec(), tmp_path) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            f"{SB3}.CheckpointCallbak",
            f"module {SB3} has no CheckpointCallbak, did you mean CheckpointCallback?",
        ),
        (f"{ZOO}.os", f"{ZOO}.os is not a callback: expected a subclass of {SB3}.BaseCallback"),
        (
            {f"{SB3}.CheckpointCallback": {"save_frq": 5, "save_path": "a"}},
            f"{SB3}.CheckpointCallback has no argument save_frq, did you mean save_freq?",
        ),
        (
            {f"{SB3}.CheckpointCallback": {"save_freq": 5}},
            f"{SB3}.CheckpointCallback: missing a required argument: 'save_path'",
        ),
        (
            {f"{SB3}.StopTrainingOnRewardThreshold": {"reward_threshold": 5}},
            f"{SB3}.StopTrainingOnRewardThreshold works only as a part of an EvalCallback, "
            "which an entry cannot hold; remove it",
        ),
        (
            {f"{SB3}.EvalCallback": {"eval_env": "CartPole-v1"}},
            f"{SB3}.EvalCallback cannot be built: ValueError: The environment is of type <class 'str'>",
        ),
        (
            {f"{SB3}.EveryNTimesteps": {"n_steps": 5, "callback": f"{ZOO}.RawStatisticsCallback"}},
            f"{SB3}.EveryNTimesteps cannot be built: AttributeError: 'str' object has no attribute 'parent'",
        ),
        (
            f"{ZOO}.RawStatisticsCallback",
            "RawStatisticsCallback cannot be attached to custom_ppo: AssertionError: You must activate tensorboard",
        ),
        (
            f"{ZOO}.ParallelTrainCallback",
            "ParallelTrainCallback cannot be attached to custom_ppo: AssertionError: ",
        ),
    ],
)
def test_a_callback_that_cannot_be_used_is_a_finding_at_its_key(value: object, message: str) -> None:
    spec = tiny_spec("custom_ppo", callback=value)

    (finding,) = try_out([], [("custom_ppo", "custom_ppo")], [spec]).findings

    assert finding.message.startswith(message)
    assert "\n" not in finding.message
    assert (finding.env, finding.label, finding.key, finding.is_problem) == (spec.env, spec.algo, "callback", True)


@pytest.mark.parametrize(
    ("algo", "value", "note"),
    [
        (
            "custom_ppo",
            {f"{ZOO}.SaveVecNormalizeCallback": {"save_freq": 10, "save_path": "a"}},
            "runs of custom_ppo with the callback SaveVecNormalizeCallback make no checkpoints, as its state may not "
            "be saved: an interrupted run begins anew",
        ),
        ("custom_ppo", {f"{SB3}.StopTrainingOnMaxEpisodes": {"max_episodes": 3}}, None),
        ("ppo", {f"{ZOO}.SaveVecNormalizeCallback": {"save_freq": 10, "save_path": "a"}}, None),
    ],
)
def test_a_note_tells_that_a_callback_prevents_checkpoints(algo: str, value: object, note: str | None) -> None:
    found = try_out([], [(algo, algo)], [tiny_spec(algo, callback=value)]).findings

    assert [finding.message for finding in found] == ([] if note is None else [note])
    assert not any(finding.is_problem for finding in found)


def test_a_trial_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    value = {f"{SB3}.CheckpointCallback": {"save_freq": 1, "save_path": "models"}}

    assert try_out([], [("ppo", "ppo")], [tiny_spec(callback=value)]).findings == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algo", ["ppo", "custom_ppo"])
def test_callbacks_are_called_and_change_no_bit_of_a_run(algo: str, tmp_path: Path) -> None:
    value = [
        {f"{SB3}.CheckpointCallback": {"save_freq": 50, "save_path": "models"}},
        {f"{ZOO}.SaveVecNormalizeCallback": {"save_freq": 60, "save_path": "models"}},
    ]
    plain = train_run(tiny_spec(algo, normalize=True), tmp_path / "plain")

    record = train_run(tiny_spec(algo, normalize=True, callback=value), tmp_path / "run")

    assert record.parameters_digest == plain.parameters_digest
    assert record.final_rewards == plain.final_rewards
    assert record.spec.digest != plain.spec.digest
    assert {path.name for path in (tmp_path / "run" / "models").iterdir()} == {
        "rl_model_100_steps.zip", "rl_model_200_steps.zip", "vecnormalize.pkl",
    }  # fmt: skip


def test_a_callback_can_end_a_run_early(tmp_path: Path) -> None:
    value = {f"{SB3}.StopTrainingOnMaxEpisodes": {"max_episodes": 2}}

    record = train_run(tiny_spec(callback=value), tmp_path)

    assert record.status == "finished"
    assert 0 < record.steps < 256


def test_a_run_with_a_callback_of_unknown_state_makes_no_checkpoint(tmp_path: Path) -> None:
    value = {f"{ZOO}.SaveVecNormalizeCallback": {"save_freq": 60, "save_path": "models"}}
    saved: list[Path] = []
    spec = tiny_spec("custom_ppo", callback=value)

    record = execute(spec, tmp_path, Control(checkpoint_seconds=0.0, stop_requested=True))

    assert record is not None
    assert record.status == "finished", record.error
    assert saved == list(tmp_path.glob(CHECKPOINT_NAME))


def test_raw_statistics_reach_the_log_of_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    spec = tiny_spec(callback=f"{ZOO}.RawStatisticsCallback")

    record = execute(spec, tmp_path, Control(logging=("tensorboard",)))

    assert record is not None
    assert (record.status, record.troubles) == ("finished", ()), record.error
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert "raw/rollouts/episodic_return" in events.Tags()["scalars"]
    assert try_out([], [("ppo", "ppo")], [spec], logging=["tensorboard"]).findings == ()


def test_what_parallel_training_stores_is_what_is_evaluated(tmp_path: Path) -> None:
    spec = tiny_spec("sac", "Pendulum-v1", callback={f"{ZOO}.ParallelTrainCallback": {"gradient_steps": 3}}, **SAC)

    record = execute(spec, tmp_path, Control())

    assert record is not None
    assert record.status == "finished", record.error
    rewards, _ = evaluate_run(tmp_path, EvaluationSettings())
    assert rewards == record.final_rewards


def test_a_class_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no module nowhere"):
        build_callbacks(tiny_spec(callback="nowhere.Callback"), tmp_path)
    assert "nowhere" not in sys.modules
