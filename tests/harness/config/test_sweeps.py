from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.config import load_config, parse_config, resolved_text
from harness.config.experiment import AlgorithmConfig
from harness.experiment.plan import plan

Check = Callable[..., list[str]]

ROOT = Path(__file__).parents[3]
TEXT = """
name: trial
algorithms: ALGORITHMS
environments: {CartPole-v1: {n_timesteps: 1000}}
seeds: 1
hyperparameters:
  ppo: {default: {policy: MlpPolicy, gamma: 0.5}}
  a2c: {default: {policy: MlpPolicy}}
"""


def algorithms(text: str) -> list[AlgorithmConfig]:
    config = parse_config(TEXT.replace("ALGORITHMS", text), Path("a.yml"))
    again = parse_config(resolved_text(config), Path("experiment.yml"))
    assert again.algorithms == config.algorithms
    return list(config.algorithms)


def test_a_sweep_is_the_product_of_its_factors() -> None:
    points = algorithms("[{sweep: {of: custom_ppo, clip_range: [0.1, 0.2], gae_lambda: [0.9, 1.0]}}]")

    assert [point.label for point in points] == [
        "clip_range=0.1,gae_lambda=0.9",
        "clip_range=0.1,gae_lambda=1.0",
        "clip_range=0.2,gae_lambda=0.9",
        "clip_range=0.2,gae_lambda=1.0",
    ]
    assert [dict(point.factors) for point in points] == [
        {"clip_range": clip_range, "gae_lambda": gae_lambda} for clip_range in (0.1, 0.2) for gae_lambda in (0.9, 1.0)
    ]
    for point in points:
        assert point.algo_class == "custom_ppo"
        assert point.hyperparams == {"CartPole-v1": {"policy": "MlpPolicy", "gamma": 0.5, **point.factors}}


def test_the_published_sweep_covers_two_environments_and_16_points() -> None:
    config = load_config(ROOT / "configs" / "sweep.yml")

    assert (len(config.algorithms), len(config.environments), len(plan(config))) == (16, 2, 320)
    assert {tuple(algorithm.factors) for algorithm in config.algorithms} == {("clip_range", "gae_lambda")}
    assert config.statistics.thresholds == {"CartPole-v1": 475, "Pendulum-v1": -250}


def test_several_algorithms_are_a_factor_and_begin_the_labels() -> None:
    points = algorithms("[{sweep: {of: [ppo, a2c], learning_rate: [1e-3, lin_0.01]}}]")

    assert [point.label for point in points] == [
        "ppo,learning_rate=0.001",
        "ppo,learning_rate=lin_0.01",
        "a2c,learning_rate=0.001",
        "a2c,learning_rate=lin_0.01",
    ]
    assert dict(points[3].factors) == {"algorithm": "a2c", "learning_rate": "lin_0.01"}


def test_a_sweep_varies_a_listed_algorithm_with_its_kwargs_and_sources() -> None:
    listed = "{slow: {class: custom_ppo, hyperparameters_of: a2c, kwargs: {n_epochs: 3}}}"

    *points, _ = algorithms(f"[{{sweep: {{of: slow, n_steps: [1e1, 20]}}}}, {listed}]")

    assert [point.label for point in points] == ["n_steps=10", "n_steps=20"]
    assert points[0].hyperparams == {"CartPole-v1": {"policy": "MlpPolicy", "n_epochs": 3, "n_steps": 10}}


def test_recipes_and_deviations_are_factors_like_hyperparameters() -> None:
    recipes = algorithms("[{sweep: {of: custom_ppo, recipe: [ppo, cleanrl_ppo]}}]")
    deviants = algorithms("[{sweep: {of: custom_ppo, deviations: [none, sgd], gamma: [0.9]}}]")

    assert [dict(point.factors) for point in recipes] == [{"recipe": "ppo"}, {"recipe": "cleanrl_ppo"}]
    assert [(point.label, point.algo_class) for point in deviants] == [
        ("deviations=none,gamma=0.9", "custom_ppo"),
        ("deviations=sgd,gamma=0.9", "harness.catalogue.deviant:DeviantPPO"),
    ]
    named = algorithms("[{sweep: {of: custom_ppo, deviations: {plain: none, both: [sgd, adamw]}}}]")
    assert [point.algo_class for point in named] == ["custom_ppo", "harness.catalogue.deviant:DeviantPPO"]
    assert named[1].hyperparams["CartPole-v1"]["deviations"] == ["sgd", "adamw"]
    assert "deviations" not in deviants[0].hyperparams["CartPole-v1"]
    assert deviants[1].hyperparams["CartPole-v1"]["deviations"] == "sgd"


def test_an_expansion_over_the_catalogue_records_its_factor() -> None:
    _, deviant = algorithms("[custom_ppo, {deviations: {of: custom_ppo, only: [sgd]}}]")

    assert dict(deviant.factors) == {"deviations": "sgd"}


