from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.config.documents import PlacedError, parse_document
from harness.config.experiment import ReferenceScores
from harness.config.sections import read_environments, read_statistics

Check = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{}", "environments: expected at least one environment"),
        (
            "[CartPole-v1]",
            "environments: expected a mapping of environment ids to overrides, "
            "`CartPole-v1: {n_timesteps: 50_000}`, got a list",
        ),
        (
            "{CartPole-v1: {n_timestep: 9}}",
            "environments.CartPole-v1.n_timestep: unknown key, did you mean n_timesteps?",
        ),
        (
            "{CartPole-v1: {n_timesteps: -9}}",
            "environments.CartPole-v1.n_timesteps: expected an integer >= 1, got -9",
        ),
        (
            "{CartPole-v1: {n_timesteps: 50, n_envs: 0}}",
            "environments.CartPole-v1.n_envs: expected an integer >= 1, got 0",
        ),
        (
            "{CartPole-v1: 500}",
            "environments.CartPole-v1: expected a mapping of n_timesteps, n_envs, env_kwargs, got 500",
        ),
        ("{../x: }", 'environments.../x: expected a gymnasium id such as CartPole-v1, got the text "../x"'),
    ],
)
def test_an_invalid_environment_is_refused(check: Check, value: str, message: str) -> None:
    assert check(environments=value)[0] == f"a.yml:3: {message}"


@pytest.mark.parametrize(
    "env", ["CartPole-v1", "ALE/Pong-v5", "my_package:Drone-v0", "harness/Drone-v0", "a.b:ns/X-v0"]
)
def test_ids_of_gymnasium_are_accepted(env: str) -> None:
    problems: list[PlacedError] = []
    (draft,) = read_environments(parse_document(f"{env}: {{n_envs: 2}}", "a.yml").root, problems)
    assert (draft.env, draft.overrides["n_envs"].value, problems) == (env, 2, [])


def test_two_environments_that_would_share_a_folder_are_refused(check: Check) -> None:
    found = check(environments="{a/b-v0: {n_timesteps: 100}, a-b-v0: {n_timesteps: 100}}")
    assert found == ["a.yml:3: environments.a-b-v0: the environment a-b-v0 and a/b-v0 would share the folder a-b-v0"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{confidenc: 0.9}", "statistics.confidenc: unknown key, did you mean confidence?"),
        ("{confidence: 95}", "statistics.confidence: expected a number in (0, 1), got 95"),
        ("{n_bootstrap: 0}", "statistics.n_bootstrap: expected an integer >= 1, got 0"),
        ("{equivalence_margin: 0}", "statistics.equivalence_margin: expected a number > 0, got 0"),
        ("{baseline: pppo}", "statistics.baseline: is not an algorithm of this experiment, did you mean ppo?"),
        ("{baseline: 3}", "statistics.baseline: expected text or null, got 3"),
        (
            "{pairs: [[ppo, pppo]]}",
            "statistics.pairs[0]: pppo is not an algorithm of this experiment, did you mean ppo?",
        ),
        ("{pairs: [[ppo, ppo]]}", "statistics.pairs[0]: compares ppo with itself; name two algorithms"),
        (
            "{pairs: [ppo]}",
            "statistics.pairs: expected a list of pairs of algorithms, such as [[ppo, a2c], [ppo, trpo]]",
        ),
        ("[0.95]", "statistics: expected a mapping of confidence, n_bootstrap, smoothing_window, last_episodes, "),
        (
            "{references: {CartPole-v0: {random: 2, best: 5}}}",
            "statistics.references.CartPole-v0: is not an environment of this experiment, did you mean CartPole-v1?",
        ),
        (
            "{references: {CartPole-v1: {random: 22}}}",
            "statistics.references.CartPole-v1: best is missing, expected a number",
        ),
        (
            "{references: {CartPole-v1: {random: 22, best: 9}}}",
            "statistics.references.CartPole-v1: expected best > random, got best 9 and random 22",
        ),
        (
            "{references: {CartPole-v1: [22, 500]}}",
            "statistics.references.CartPole-v1: expected a mapping of random, best, got a list",
        ),
    ],
)
def test_an_invalid_statistics_section_is_refused(check: Check, value: str, message: str) -> None:
    (found,) = check(statistics=value)
    assert found.startswith(f"a.yml:6: {message}")


def test_pairs_are_declared_once_and_without_a_baseline() -> None:
    text = "{pairs: [[ppo, a2c], [a2c, ppo]], baseline: ppo}"
    problems: list[PlacedError] = []
    read_statistics(parse_document(text, "a.yml").root, [], ["ppo", "a2c"], problems)
    assert [str(problem) for problem in problems] == [
        "a.yml:1:2: pairs: expected either pairs or baseline, got both; delete one of them",
        "a.yml:1:22: pairs[1]: is there twice: a2c and ppo; delete one of them",
    ]


def test_missing_statistics_have_their_defaults() -> None:
    root = parse_document("{confidence: 0.9, references: {X: {random: -5, best: 1e1}}}", "a.yml").root
    statistics = read_statistics(root, ["X"], ["ppo"], [])
    assert (statistics.confidence, statistics.n_bootstrap, statistics.equivalence_margin) == (0.9, 2000, 0.10)
    assert statistics.references == {"X": ReferenceScores(random=-5, best=10)}


@pytest.mark.parametrize("value", ["my_package", "[a.b]", "[3]"])
def test_trusted_packages_are_a_list_of_top_level_names(check: Check, value: str) -> None:
    (found,) = check(trusted_packages=value)
    assert found.startswith("a.yml:6: trusted_packages")


@pytest.mark.parametrize("value", ["[tensorboard, wandb]", "wandb", "[]"])
def test_further_logs_are_named_alone_or_in_a_list(check: Check, value: str) -> None:
    assert check(logging=value) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "[tensorbord]",
            'logging[0]: expected tensorboard or wandb, got the text "tensorbord", did you mean tensorboard?',
        ),
        ("mlflow", 'logging: expected tensorboard or wandb, got the text "mlflow"'),
        ("3", "logging: expected a list such as [tensorboard], got 3"),
        ("[3]", "logging[0]: expected tensorboard or wandb, got 3"),
    ],
)
def test_unknown_logs_are_refused(check: Check, value: str, message: str) -> None:
    assert check(logging=value) == [f"a.yml:6: {message}"]
