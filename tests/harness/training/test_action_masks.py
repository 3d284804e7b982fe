"""MaskablePPO chooses valid actions everywhere: in training, in every evaluation, in films and in trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium import spaces
from sb3_contrib.common.maskable.evaluation import evaluate_policy

from harness.errors import RecordError
from harness.evaluation.episodes import evaluate_run
from harness.evaluation.footage import record_episode
from harness.evaluation.settings import EvaluationSettings
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import write_record
from harness.training.action_masks import mask_argument, needs_masks, sampled_action
from harness.training.algorithms import load_algorithm
from harness.training.environment_trial import try_environment
from harness.training.envs import make_eval_env
from harness.training.evaluation import evaluated
from harness.training.models import build_model
from harness.training.speed_trial import measure_speed
from harness.training.train import train_run
from harness.training.trials import try_out
from tests.harness.masked_environments import IDENTITY, MASKED, METHOD_OF_ANOTHER_NAME
from tests.harness.toy_subjects import tiny_spec

OFFERS_MASKS = "tests.harness.masked_environments.OffersMasks"


def masked_spec(env: str = MASKED, **hyperparams: Any) -> RunSpec:
    return tiny_spec("maskable_ppo", env, **hyperparams)


@pytest.mark.parametrize("kind", ["discrete", "multidiscrete", "binary"])
def test_a_run_and_its_evaluations_choose_valid_actions(kind: str, tmp_path: Path) -> None:
    record = train_run(masked_spec(env_kwargs={"kind": kind}), tmp_path)

    # The environment raises at an action that is not valid, and gives 1 for any other.
    assert (record.status, record.final_rewards) == ("finished", (10.0, 10.0, 10.0))
    with np.load(tmp_path / "evaluations.npz") as arrays:
        assert arrays["results"].tolist() == [[10.0, 10.0], [10.0, 10.0]]


def test_the_evaluation_is_that_of_sb3_contrib(tmp_path: Path) -> None:
    spec = masked_spec(IDENTITY)
    envs = [make_eval_env(spec, 3, 4) for _ in range(2)]
    model = build_model(spec, envs[0])
    found = []
    for env in envs:
        np.random.seed(1)  # noqa: NPY002  this environment of sb3_contrib draws from NumPy's own generator
        env.action_space.seed(1)
        for space in env.get_attr("action_space"):
            space.seed(1)
        if env is envs[0]:
            episodes = evaluated(model, env, 4)
            found.append((episodes.returns, episodes.lengths))
        else:
            found.append(evaluate_policy(model, env, 4, return_episode_rewards=True))

    assert found[0] == found[1]


def test_a_stored_run_is_evaluated_and_filmed_with_masks(tmp_path: Path) -> None:
    record = train_run(masked_spec(), tmp_path / "run")
    write_record(tmp_path / "run", record)

    for deterministic in (True, False):
        settings = EvaluationSettings(deterministic=deterministic, trusted=("tests",))
        rewards, _ = evaluate_run(tmp_path / "run", settings)
        footage = record_episode(tmp_path / "run", settings, tmp_path / "film.npy", 32, 30.0, 60.0)
        assert (rewards, footage.total, footage.n_steps) == ((10.0, 10.0, 10.0), 10.0, 10)
    with pytest.raises(RecordError, match=r"OtherName-v0 has no method action_masks\(\), which maskable_ppo needs"):
        evaluate_run(tmp_path / "run", EvaluationSettings(env=METHOD_OF_ANOTHER_NAME, trusted=("tests",)))


def test_the_change_of_the_policy_is_measured_among_valid_actions(tmp_path: Path) -> None:
    train_run(masked_spec(learning_rate=0.01), tmp_path)

    # Each step has one valid action, of probability 1, whatever the policy has learnt.
    rows = pd.read_csv(tmp_path / "progress.csv")["update/kl"].dropna()
    assert len(rows) > 0
    assert rows.tolist() == [0.0] * len(rows)


def test_an_environment_without_masks_is_refused_in_one_line() -> None:
    (finding,) = try_out([], [("maskable_ppo", "maskable_ppo")], [masked_spec("CartPole-v1")]).findings

    assert finding.message == (
        "maskable_ppo cannot act in CartPole-v1: it needs a method action_masks() that returns true for each valid "
        "action, of the environment or of a wrapper named by env_wrapper"
    )
    assert (finding.env, finding.label, finding.is_problem) == ("CartPole-v1", "maskable_ppo", True)


@pytest.mark.parametrize(
    "spec",
    [masked_spec(), masked_spec(env_kwargs={"kind": "binary"}), masked_spec(METHOD_OF_ANOTHER_NAME,
                                                                            env_wrapper=OFFERS_MASKS)],
)  # fmt: skip
def test_a_trial_steps_with_valid_actions(spec: RunSpec) -> None:
    algorithms = [("maskable_ppo", "maskable_ppo")]
    environments = [] if "env_wrapper" in spec.hyperparams else [(spec.env, spec.hyperparams.get("env_kwargs"))]

    assert try_out(environments, algorithms, [spec]).findings == ()


def test_an_environment_with_masks_is_tried_out_with_valid_actions() -> None:
    assert try_environment(MASKED, {"kind": "multidiscrete"}) == []


def test_speed_is_measured_with_masks() -> None:
    assert measure_speed(masked_spec(), seconds=0.05).evaluation > 0


def test_algorithms_without_masks_get_none() -> None:
    spec = tiny_spec("ppo", MASKED)
    env = make_eval_env(spec, 0, 2)

    assert needs_masks(load_algorithm("maskable_ppo"))
    assert not needs_masks(load_algorithm("ppo"))
    assert mask_argument(build_model(spec, env), env) == {}


@pytest.mark.parametrize(
    ("space", "mask", "valid"),
    [
        (spaces.Discrete(4), [0, 0, 1, 0], {2}),
        (spaces.MultiDiscrete([2, 3]), [0, 1, 1, 0, 1], {(1, 0), (1, 2)}),
        (spaces.MultiBinary(2), [1, 1, 0, 1], {(0, 1), (1, 1)}),
        (spaces.MultiBinary(2), [1, 0, 0, 1], {(0, 1)}),
    ],
)
def test_random_actions_are_valid_ones(space: gym.Space[Any], mask: list[int], valid: set[Any]) -> None:
    space.seed(0)
    drawn = [sampled_action(space, np.array(mask, dtype=bool)) for _ in range(30)]

    assert {tuple(action.tolist()) if isinstance(action, np.ndarray) and action.ndim else int(action)
            for action in drawn} == valid  # fmt: skip
