from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from harness.training.envs.checked import CheckedEnv, NotFiniteError, steps_made
from harness.training.train import train_run
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec


class Scripted(gym.Env[Any, Any]):
    """Returns given observations and rewards."""

    def __init__(self, space: gym.Space[Any], observations: list[Any], rewards: list[Any]) -> None:
        self.observation_space = space
        self.action_space = spaces.Discrete(2)
        self.observations, self.rewards = observations, rewards

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observations.pop(0), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        return self.observations.pop(0), self.rewards.pop(0), False, False, {}


BOX = spaces.Box(-np.inf, np.inf, (3,), np.float32)
LONG = spaces.Box(-np.inf, np.inf, (100,), np.float32)


def steps(space: gym.Space[Any], observations: list[Any], rewards: list[Any]) -> None:
    env = CheckedEnv(Scripted(space, observations, list(rewards)), "training", 2)
    env.reset()
    for _ in rewards:
        env.step(0)


def vector(value: float, size: int = 3) -> np.ndarray[Any, Any]:
    array = np.zeros(size, np.float32)
    array[1] = value
    return array


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("space", "size"), [(BOX, 3), (LONG, 100)])
def test_an_observation_that_is_not_finite_is_named_at_its_step(space: gym.Space[Any], size: int, bad: float) -> None:
    observations = [vector(1.0, size), vector(1.0, size), vector(bad, size)]

    with pytest.raises(NotFiniteError, match=r"^the observation of environment 2 is not finite at its step 2 in train"):
        steps(space, observations, [0.0, 0.0])


def test_a_first_observation_that_is_not_finite_is_named() -> None:
    with pytest.raises(NotFiniteError, match=r"^the first observation of an episode of environment 2 is not finite"):
        steps(BOX, [vector(np.nan)], [])


@pytest.mark.parametrize("bad", [float("nan"), np.float32("inf"), np.array(-np.inf)])
def test_a_reward_that_is_not_finite_is_named_at_its_step(bad: Any) -> None:
    with pytest.raises(NotFiniteError) as error:
        steps(BOX, [vector(0.0)] * 4, [1.0, bad, 1.0])

    assert str(error.value) == (
        f"the reward of environment 2 is not finite at its step 2 in training: the environment returned {bad}"
    )


def test_a_part_of_a_dictionary_is_checked() -> None:
    space = spaces.Dict({"image": spaces.Box(0, 255, (2, 2), np.uint8), "speed": BOX})
    observations = [{"image": np.zeros((2, 2), np.uint8), "speed": vector(bad)} for bad in (1.0, np.nan)]

    with pytest.raises(NotFiniteError, match="observation of environment 2"):
        steps(space, observations, [0.0])


def test_numbers_too_large_for_a_sum_are_finite() -> None:
    space = spaces.Box(-np.inf, np.inf, (3,), np.float64)

    steps(space, [np.full(3, 1.7e308), np.full(3, -1.7e308), np.full(3, 3e38)], [0.0, 1.7e308])


def test_observations_of_integers_and_rewards_that_are_no_numbers_pass() -> None:
    steps(spaces.Discrete(3), [0, 1], [None])


def test_steps_are_counted_in_all_environments_and_their_copies() -> None:
    gc.collect()  # environments of other tests
    before = steps_made()
    env = CheckedEnv(gym.make("CartPole-v1"), "training", 0)
    env.reset(seed=0)
    env.step(0)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(env)))

    twin.step(1)

    gc.collect()
    assert steps_made() - before == 2 + 3


@pytest.mark.parametrize("algo", ["ppo", "a2c", "custom_ppo", "dqn"])
def test_every_algorithm_names_the_first_reward_that_is_nan(algo: str, tmp_path: Any) -> None:
    changes = {} if "ppo" in algo else {"batch_size": None, "n_epochs": None}
    if algo == "dqn":
        changes |= {"n_steps": None}
    spec = tiny_spec(algo, FAULTY_ENV, env_kwargs={"trouble": "nan"}, **changes)

    with pytest.raises(NotFiniteError, match=r"^the reward of environment 0 is not finite at its step 1 in training"):
        train_run(spec, tmp_path)
