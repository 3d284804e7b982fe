from __future__ import annotations

import contextlib
import dataclasses
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from harness.errors import RecordError, UnknownNameError
from harness.evaluation.episodes import evaluate_run
from harness.evaluation.settings import EvaluationSettings
from harness.experiment.run_records import RECORD_NAME, write_record
from harness.training.train import parameters_digest
from tests.harness.evaluation.malice import Malice, plant_in_data, plant_in_weights
from tests.harness.evaluation.stored import trained_run
from tests.harness.toy_subjects import FAULTY_ENV

NO_PPO = {"batch_size": None, "n_epochs": None}
OFF_POLICY: dict[str, Any] = {"n_steps": None, "batch_size": None, "n_epochs": None, "n_envs": None}
RECURRENT: dict[str, Any] = {"policy": "MlpLstmPolicy", "n_steps": 32, "n_envs": 1, "n_epochs": 1}


def problem(folder: Path, **settings: Any) -> str:
    with pytest.raises(RecordError) as error:
        evaluate_run(folder, EvaluationSettings(**settings))
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(folder), "RUN")


@pytest.mark.parametrize(
    ("algo", "env", "hyperparams"),
    [
        ("ppo", "CartPole-v1", {}),
        ("custom_ppo", "CartPole-v1", {"normalize": True}),
        ("custom_ppo", "Pendulum-v1", {"use_sde": True, "sde_sample_freq": 4}),
        ("a2c", "CartPole-v1", {"normalize": "{'norm_obs': True, 'norm_reward': False}", "n_steps": 16, **NO_PPO}),
        ("ppo", "CartPole-v1", {"frame_stack": 2, "normalize": True}),
        ("dqn", "CartPole-v1", {**OFF_POLICY, "learning_starts": 50, "buffer_size": 1000}),
        ("recurrent_ppo", "CartPole-v1", RECURRENT),
    ],
)
def test_the_final_evaluation_is_repeated_exactly(
    algo: str, env: str, hyperparams: dict[str, Any], tmp_path: Path
) -> None:
    folder, record, _ = trained_run(tmp_path, algo, env, 3, **hyperparams)

    rewards, lengths = evaluate_run(folder, EvaluationSettings())

    assert (rewards, lengths) == (record.final_rewards, record.final_lengths)
    assert len(rewards) == 3


def test_the_best_model_is_evaluated_with_its_own_statistics(tmp_path: Path) -> None:
    folder, record, spec = trained_run(tmp_path, "custom_ppo", "Pendulum-v1", normalize=True, learning_rate=0.01)

    best = evaluate_run(folder, EvaluationSettings(snapshot="best"))[0]

    shutil.copy(folder / "best_model.zip", folder / f"{spec.env}.zip")
    shutil.copy(folder / spec.env / "best_vecnormalize.npz", folder / spec.env / "vecnormalize.npz")
    model = PPO.load(folder / "best_model.zip", device="cpu")
    write_record(folder, dataclasses.replace(record, parameters_digest=parameters_digest(model.policy)))
    assert best == evaluate_run(folder, EvaluationSettings())[0]
    assert len(best) == 3


def test_stochastic_episodes_are_repeatable_and_are_not_the_deterministic_ones(tmp_path: Path) -> None:
    folder, record, _ = trained_run(tmp_path, "custom_ppo", "Pendulum-v1", use_sde=True)
    settings = EvaluationSettings(deterministic=False)

    first = evaluate_run(folder, settings)

    assert first == evaluate_run(folder, settings)
    assert first[0] != record.final_rewards


def test_seeds_choose_the_start_states_of_other_runs(tmp_path: Path) -> None:
    folder, record, _ = trained_run(tmp_path, seed=0)

    rewards, _ = evaluate_run(folder, EvaluationSettings(seeds=(0, 5), episodes=3))

    assert len(rewards) == 6
    assert rewards[:3] == record.final_rewards
    assert rewards[3:] == evaluate_run(folder, EvaluationSettings(seeds=(5,)))[0]


def test_another_environment_with_the_same_spaces_is_played(tmp_path: Path) -> None:
    folder, record, _ = trained_run(tmp_path)

    rewards, lengths = evaluate_run(folder, EvaluationSettings(env="CartPole-v0", episodes=4))

    assert len(rewards) == 4
    assert max(lengths) <= 200
    assert rewards[:3] != record.final_rewards


@pytest.mark.parametrize(
    ("env", "start"),
    [
        ("Pendulum-v1", "Pendulum-v1 has another observation space than CartPole-v1: Box("),
        ("Acrobot-v1", "Acrobot-v1 has another observation space than CartPole-v1: Box("),
    ],
)
def test_an_environment_with_other_spaces_is_refused(env: str, start: str, tmp_path: Path) -> None:
    folder, _, _ = trained_run(tmp_path)

    assert problem(folder, env=env).startswith(start)


def test_an_unknown_environment_is_named(tmp_path: Path) -> None:
    folder, _, _ = trained_run(tmp_path)

    with pytest.raises(UnknownNameError, match="did you mean CartPole-v1"):
        evaluate_run(folder, EvaluationSettings(env="CartPol-v1"))


