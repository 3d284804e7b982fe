from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest
from stable_baselines3 import A2C, PPO

from harness.crosscheck.quantities import ORDER
from harness.training.algorithms import load_algorithm
from tests.planted.subjects.mutants import MODULE, MUTANTS
from tests.planted.subjects.standalone_bugs import BUGS
from tests.planted.subjects.training import CASES, trained, weights


@functools.cache
def sb3_weights(algorithm: str, env: str, settings: tuple[tuple[str, Any], ...]) -> list[bytes]:
    return weights(trained({"PPO": PPO, "A2C": A2C}[algorithm], env, **dict(settings)))


def settings_of(mutant: Any) -> tuple[tuple[str, Any], ...]:
    """Return the settings as a key for the cache."""
    settings: Mapping[str, Any] = mutant.settings
    return tuple(settings.items())


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_trains_and_learns_something_else_than_sb3(name: str) -> None:
    mutant = MUTANTS[name]
    subject = load_algorithm(f"{MODULE}:{name}")

    learnt = weights(trained(subject, mutant.env, **mutant.settings))

    assert learnt != sb3_weights(mutant.algorithm, mutant.env, settings_of(mutant))


def test_there_are_bugs_of_ppo_and_a2c_and_bugs_outside_the_catalogue() -> None:
    assert len(MUTANTS) >= 70
    assert sum(mutant.algorithm == "A2C" for mutant in MUTANTS.values()) >= 8
    assert sum(mutant.deviation is None for mutant in MUTANTS.values()) >= 12


def test_stages_and_environments_of_all_bugs_exist() -> None:
    for mutant in (*MUTANTS.values(), *BUGS.values()):
        assert mutant.stage in ORDER, mutant.name
        assert mutant.env in CASES, mutant.name
