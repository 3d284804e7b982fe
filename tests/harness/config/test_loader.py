from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config import check_config, load_config, parse_config
from harness.config.experiment import EvaluationConfig, StatisticsConfig
from harness.errors import ConfigError
from tests.harness.config.conftest import without_columns

Check = Callable[..., list[str]]

CONFIGS = Path(__file__).parents[3] / "configs"
MINIMAL = (
    "name: a\nalgorithms: [ppo]\nenvironments: {X-v0: {n_timesteps: 100}}\nseeds: 2\n"
    "hyperparameters: {ppo: {default: {policy: MlpPolicy}}}\n"
)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yml")), ids=lambda path: path.name)
def test_every_published_configuration_is_valid(path: Path) -> None:
    assert check_config(path) == []
    config = load_config(path)
    assert config.name == path.stem
    assert (config.path, config.text) == (path, path.read_text())


def test_published_comparison_gives_both_ppos_the_same_hyperparameters() -> None:
    hyperparams = {a.label: a.hyperparams for a in load_config(CONFIGS / "compare.yml").algorithms}
    assert hyperparams["custom_ppo"] == hyperparams["ppo"]
    assert hyperparams["ppo"] != hyperparams["a2c"]


def test_a_minimal_experiment_has_every_default(folder: Path) -> None:
    config = parse_config(MINIMAL, Path("a.yml"))
    assert (config.name, config.seeds, config.trusted_packages) == ("a", (0, 1), ())
    assert config.evaluation == EvaluationConfig(n_evaluations=20, n_eval_episodes=5, n_final_episodes=100)
    assert config.statistics == StatisticsConfig(0.95, 2000, 20, 50, 0.10, {}, {}, None)
    assert [(a.label, a.algo_class) for a in config.algorithms] == [("ppo", "ppo")]


def test_all_mistakes_are_reported_from_top_to_bottom(check: Check) -> None:
    found = check(
        name="a/b",
        algorithms="[pppo, ppo]",
        environments="{CartPole-v1: {n_timesteps: 1.5}}",
        seeds="[1, 1]",
        hyperparameters="{ppo: {default: {policy: MlpPolicy, gama: 1}}}",
        evaluation="{n_evaluations: 0}",
        statistic="{}",
    )
    assert [message.split(": ")[:2] for message in found] == [
        ["a.yml:1", "name"],
        ["a.yml:2", "algorithms[0]"],
        ["a.yml:3", "environments.CartPole-v1.n_timesteps"],
        ["a.yml:4", "seeds[1]"],
        ["a.yml:5", "hyperparameters.ppo.default.gama"],
        ["a.yml:6", "evaluation.n_evaluations"],
        ["a.yml:7", "statistic"],
    ]
    assert found[-1] == "a.yml:7: statistic: unknown key, did you mean statistics?"


def test_load_config_raises_the_first_mistake_that_check_config_finds(check: Check) -> None:
    found = check(seeds="9-0", name="a b")
    with pytest.raises(ConfigError) as caught:
        load_config(Path("a.yml"))
    assert without_columns(str(caught.value)) == found[0]
    assert len(found) == 2


@pytest.mark.parametrize("key", ["name", "algorithms", "environments", "seeds"])
def test_a_missing_or_empty_required_section_is_reported_once(check: Check, key: str) -> None:
    (missing,) = check(**{key: None})
    assert missing.startswith(f"a.yml:1: {key} is missing, expected ")
    (empty,) = check(**{key: ""})
    assert f": {key}: is empty, expected " in empty


def test_without_hyperparameters_the_constructors_defaults_are_trained(folder: Path) -> None:
    text = MINIMAL.partition("hyperparameters")[0].replace("[ppo]", "[ppo, 'my.agents:Agent', recurrent_ppo]")

    for config in (parse_config(text, Path("a.yml")), parse_config(text + "hyperparameters:\n", Path("a.yml"))):
        assert [dict(a.hyperparams) for a in config.algorithms] == [
            {"X-v0": {"policy": policy}} for policy in ("MlpPolicy", "MlpPolicy", "MlpLstmPolicy")
        ]


