from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import parse_config
from harness.experiment.plan import RunSpec, plan

SPEC = RunSpec("ppo", "ppo", "CartPole-v1", 0, 1000, 50, 5, 100, {"policy": "MlpPolicy", "n_steps": 32})


def planned(seeds: str, envs: list[str], evaluations: int = 20, n_timesteps: int = 1000) -> tuple[RunSpec, ...]:
    environments = ", ".join(f"{env}: {{n_timesteps: {n_timesteps}}}" for env in envs)
    text = (
        f"name: a\nalgorithms: [custom_ppo, a2c]\nenvironments: {{{environments}}}\nseeds: {seeds}\n"
        f"evaluation: {{n_evaluations: {evaluations}}}\n"
        "hyperparameters: {ppo: {default: {policy: MlpPolicy}}, a2c: {default: {policy: MlpPolicy, n_steps: 7}}}\n"
    )
    return plan(parse_config(text, Path("a.yml")))


def test_runs_are_ordered_by_seed_then_environment_then_algorithm() -> None:
    assert [(run.seed, run.env, run.algo) for run in planned("[4, 2]", ["B-v0", "A-v0"])] == [
        (4, "B-v0", "custom_ppo"),
        (4, "B-v0", "a2c"),
        (4, "A-v0", "custom_ppo"),
        (4, "A-v0", "a2c"),
        (2, "B-v0", "custom_ppo"),
        (2, "B-v0", "a2c"),
        (2, "A-v0", "custom_ppo"),
        (2, "A-v0", "a2c"),
    ]


def test_hyperparameters_of_a_run_do_not_contain_its_budget() -> None:
    run = planned("1", ["A-v0"])[1]
    assert run == RunSpec("a2c", "a2c", "A-v0", 0, 1000, 50, 5, 100, {"policy": "MlpPolicy", "n_steps": 7})


@given(st.integers(1, 500), st.integers(0, 10_000))
def test_evaluations_are_as_far_apart_as_the_budget_allows(evaluations: int, more: int) -> None:
    n_timesteps = evaluations + more
    (run, _) = planned("1", ["A-v0"], evaluations, n_timesteps)
    assert run.eval_freq * evaluations <= n_timesteps < (run.eval_freq + 1) * evaluations


def test_a_plan_of_fifty_environments_and_a_thousand_seeds_has_distinct_runs() -> None:
    runs = planned("0-999", [f"Env{number}-v0" for number in range(50)])
    assert len(runs) == 2 * 50 * 1000
    assert len({run.run_dir for run in runs}) == len(runs)


def test_a_spec_is_plain_json_that_reads_back_as_the_same_spec() -> None:
    again = RunSpec.from_dict(json.loads(json.dumps(SPEC.as_dict())))
    assert again == SPEC
    assert again.digest == SPEC.digest


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"algo": "b"}, {"hyperparams": {"policy": "MlpPolicy", "n_steps": 33}}]
)
def test_any_change_of_a_spec_changes_its_digest(change: dict[str, object]) -> None:
    assert RunSpec.from_dict(SPEC.as_dict() | change).digest != SPEC.digest


def test_the_order_of_hyperparameters_does_not_change_the_digest() -> None:
    reordered = dict(reversed([*SPEC.hyperparams.items()]))
    assert RunSpec.from_dict(SPEC.as_dict() | {"hyperparams": reordered}).digest == SPEC.digest


def test_an_unknown_key_of_a_spec_is_refused() -> None:
    with pytest.raises(TypeError):
        RunSpec.from_dict(SPEC.as_dict() | {"sed": 1})


def test_run_folders_follow_the_zoo_without_separators_or_colons() -> None:
    assert SPEC.run_dir == "ppo/CartPole-v1_1"
    other = RunSpec.from_dict(SPEC.as_dict() | {"algo": "pkg.mod:Cls", "env": "ALE/Pong-v5", "seed": 9})
    assert other.run_dir == "pkg.mod.Cls/ALE-Pong-v5_10"
    assert other.label == "pkg.mod:Cls ALE/Pong-v5 seed 9"
