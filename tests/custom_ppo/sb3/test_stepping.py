"""Lean stepping of vector environments: results, and attributes left on the environments, are those of SB3's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.sb3.stepping import stepper
from tests.probe_envs import RandomWorld

Step = Callable[[NDArray[Any]], Any]
MakeEnv = Callable[[], gym.Env[Any, Any]]


class Reporting(RandomWorld):
    """A RandomWorld whose infos hold values of all kinds, some of them shared and reused."""

    shared: list[int] = []  # noqa: RUF012

    def __init__(self, observation_space: spaces.Space[Any], time_limit: int = 5) -> None:
        super().__init__(observation_space, spaces.Box(-1, 1, (2,)), time_limit)
        self.position = np.zeros(2)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, _ = super().step(action)
        self.position += 1.0
        self.shared[self.n_steps % 3 :] = [self.n_steps]
        info = {
            "is_success": terminated,
            "position": self.position,
            "distance": np.float64(reward),
            "name": "reporting",
            "nested": {"reward": reward, "none": None},
            "tuple": (1, [2]),
            "objects": np.array([{}, []], dtype=object),
        }
        if self.n_steps % 2:
            info["deep"] = {"list": self.shared, "again": self.shared, "position": self.position}
        return observation, np.float32(reward), terminated, truncated, info


def reporting(space: spaces.Space[Any]) -> MakeEnv:
    return lambda: Monitor(TimeLimit(Reporting(space), 4))


FLOATS = spaces.Box(-1.0, 1.0, (3,), np.float32)
WORLDS: dict[str, MakeEnv] = {
    "CartPole": lambda: Monitor(gym.make("CartPole-v1")),
    "Pendulum": lambda: Monitor(TimeLimit(gym.make("Pendulum-v1"), 7)),
    "Acrobot": lambda: gym.make("Acrobot-v1", max_episode_steps=11),
    "infos of all kinds": reporting(FLOATS),
    "one number": reporting(spaces.Box(-1.0, 1.0, (1,), np.float32)),
    "float64": reporting(spaces.Box(-1.0, 1.0, (3,), np.float64)),
    "matrix": reporting(spaces.Box(-1.0, 1.0, (2, 3), np.float32)),
    "Discrete": reporting(spaces.Discrete(5)),
}


def seeded(env: VecEnv, n_steps: int = 14) -> tuple[VecEnv, list[NDArray[Any]]]:
    env.seed(3)
    for member in env.unwrapped.envs:  # type: ignore[attr-defined]
        member.unwrapped.observation_space.seed(3)
    rng = np.random.default_rng(0)
    space = env.action_space
    shape = (n_steps, env.num_envs, *(space.shape or ()))
    actions = rng.integers(0, int(space.n), shape) if isinstance(space, spaces.Discrete) else rng.normal(size=shape)
    return env, list(actions if isinstance(space, spaces.Discrete) else actions.astype(np.float32))


def state_of(env: Any) -> dict[str, Any]:
    """Return what a vector environment holds, without the environments themselves."""
    if isinstance(env, VecNormalize):
        names = ("old_obs", "old_reward", "returns", "training")
        own = {name: getattr(env, name) for name in names}
        own["ret_rms"] = vars(env.ret_rms).copy()
        own["obs_rms"] = vars(env.obs_rms).copy() if isinstance(getattr(env, "obs_rms", None), RunningMeanStd) else None
        return {**own, **state_of(env.venv)}
    names = ("buf_obs", "buf_rews", "buf_dones", "buf_infos", "actions", "reset_infos")
    return pickle.loads(pickle.dumps({name: getattr(env, name) for name in names}))  # type: ignore[no-any-return]


def without_times(results: Any) -> Any:
    """Return the results of a step without the seconds in Monitor's infos."""
    for info in results[3]:
        info.get("episode", {}).pop("t", None)
    return results


def course(env: VecEnv, step: Step, actions: list[NDArray[Any]]) -> list[Any]:
    """Return everything that an environment returns and holds, step by step."""
    steps: list[Any] = [env.reset()]
    for action in actions:
        results = without_times(step(action))
        types = [[type(value) for value in info.values()] for info in results[3]]
        state = state_of(env)
        for info in state["buf_infos"]:
            info.get("episode", {}).pop("t", None)
        steps.append((results, [array.dtype for array in results[:3]], types, state))
    return steps


def assert_same_course(ours: VecEnv, theirs: VecEnv, step: Step) -> None:
    (ours, actions), (theirs, _) = seeded(ours), seeded(theirs)
    Reporting.shared.clear()
    our_course = course(ours, step, actions)
    Reporting.shared.clear()
    np.testing.assert_equal(our_course, course(theirs, theirs.step, actions))


@pytest.mark.parametrize("n_envs", [1, 4])
@pytest.mark.parametrize("world", list(WORLDS))
def test_a_stepper_returns_and_leaves_what_dummy_vec_env_does(world: str, n_envs: int) -> None:
    ours, theirs = (DummyVecEnv([WORLDS[world]] * n_envs) for _ in range(2))
    step = stepper(ours)
    assert step != ours.step
    assert_same_course(ours, theirs, step)


NORMALIZATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "rewards alone": {"norm_obs": False},
    "observations alone": {"norm_reward": False, "gamma": 0.9},
    "not training": {"training": False},
    "tight": {"clip_obs": 0.5, "clip_reward": 0.25, "epsilon": 1e-3, "gamma": 1},
}


@pytest.fixture(params=["compiled", "NumPy"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "NumPy":
        monkeypatch.setattr("custom_ppo.sb3.normalization.compiled_moments", lambda env: None)
    elif reason_against_loading():
        pytest.skip("the kernels are not compiled")
    return name


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("settings", list(NORMALIZATIONS))
@pytest.mark.parametrize("n_envs", [1, 3, 9])
@pytest.mark.parametrize("world", ["infos of all kinds", "one number", "float64", "matrix"])
def test_a_stepper_normalises_as_vec_normalize_does(world: str, n_envs: int, settings: str) -> None:
    ours, theirs = (VecNormalize(DummyVecEnv([WORLDS[world]] * n_envs), **NORMALIZATIONS[settings]) for _ in range(2))
    step = stepper(ours)
    assert step != ours.step
    assert_same_course(ours, theirs, step)