def test_experiments_that_are_too_large_are_refused(check: Check) -> None:
    labels = ", ".join(f"a{n}: {{class: ppo}}" for n in range(300)).replace(", ", "}, {")
    envs = ", ".join(f"X{n}-v0: {{n_timesteps: 100}}" for n in range(20))

    assert check(algorithms=f"[{{{labels}}}]", environments=f"{{{envs}}}") == [
        "a.yml:2: algorithms: 300 algorithms in 20 environments are 6,000 pairs, at most 5,000 are allowed"
    ]
    assert check(algorithms=f"[{{{labels}}}]", seeds="500") == [
        "a.yml:4: seeds: the experiment has 150,000 runs, at most 100,000 are allowed"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.yml:1:1: expected a mapping with the keys name, algorithms, environments, seeds; "),
        ("# nothing\n", "a.yml:1:1: expected a mapping with the keys name, algorithms, environments, seeds"),
        ("- name: a", "a.yml:1:1: expected a mapping with the keys name, algorithms, environments, seeds"),
        ("name: a\n\talgorithms: b", "a.yml:2:1: is not YAML: "),
    ],
)
def test_a_file_that_is_not_an_experiment_gives_one_problem(folder: Path, text: str, message: str) -> None:
    (folder / "a.yml").write_text(text)
    (found,) = check_config(Path("a.yml"))
    assert str(found).startswith(message)


def test_a_missing_file_is_a_problem_and_no_traceback(folder: Path) -> None:
    assert [str(problem) for problem in check_config(Path("b.yml"))] == ["b.yml: does not exist"]


def test_algorithms_with_different_budgets_are_not_compared(check: Check) -> None:
    found = check(
        algorithms="[ppo, a2c]",
        environments="{CartPole-v1: }",
        hyperparameters="{ppo: zoo, a2c: zoo}",
    )
    assert found == [
        "a.yml:3: environments.CartPole-v1: ppo has n_timesteps 100000 but a2c 500000; "
        "all algorithms need the same: set n_timesteps here"
    ]


def test_algorithms_in_differently_built_environments_are_not_compared(check: Check) -> None:
    found = check(
        algorithms="[ppo, {heavy: {class: ppo, kwargs: {env_kwargs: {g: 20}}}}]",
    )
    assert found == [
        "a.yml:3: environments.CartPole-v1: ppo has env_kwargs {} but heavy {'g': 20}; "
        "all algorithms need the same: set env_kwargs here"
    ]


def test_a_budget_must_be_at_least_the_number_of_evaluations(check: Check) -> None:
    assert check(environments="{CartPole-v1: {n_timesteps: 19}}") == [
        "a.yml:3: environments.CartPole-v1: 19 timesteps are too few for 20 evaluations (n_evaluations)"
    ]


def test_further_algorithm_names_can_be_accepted(folder: Path) -> None:
    text = MINIMAL.replace("ppo", "mine")
    with pytest.raises(ConfigError, match=r"^a\.yml:2:14: algorithms\[0\]: no algorithm is registered as mine"):
        parse_config(text, Path("a.yml"))
    assert parse_config(text, Path("a.yml"), known_algorithms=["mine"]).algorithms[0].algo_class == "mine"


def test_a_problem_can_be_pickled(check: Check) -> None:
    (problem,) = check_config(Path("none.yml"))
    assert str(pickle.loads(pickle.dumps(problem))) == str(problem)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_gives_problems_of_one_line_and_never_a_traceback(folder: Path, data: st.DataObject) -> None:
    lines = (
        (CONFIGS / "compare.yml").read_text().replace("hyperparams/", str(CONFIGS / "hyperparams") + "/").split("\n")
    )
    at = data.draw(st.integers(0, len(lines) - 1))
    damage = st.sampled_from(["", "- 1", "{}", "[]", "a: 1", "  x", "null", "\t", "3", "*a", "!!set {}", "'", "? 1"])
    line = data.draw(st.sampled_from([lines[at].partition(":")[0] + ": ", "", lines[at]])) + data.draw(damage)
    (folder / "a.yml").write_text("\n".join([*lines[:at], line, *lines[at + 1 :]]))
    assert all("\n" not in str(problem) and "a.yml" in str(problem) for problem in check_config(Path("a.yml")))
