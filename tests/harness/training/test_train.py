from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch
import yaml
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from harness.analysis.frames import load_results
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord, read_record, write_record
from harness.training.envs import make_training_env
from harness.training.models import build_model
from harness.training.progress import Progress
from harness.training.train import parameters_digest, train_and_record, train_run
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec

SPEC = tiny_spec(n_timesteps=512)
STEPS_PER_ROLLOUT = 128


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord, list[Progress]]:
    """Train SB3's PPO on CartPole; return the folder, the record and the progress messages."""
    root = tmp_path_factory.mktemp("trained")
    folder = root / "runs" / SPEC.run_dir
    said: list[Progress] = []
    record = train_and_record(SPEC, folder, said.append)
    return folder, record, said


def test_a_run_writes_the_files_of_the_zoos_layout(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    folder = trained[0]

    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "0.monitor.csv",
        "1.monitor.csv",
        "CartPole-v1.zip",
        "CartPole-v1/args.yml",
        "CartPole-v1/config.yml",
        "best_model.zip",
        "evaluations.npz",
        "progress.csv",
        "run.json",
    ]


def test_the_monitors_hold_every_episode_that_was_finished(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    folder = trained[0]

    for index in range(2):
        with (folder / f"{index}.monitor.csv").open() as file:
            header = json.loads(file.readline().removeprefix("#"))
            rows = list(csv.DictReader(file))
        steps = sum(int(row["l"]) for row in rows)
        assert header["env_id"] == "CartPole-v1"
        # Each environment makes 256 steps; those missing here belong to the episode unfinished at the end.
        assert 256 - 100 < steps <= 256
        assert all(float(row["r"]) == int(row["l"]) for row in rows)


def test_the_evaluations_are_evenly_spaced(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    with np.load(trained[0] / "evaluations.npz") as data:
        assert data["timesteps"].tolist() == [256, 512]
        assert data["results"].shape == data["ep_lengths"].shape == (2, SPEC.n_eval_episodes)
        np.testing.assert_array_equal(data["results"], data["ep_lengths"])


def test_progress_has_a_row_per_rollout_and_one_for_the_last_update(
    trained: tuple[Path, RunRecord, list[Progress]],
) -> None:
    with (trained[0] / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))

    rollouts = [int(row["time/total_timesteps"]) for row in rows if row["rollout/ep_rew_mean"]]
    evaluations = [int(row["time/total_timesteps"]) for row in rows if row["eval/mean_reward"]]
    updates = [int(row["time/total_timesteps"]) for row in rows if row["update/kl"]]
    assert (rollouts, evaluations) == ([128, 256, 384, 512], [256, 512])
    # An update is logged with the next row, of an evaluation or of a rollout; the last update has its own row.
    assert updates == [256, 384, 512, 512]
    keys = {
        "eval/mean_reward",
        "train/value_loss",
        "train/approx_kl",
        "train/clip_fraction",
        "rollout/ep_rew_mean",
        "update/kl",
        *(f"update/ratio_q{quantile}" for quantile in ("01", "25", "50", "75", "99")),
    }
    assert keys <= set(rows[0])
    last = rows[-1]
    quantiles = [float(last[f"update/ratio_q{quantile}"]) for quantile in ("01", "25", "50", "75", "99")]
    assert quantiles == sorted(quantiles)
    assert float(last["update/kl"]) > 0


def test_rl_zoo3_can_read_the_settings(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    folder = trained[0] / "CartPole-v1"

    config = yaml.load((folder / "config.yml").read_text(), Loader=yaml.UnsafeLoader)
    arguments = yaml.load((folder / "args.yml").read_text(), Loader=yaml.UnsafeLoader)

    assert dict(config) == {**SPEC.hyperparams, "n_timesteps": 512}
    assert dict(arguments) == {"algo": "ppo", "env": "CartPole-v1", "seed": 0, "n_timesteps": 512}


def test_the_record_has_what_is_needed_to_repeat_the_run(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    folder, record, _ = trained

    assert read_record(folder) == record
    assert (record.spec, record.status, record.error) == (SPEC, "finished", None)
    assert (record.steps, record.threads) == (512, 1)
    assert record.engine == {}, "SB3's PPO has no engines"
    assert record.versions["torch"] == torch.__version__
    assert record.versions["stable_baselines3"] == stable_baselines3.__version__
    assert len(record.final_rewards) == len(record.final_lengths) == SPEC.n_final_episodes
    assert 0 < record.train_seconds < record.wall_seconds
    assert record.started.endswith("+00:00")


def test_the_analysis_reads_the_run(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    folder, record, _ = trained

    results = load_results(folder.parents[2])

    (run,) = results.runs.to_dict("records")
    assert (run["algo"], run["env"], run["seed"], run["status"]) == ("ppo", "CartPole-v1", 0, "finished")
    assert run["score"] == record.score
    assert results.evaluations["timestep"].tolist() == [256, 512]
    assert {"update/kl", "train/value_loss"} <= set(results.progress["key"])


def test_the_saved_model_is_the_one_that_was_evaluated(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    folder, record, _ = trained

    model = stable_baselines3.PPO.load(folder / "CartPole-v1.zip", device="cpu")

    assert parameters_digest(model.policy) == record.parameters_digest


def test_progress_is_reported_and_ends_with_the_evaluation(trained: tuple[Path, RunRecord, list[Progress]]) -> None:
    said = trained[2]

    assert [progress.steps for progress in said] == sorted(progress.steps for progress in said)
    assert (said[0].phase, said[-1].phase, said[-1].steps) == ("training", "evaluating", 512)


def outcome(record: RunRecord) -> tuple[Any, ...]:
    return record.parameters_digest, record.final_rewards, record.final_lengths, record.steps


def test_equal_specs_end_with_identical_parameters(
    trained: tuple[Path, RunRecord, list[Progress]], tmp_path: Path
) -> None:
    assert outcome(train_run(SPEC, tmp_path)) == outcome(trained[1])


def test_custom_ppo_ends_with_the_parameters_of_ppo(
    trained: tuple[Path, RunRecord, list[Progress]], tmp_path: Path
) -> None:
    assert outcome(train_run(tiny_spec("custom_ppo", n_timesteps=512), tmp_path)) == outcome(trained[1])


def test_another_seed_ends_with_other_parameters(
    trained: tuple[Path, RunRecord, list[Progress]], tmp_path: Path
) -> None:
    record = train_run(tiny_spec(n_timesteps=512, seed=1), tmp_path)

    assert record.parameters_digest != trained[1].parameters_digest


NO_PPO = {"batch_size": None, "n_epochs": None}


@pytest.mark.parametrize(
    "spec",
    [
        tiny_spec(),
        tiny_spec("custom_ppo"),
        tiny_spec("a2c", n_steps=16, **NO_PPO),
        tiny_spec(normalize=True),
        tiny_spec("a2c", n_steps=16, normalize=True, **NO_PPO),
        tiny_spec(env="Pendulum-v1", use_sde=True, sde_sample_freq=4),
    ],
    ids=lambda spec: f"{spec.algo} {spec.env} {'normalised' if 'normalize' in spec.hyperparams else ''}",
)
def test_the_callbacks_do_not_change_the_trained_parameters(spec: RunSpec, tmp_path: Path) -> None:
    record = train_run(spec, tmp_path / "watched")

    env = make_training_env(spec, tmp_path)
    bare = build_model(spec, env).learn(spec.n_timesteps)
    env.close()

    assert record.parameters_digest == parameters_digest(bare.policy)


def test_normalised_runs_save_their_statistics_for_rl_zoo3(tmp_path: Path) -> None:
    train_run(tiny_spec(normalize=True), tmp_path)

    assert sorted(path.name for path in (tmp_path / "CartPole-v1").glob("*.pkl")) == [
        "best_vecnormalize.pkl",
        "vecnormalize.pkl",
    ]


def test_the_final_evaluation_can_be_repeated_from_the_files(tmp_path: Path) -> None:
    record = train_run(tiny_spec(seed=4, n_timesteps=512, normalize=True), tmp_path)

    unnormalised = make_vec_env("CartPole-v1", n_envs=3, seed=2_000_000 + 4_000)
    env = VecNormalize.load(str(tmp_path / "CartPole-v1" / "vecnormalize.pkl"), unnormalised)
    env.training = env.norm_reward = False
    model = stable_baselines3.PPO.load(tmp_path / "CartPole-v1.zip", device="cpu")
    rewards, lengths = evaluate_policy(model, env, 3, deterministic=True, return_episode_rewards=True)
    assert (record.final_rewards, record.final_lengths) == (tuple(rewards), tuple(lengths))  # type: ignore[arg-type]


def test_an_environment_with_dots_in_its_name_has_the_same_files(tmp_path: Path) -> None:
    record = train_run(tiny_spec(env=FAULTY_ENV), tmp_path)

    model = stable_baselines3.PPO.load(tmp_path / f"{FAULTY_ENV}.zip", device="cpu")
    assert parameters_digest(model.policy) == record.parameters_digest
    assert sorted(path.name for path in (tmp_path / FAULTY_ENV).iterdir()) == ["args.yml", "config.yml"]


def test_an_environment_that_raises_makes_a_failed_record(tmp_path: Path) -> None:
    spec = tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "raise"})

    record = train_and_record(spec, tmp_path, lambda _: None)

    assert read_record(tmp_path) is not None
    assert record.status == "failed"
    assert record.error is not None
    assert record.error["type"] == "RuntimeError"
    assert record.error["message"] == "the rotor fell off [/dev/rotor]"
    assert 'raise RuntimeError("the rotor' in record.error["traceback"]
    assert (record.steps, record.final_rewards, record.parameters_digest) == (0, (), "")
    assert record.versions["torch"] == torch.__version__


def test_a_record_that_cannot_be_written_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("harness.training.train.write_record", full)
    with pytest.raises(OSError, match="No space left on device"):
        train_and_record(tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "raise"}), tmp_path, lambda _: None)


def test_nan_rewards_make_a_failed_record(tmp_path: Path) -> None:
    spec = tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "nan"})

    record = train_and_record(spec, tmp_path, lambda _: None)

    assert record.status == "failed"
    assert record.error is not None
    assert (record.error["type"], record.error["message"]) == (
        "NotFiniteError",
        "the reward of environment 0 is not finite at its step 1 in training: the environment returned nan",
    )
    assert np.isnan(record.score)


