from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from harness.crosscheck.environments import ENVIRONMENTS, ManySwitches, TightBounds, make_environment

LIMITS = {"TightBounds": 9, "ManySwitches": 7, "CartPole15": 15, "Pendulum20": 20}


def episodes(env: gym.Env[Any, Any], n_steps: int, seed: int = 0) -> list[tuple[int, bool, bool]]:
    """Return (length, terminated, truncated) of each episode under random actions."""
    env.action_space.seed(seed)
    env.reset(seed=seed)
    ended, length = [], 0
    for _ in range(n_steps):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        length += 1
        if terminated or truncated:
            ended.append((length, terminated, truncated))
            length = 0
            env.reset()
    return ended


@pytest.mark.parametrize("environment", [TightBounds, ManySwitches])
def test_an_environment_passes_gymnasiums_checks(environment: type[gym.Env[Any, Any]]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(infinity|symmetric and normalized|spec|np.array).*")
        check_env(environment(), skip_render_check=True)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_episode_is_longer_than_the_limit_and_some_reach_it(name: str) -> None:
    lengths = [length for length, _, _ in episodes(make_environment(name), 400)]

    assert max(lengths) == LIMITS[name]


@pytest.mark.parametrize("name", ["TightBounds", "ManySwitches", "CartPole15"])
def test_episodes_end_in_both_ways(name: str) -> None:
    ends = {(terminated, truncated) for _, terminated, truncated in episodes(make_environment(name), 400)}

    assert {(True, False), (False, True)} <= ends


def test_pendulum_ends_by_its_limit_only() -> None:
    assert set(episodes(make_environment("Pendulum20"), 400)) == {(20, False, True)}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_equal_seeds_give_equal_rewards(name: str) -> None:
    def rewards(seed: int) -> list[float]:
        env = make_environment(name)
        env.action_space.seed(0)
        env.reset(seed=seed)
        return [float(env.step(env.action_space.sample())[1]) for _ in range(5)]

    assert rewards(3) == rewards(3)


@pytest.mark.parametrize("name", ["TightBounds", "ManySwitches"])
def test_no_randomness_comes_from_the_global_generators(name: str) -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002

    episodes(make_environment(name), 50)

    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # noqa: NPY002


def test_most_samples_of_a_gaussian_lie_outside_the_tight_bounds() -> None:
    space: Any = make_environment("TightBounds").action_space
    samples = np.random.default_rng(0).normal(size=(1000, 2))

    outside = (samples < space.low) | (samples > space.high)
    assert outside.any(axis=1).mean() > 0.7


def test_other_names_are_gymnasium_ids() -> None:
    spec = make_environment("Acrobot-v1").spec

    assert spec is not None
    assert spec.id == "Acrobot-v1"