def test_values_that_no_label_can_hold_are_given_names() -> None:
    sweep = "{of: ppo, policy_kwargs: {small: 'dict(net_arch=[8])', large: {net_arch: [64]}}, target_kl: [null, 0.1]}"

    points = algorithms(f"[{{sweep: {sweep}}}]")

    assert [point.label for point in points][:2] == [
        "policy_kwargs=small,target_kl=null",
        "policy_kwargs=small,target_kl=0.1",
    ]
    assert dict(points[2].factors) == {"policy_kwargs": "large", "target_kl": None}
    assert points[2].hyperparams["CartPole-v1"]["policy_kwargs"] == {"net_arch": [64]}


def test_factors_can_be_written_at_single_algorithms() -> None:
    (algorithm,) = algorithms("[{slow: {class: ppo, factors: {speed: low, k: 3}}}]")

    assert dict(algorithm.factors) == {"speed": "low", "k": 3}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{clip_range: [0.1]}", ": of is missing, expected an algorithm such as of: custom_ppo, or a list of them"),
        ("{of: custom_pp, gamma: [1]}", ".of: no algorithm is registered as custom_pp, did you mean custom_ppo?"),
        ("{of: [ppo, ppo], gamma: [1]}", ".of[1]: the algorithm ppo is given twice"),
        ("{of: [], gamma: [1]}", ".of: expected at least one algorithm, got an empty list"),
        ("{of: ppo}", ": varies nothing, expected a hyperparameter such as clip_range: [0.1, 0.2, 0.3]"),
        ("{of: ppo, clip_rang: [0.1]}", ".clip_rang: ppo has no hyperparameter of this name, did you mean clip_range?"),
        ("{of: ppo, gamma: 0.9}", ".gamma: expected a list of values, or a mapping of names to values, got 0.9"),
        ("{of: ppo, gamma: []}", ".gamma: expected a list of values, or a mapping of names to values, got nothing"),
        ("{of: ppo, gamma: [0.9, 3]}", ".gamma[1]: expected a number in (0, 1], got 3"),
        ("{of: ppo, n_steps: [10, 1e1]}", ".n_steps[1]: the value 10 is given twice"),
        ("{of: ppo, n_timesteps: [1]}", ".n_timesteps: cannot be swept: every algorithm of an environment has the"),
        ("{of: ppo, env_kwargs: [{}]}", ".env_kwargs: cannot be swept: every algorithm meets the same environment"),
        ("{of: ppo, policy_kwargs: ['dict()']}", ".policy_kwargs[0]: give this value a name that labels can hold"),
        ("{of: ppo, policy_kwargs: [{}]}", ".policy_kwargs[0]: give this value a name that labels can hold: pol"),
        ("{of: ppo, policy_kwargs: {a b: {}}}", ".policy_kwargs.a b: expected a number, true, false, null or text"),
        ("{of: ppo, deviations: [sgd]}", ".deviations: deviations are for custom_ppo or custom_a2c, ppo has none"),
        ("{of: custom_ppo, deviations: [sgdd]}", ".deviations[0]: ppo has no deviation sgdd, did you mean sgd?"),
        ("ppo", ": expected a mapping such as {of: custom_ppo, clip_range: [0.1, 0.2, 0.3]}, got the text"),
    ],
)
def test_a_mistake_in_a_sweep_is_one_line_with_its_place(check: Check, value: str, message: str) -> None:
    (found,) = check(algorithms=f"[{{sweep: {value}}}]", hyperparameters="{ppo: {default: {policy: MlpPolicy}}}")

    assert found.startswith(f"a.yml:2: algorithms[0].sweep{message}")


def test_a_sweep_of_too_many_algorithms_is_refused(check: Check) -> None:
    levels = ", ".join(f"0.{n}" for n in range(100, 200))

    (found,) = check(algorithms=f"[{{sweep: {{of: ppo, gamma: [{levels}], gae_lambda: [{levels}]}}}}]")

    assert found == "a.yml:2: algorithms[0].sweep: stands for 10,000 algorithms, at most 2,000 are allowed"


def test_two_sweeps_with_equal_labels_give_one_message(check: Check) -> None:
    sweep = "{{sweep: {{of: {}, gamma: [0.5, 0.9]}}}}"

    found = check(algorithms=f"[{sweep.format('ppo')}, {sweep.format('custom_ppo')}]")

    assert found == [
        "a.yml:2: algorithms[1]: the algorithm gamma=0.5 is given twice; "
        "write of: [custom_ppo] to begin the labels with the algorithm"
    ]
    assert check(algorithms=f"[{sweep.format('ppo')}, {sweep.format('[custom_ppo]')}]") == []


def test_an_environment_does_not_override_a_swept_value(check: Check) -> None:
    found = check(
        algorithms="[{sweep: {of: ppo, n_envs: [1, 2]}}]",
        environments="{CartPole-v1: {n_timesteps: 1000, n_envs: 4}}",
    )

    assert found == [
        "a.yml:3: environments.CartPole-v1.n_envs: is set here, and swept in a.yml:2; remove one of the two"
    ]


def test_a_sweep_at_the_top_of_the_file_is_told_where_it_belongs(check: Check) -> None:
    assert check(sweep="{gamma: [0.9]}") == [
        "a.yml:6: sweep: is an entry of algorithms: write - sweep: {of: custom_ppo, ...} there"
    ]
