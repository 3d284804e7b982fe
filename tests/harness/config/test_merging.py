from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.config import load_config
from harness.config.experiment import ExperimentConfig

Check = Callable[..., list[str]]


def load(folder: Path, algorithms: str, hyperparameters: str, overrides: str = "n_timesteps: 100") -> ExperimentConfig:
    (folder / "a.yml").write_text(
        f"name: a\nalgorithms: {algorithms}\nenvironments: {{X-v0: {{{overrides}}}}}\nseeds: 1\n"
        f"hyperparameters: {hyperparameters}\n"
    )
    return load_config(Path("a.yml"))


def gammas(config: ExperimentConfig) -> dict[str, object]:
    return {algorithm.label: algorithm.hyperparams["X-v0"].get("gamma") for algorithm in config.algorithms}


PPO = "ppo: {default: {policy: MlpPolicy, gamma: 0.5}}"
OWN = "custom_ppo: {default: {policy: MlpPolicy, gamma: 0.7}}"
FAST = "fast: {default: {policy: MlpPolicy, gamma: 0.6}}"


@pytest.mark.parametrize(
    ("algorithms", "hyperparameters", "gamma"),
    [
        ("[custom_ppo]", f"{{{PPO}}}", 0.5),
        ("[custom_ppo]", f"{{{PPO}, {OWN}}}", 0.7),
        ("[{fast: {class: custom_ppo}}]", f"{{{PPO}}}", 0.5),
        ("[{fast: {class: custom_ppo}}]", f"{{{PPO}, {OWN}}}", 0.7),
        ("[{fast: {class: custom_ppo}}]", f"{{{PPO}, {OWN}, {FAST}}}", 0.6),
        ("[{fast: {class: custom_ppo, hyperparameters_of: ppo}}]", f"{{{PPO}, {OWN}}}", 0.5),
        ("[{fast: {class: 'my.pkg:PPO', hyperparameters_of: ppo}}]", f"{{{PPO}}}", 0.5),
        ("[{fast: {class: ppo, kwargs: {gamma: 0.9}}}]", f"{{{PPO}}}", 0.9),
        ("['my.pkg:PPO']", "{'my.pkg:PPO': {default: {policy: MlpPolicy, gamma: 0.4}}}", 0.4),
    ],
)
def test_own_hyperparameters_are_preferred_to_those_of_the_reference(
    folder: Path, algorithms: str, hyperparameters: str, gamma: float
) -> None:
    assert [*gammas(load(folder, algorithms, hyperparameters)).values()] == [gamma]


def test_environment_overrides_win_over_kwargs_and_kwargs_over_the_file(folder: Path) -> None:
    config = load(
        folder,
        "[{mine: {class: ppo, kwargs: {n_envs: 4, gamma: 0.9}}}]",
        "{ppo: {default: {policy: MlpPolicy, n_envs: 2, gamma: 0.5, n_epochs: 3, n_timesteps: 7}}}",
        "n_timesteps: 1e3, n_envs: 8, env_kwargs: {g: 9.8}",
    )
    assert config.environments[0].n_timesteps == 1000
    assert config.algorithms[0].hyperparams["X-v0"] == {
        "policy": "MlpPolicy",
        "n_envs": 8,
        "gamma": 0.9,
        "n_epochs": 3,
        "env_kwargs": {"g": 9.8},
    }


@pytest.mark.parametrize("settings", ["class: 'my.pkg:A', hyperparameters_of: pppo", "class: 'my.pkg:A'"])
def test_missing_hyperparameters_are_reported_with_a_remedy(check: Check, settings: str) -> None:
    (found,) = check(algorithms=f"[{{mine: {{{settings}}}}}]")
    assert found in {
        "a.yml:2: algorithms[0].mine: hyperparameters_of: the file has no hyperparameters.pppo, did you mean ppo?",
        "a.yml:2: algorithms[0].mine: has no hyperparameters: add hyperparameters.mine (a file, `zoo` or a mapping), "
        "or name another algorithm's by hyperparameters_of",
    }
    assert ("did you mean" in found) == ("pppo" in settings)


def test_unused_hyperparameters_are_refused(check: Check) -> None:
    found = check(hyperparameters="{ppo: {default: {policy: MlpPolicy}}, poo: {}}")
    assert found == [
        "a.yml:5: hyperparameters.poo: no algorithm of this experiment uses these hyperparameters, did you mean ppo?"
    ]


def test_hyperparameters_of_registered_algorithms_may_be_unused(check: Check) -> None:
    assert check(hyperparameters="{ppo: {default: {policy: MlpPolicy}}, a2c: zoo}") == []


def test_an_inline_entry_for_another_environment_is_refused(check: Check) -> None:
    found = check(hyperparameters="{ppo: {default: {policy: MlpPolicy}, CartPole-v0: {policy: MlpPolicy}}}")
    assert found == [
        "a.yml:5: hyperparameters.ppo.CartPole-v0: is not an environment of this experiment, did you mean CartPole-v1?"
    ]


def test_missing_policy_and_budget_are_reported(check: Check) -> None:
    assert check(environments="{CartPole-v1: }", hyperparameters="{ppo: {default: {}}}") == [
        "a.yml:3: environments.CartPole-v1: n_timesteps is missing, expected an integer >= 1",
        "a.yml:5: hyperparameters.ppo.default: policy is missing, expected MlpPolicy, CnnPolicy or MultiInputPolicy",
    ]
