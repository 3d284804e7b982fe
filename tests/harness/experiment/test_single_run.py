from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ConfigError, UnknownNameError
from harness.experiment.plan import RunSpec, plan
from harness.experiment.single_run import single_run


def only_run(algo: str, env: str = "CartPole-v1", seed: int = 3, steps: int | None = 500, file: str = "zoo") -> RunSpec:
    (spec,) = plan(single_run(algo, env, seed, steps, file))
    return spec


def test_one_run_is_an_experiment_of_one_run() -> None:
    spec = only_run("ppo")

    assert (spec.algo, spec.algo_class, spec.env, spec.seed, spec.n_timesteps) == ("ppo", "ppo", "CartPole-v1", 3, 500)
    assert spec.eval_freq == 25
    assert spec.hyperparams["learning_rate"] == "lin_0.001"


def test_custom_ppo_has_the_hyperparameters_of_ppo() -> None:
    assert only_run("custom_ppo").hyperparams == only_run("ppo").hyperparams


def test_the_default_budget_is_that_of_the_hyperparameters() -> None:
    assert only_run("ppo", steps=None).n_timesteps == 100_000


def test_a_budget_shorter_than_the_evaluations_has_fewer_of_them() -> None:
    assert only_run("ppo", steps=3).eval_freq == 1


def test_a_class_outside_the_zoo_trains_with_its_own_defaults() -> None:
    spec = only_run("my.module:Agent", steps=None)

    assert (spec.algo, spec.algo_class) == ("my.module:Agent", "my.module:Agent")
    assert (spec.n_timesteps, dict(spec.hyperparams)) == (100_000, {"policy": "MlpPolicy"})


def test_hyperparameters_come_from_a_file_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yml").write_text("default: {policy: MlpPolicy, n_steps: 7, n_timesteps: 70}\n")

    spec = only_run("custom_ppo", steps=None, file="mine.yml")

    assert (spec.n_timesteps, spec.hyperparams["n_steps"]) == (70, 7)


def test_an_unknown_algorithm_is_reported_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError) as error:
        only_run("pppo")

    assert str(error.value) == "--algo pppo: no algorithm is registered as pppo, did you mean ppo?"


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"env": "not an id"}, "--env: expected a gymnasium id such as CartPole-v1"),
        ({"file": "nowhere.yml"}, "nowhere.yml"),
    ],
)
def test_other_mistakes_are_reported_as_for_a_file(arguments: dict[str, str | None], place: str) -> None:
    with pytest.raises(ConfigError) as error:
        only_run("ppo", **arguments)  # type: ignore[arg-type]

    assert place in str(error.value)
    assert "\n" not in str(error.value)


def test_a_message_names_the_option_and_no_place_in_a_text_that_nobody_wrote(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("CartPole-v1: {policy: MlpPolicy}\n")

    with pytest.raises(ConfigError) as missing_budget:
        only_run("ppo", steps=None, file=str(file))
    with pytest.raises(ConfigError) as missing_entry:
        only_run("ppo", env="Pendulum-v1", file=str(file))

    assert str(missing_budget.value) == (
        "--env: n_timesteps is missing, expected an integer >= 1; pass --n-timesteps, or add it to the hyperparameters"
    )
    assert str(missing_entry.value).startswith("--algo: ")
    assert str(missing_entry.value).endswith(f"{file} has no entry for Pendulum-v1 and no default")