def test_no_pickle_of_a_stored_run_is_executed(tmp_path: Path) -> None:
    folder, record, spec = trained_run(tmp_path, normalize=True)
    trace = tmp_path / "trace"
    for name in ("vecnormalize.pkl", "best_vecnormalize.pkl"):
        (folder / spec.env / name).write_bytes(pickle.dumps(Malice(trace)))
    for name in (f"{spec.env}.zip", "best_model.zip"):
        plant_in_data(folder / name, trace)

    assert evaluate_run(folder, EvaluationSettings())[0] == record.final_rewards
    evaluate_run(folder, EvaluationSettings(snapshot="best"))

    assert not trace.exists()
    with contextlib.suppress(Exception):
        PPO.load(folder / f"{spec.env}.zip")
    assert trace.read_text() == "executed", "SB3's load would have run it"


def test_a_pickle_in_the_place_of_weights_is_refused(tmp_path: Path) -> None:
    folder, _, spec = trained_run(tmp_path)
    trace = tmp_path / "trace"
    plant_in_weights(folder / f"{spec.env}.zip", trace)

    message = problem(folder)

    assert message.startswith("RUN/CartPole-v1.zip: its weights are refused by torch's safe loader: ")
    assert not trace.exists()


def test_a_pickle_in_the_place_of_statistics_is_refused(tmp_path: Path) -> None:
    folder, _, spec = trained_run(tmp_path, normalize=True)
    trace = tmp_path / "trace"
    statistics = folder / spec.env / "vecnormalize.npz"
    for attempt in ("object array", "pickle"):
        if attempt == "pickle":
            statistics.write_bytes(pickle.dumps(Malice(trace)))
        else:
            with statistics.open("wb") as file:
                np.savez(file, **{"returns:mean": np.array(Malice(trace), dtype=object)})  # type: ignore[arg-type]

        assert problem(folder).startswith("RUN/CartPole-v1/vecnormalize.npz: is not a file of statistics, or damaged (")
        assert not trace.exists()


def test_exchanged_weights_are_noticed(tmp_path: Path) -> None:
    folder, _, spec = trained_run(tmp_path / "a")
    other, _, _ = trained_run(tmp_path / "b", seed=1)
    shutil.copy(other / f"{spec.env}.zip", folder / f"{spec.env}.zip")

    assert problem(folder) == (
        "RUN/CartPole-v1.zip: holds other weights than run.json describes; the file was exchanged or damaged"
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder, _, spec = trained_run(tmp_path / "a")
    other, _, _ = trained_run(tmp_path / "b", policy_kwargs="dict(net_arch=[8])")
    shutil.copy(other / f"{spec.env}.zip", folder / f"{spec.env}.zip")

    assert problem(folder).startswith("RUN/CartPole-v1.zip: holds the weights of another network: ")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "does not exist; the model was removed, or never saved"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "not a model file, or only a part of one: "),
        (lambda path: path.write_text("hello"), "not a model file, or only a part of one: File is not a zip file"),
    ],
    ids=["missing", "truncated", "text"],
)
def test_a_damaged_model_is_one_line(damage: Any, message: str, tmp_path: Path) -> None:
    folder, _, spec = trained_run(tmp_path)
    damage(folder / f"{spec.env}.zip")

    assert problem(folder).startswith(f"RUN/CartPole-v1.zip: {message}")


def test_code_of_other_packages_needs_trust(tmp_path: Path) -> None:
    folder, record, _ = trained_run(tmp_path, env=FAULTY_ENV)

    assert problem(folder) == (
        "RUN: its record names code of the package tests, which would be run; if you trust it, add --trust tests"
    )
    assert evaluate_run(folder, EvaluationSettings(trusted=("tests",)))[0] == record.final_rewards


def test_a_run_of_an_older_version_needs_trust_in_its_pickle(tmp_path: Path) -> None:
    folder, record, spec = trained_run(tmp_path, normalize=True)
    (folder / spec.env / "vecnormalize.npz").unlink()

    assert "--trust-pickle reads the pickle beside it instead" in problem(folder)
    assert evaluate_run(folder, EvaluationSettings(trust_pickle=True))[0] == record.final_rewards


def test_a_folder_of_rl_zoo3_needs_trust_in_its_pickles(tmp_path: Path) -> None:
    folder, record, spec = trained_run(tmp_path, seed=2, normalize=True)
    (folder / RECORD_NAME).unlink()

    message = problem(folder)
    rewards, _ = evaluate_run(folder, EvaluationSettings(trust_pickle=True, episodes=spec.n_final_episodes))

    assert "whose agents can only be loaded from pickles, which may run any code; --trust-pickle" in message
    assert rewards == record.final_rewards


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    folder, record, _ = trained_run(tmp_path)
    error = {"type": "ValueError", "message": "NaN in the policy", "traceback": "..."}
    write_record(folder, dataclasses.replace(record, status="failed", error=error))

    assert problem(folder) == "RUN: the run failed (ValueError: NaN in the policy)"
