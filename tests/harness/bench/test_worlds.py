from __future__ import annotations

import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from harness.bench import worlds


@pytest.mark.parametrize("name", ["MultiDiscrete", "MultiBinary", "Dict"])
def test_worlds_pass_the_checks_of_gymnasium(name: str) -> None:
    assert worlds.__name__ == "harness.bench.worlds"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(gymnasium.make(f"Bench{name}-v0").unwrapped, skip_render_check=True)


def test_an_episode_ends_after_a_hundred_steps_or_before() -> None:
    env = gymnasium.make("BenchMultiBinary-v0")
    env.reset(seed=0)
    for _ in range(100):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            break
    assert terminated or truncated