@pytest.mark.parametrize(
    ("algo", "env", "hyperparams"),
    [
        ("dqn", "CartPole-v1", {"learning_starts": 50}),
        ("sac", "Pendulum-v1", {"learning_starts": 50}),
        ("recurrent_ppo", "CartPole-v1", {"policy": "MlpLstmPolicy", "n_steps": 32, "n_envs": 1, "n_epochs": 1}),
    ],
)
def test_off_policy_and_recurrent_algorithms_run_with_the_callbacks(
    algo: str, env: str, hyperparams: dict[str, Any], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"n_steps": None, "n_epochs": None, **hyperparams}
    spec = tiny_spec(algo, env, n_timesteps=128, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = train_run(spec, tmp_path)

    assert record.steps == 128
    assert len(record.final_rewards) == SPEC.n_final_episodes
    assert "update/" not in (tmp_path / "progress.csv").read_text()


def changed(tensor: torch.Tensor) -> torch.Tensor:
    return torch.nextafter(tensor, torch.tensor(torch.inf))


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.weight.data.copy_(changed(layer.weight.data)),
        lambda layer: setattr(layer, "weight", torch.nn.Parameter(layer.weight.data.reshape(1, -1))),
        lambda layer: layer.double(),
    ],
    ids=["one ulp", "another shape", "another type"],
)
def test_the_digest_changes_with_any_bit_shape_or_type(change: Callable[[Any], Any]) -> None:
    layer = torch.nn.Linear(3, 2)
    before = parameters_digest(layer)
    assert parameters_digest(layer) == before

    change(layer)

    assert parameters_digest(layer) != before


def test_a_finished_record_replaces_a_failed_one(
    trained: tuple[Path, RunRecord, list[Progress]], tmp_path: Path
) -> None:
    train_and_record(tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "raise"}), tmp_path, lambda _: None)
    write_record(tmp_path, trained[1])

    assert read_record(tmp_path) == trained[1]


def test_a_run_of_custom_ppo_records_its_engine(tmp_path: Path) -> None:
    record = train_and_record(tiny_spec("custom_ppo"), tmp_path, lambda _: None)

    assert record.engine["asked_for"] == "auto"
    assert record.engine["used"] in ("fused", "native")
    assert record.engine["kernels"]["torch"] == torch.__version__
    again = read_record(tmp_path)
    assert again is not None
    assert again.engine == record.engine
