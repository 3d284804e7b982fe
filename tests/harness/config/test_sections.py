from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.documents import PlacedError, parse_document
from harness.config.experiment import ReferenceScores
from harness.config.sections import read_environments, read_seeds, read_statistics

Check = Callable[..., list[str]]


def seeds(text: str) -> tuple[int, ...]:
    problems: list[PlacedError] = []
    read = read_seeds(parse_document(text, "a.yml").root, problems)
    assert problems == []
    return read


@given(st.integers(0, 10**6), st.integers(0, 50))
def test_a_range_of_seeds_holds_both_its_ends(first: int, more: int) -> None:
    assert seeds(f"{first}-{first + more}") == tuple(range(first, first + more + 1))


@given(st.lists(st.integers(0, 2**31), min_size=1, unique=True))
def test_a_list_of_seeds_keeps_its_order(listed: list[int]) -> None:
    assert seeds(str(listed)) == tuple(listed)


def test_a_count_of_seeds_starts_at_zero() -> None:
    assert seeds("3") == seeds("0-2") == seeds("[0, 1, 2]") == (0, 1, 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "seeds: expected a count >= 1, a range such as 0-9, or a list, got 0"),
        ("-3", "seeds: expected a count >= 1, a range such as 0-9, or a list, got -3"),
        ("true", "seeds: expected a count >= 1, a range such as 0-9, or a list, got true"),
        ("9-0", "seeds: the range 9-0 is empty, did you mean 0-9?"),
        ("0..9", 'seeds: expected a count, a range such as 0-9, or a list, got the text "0..9"'),
        ("0-999999999", "seeds: expected at most 100000 seeds, none above 4294867295"),
        ("4294967295-4294967296", "seeds: expected at most 100000 seeds, none above 4294867295"),
        ("1e300", "seeds: expected at most 100000 seeds, none above 4294867295"),
        ("[]", "seeds: expected at least one seed, got an empty list"),
        ("[0, 1, 0]", "seeds[2]: the seed 0 is given twice"),
        ("[0, -1]", "seeds[1]: expected an integer in [0, 4294867295], got -1"),
        ("[0, 1.5]", "seeds[1]: expected an integer in [0, 4294867295], got 1.5"),
        ("{a: 1}", "seeds: expected a count >= 1, a range such as 0-9, or a list, got a mapping"),
    ],
)
def test_invalid_seeds_are_refused(check: Check, value: str, message: str) -> None:
    assert check(seeds=value) == [f"a.yml:4: {message}"]


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


def test_missing_statistics_have_their_defaults() -> None:
    root = parse_document("{confidence: 0.9, references: {X: {random: -5, best: 1e1}}}", "a.yml").root
    statistics = read_statistics(root, ["X"], ["ppo"], [])
    assert (statistics.confidence, statistics.n_bootstrap, statistics.equivalence_margin) == (0.9, 2000, 0.10)
    assert statistics.references == {"X": ReferenceScores(random=-5, best=10)}


@pytest.mark.parametrize("value", ["my_package", "[a.b]", "[3]"])
def test_trusted_packages_are_a_list_of_top_level_names(check: Check, value: str) -> None:
    (found,) = check(trusted_packages=value)
    assert found.startswith("a.yml:6: trusted_packages")
