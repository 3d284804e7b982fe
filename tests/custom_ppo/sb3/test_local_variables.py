"""Local variables of learn() and collect_rollouts(), which callbacks read, are those of SB3's PPO."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback, StopTrainingOnMaxEpisodes
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnvWrapper

from custom_ppo import CustomPPO
from tests.custom_ppo.sb3.models import BOTH, assert_same_weights, make_model
from tests.probe_envs import RandomWorld


def _arrays(value: Any) -> Any:
    """Return a copy of a tensor as an array, or of a dict of tensors as a dict of arrays."""
    if isinstance(value, dict):
        return {key: _arrays(part) for key, part in value.items()}
    return torch.as_tensor(value).numpy().copy()


class Recorder(BaseCallback):
    """Copies local variables at every step."""

    names = (
        *("n_steps", "n_rollout_steps", "obs_tensor", "new_obs", "rewards", "dones"),
        *("actions", "clipped_actions", "values", "log_probs"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.keys: dict[str, set[str]] = {}
        self.timeouts: list[Any] = []

    def _on_training_start(self) -> None:
        self.events.append("training start")
        self.keys["training start"] = set(self.locals)

    def _on_rollout_start(self) -> None:
        self.events.append("rollout start")

    def _on_step(self) -> bool:
        step: dict[str, Any] = {name: _arrays(self.locals[name]) for name in self.names}
        step["idx"], step["done"] = (self.locals.get(name) for name in ("idx", "done"))
        step["infos"] = copy.deepcopy(self.locals["infos"])
        for info in step["infos"]:
            info.get("episode", {}).pop("t", None)  # seconds
        self._keep_timeout()
        step["rollout_buffer"] = self.locals["rollout_buffer"].rewards.copy()
        step["num_timesteps"] = self.num_timesteps
        step["episodes"] = len(self.model.ep_info_buffer or ())
        self.steps.append(step)
        self.events.append("step")
        self.keys["step"] = set(self.locals)
        return True

    def _on_rollout_end(self) -> None:
        self.events.append("rollout end")
        self._keep_timeout()
        self.keys["rollout end"] = set(self.locals)
        buffer = self.locals["rollout_buffer"]
        end: dict[str, Any] = {name: _arrays(self.locals[name]) for name in self.names}
        self.steps.append({**end, "advantages": buffer.advantages.copy(), "returns": buffer.returns.copy()})

    def _keep_timeout(self) -> None:
        """Keep the observation and the value that the last time limit of this rollout was bootstrapped with."""
        if "terminal_value" in self.locals:
            self.timeouts.append([_arrays(self.locals[name]) for name in ("terminal_obs", "terminal_value")])

    def _on_training_end(self) -> None:
        self.events.append("training end")


def recorded(cls: type[Any], action_space: spaces.Space[Any]) -> Recorder:
    recorder = Recorder()
    env = make_vec_env(lambda: RandomWorld(spaces.Box(-1, 1, (2,)), action_space), n_envs=2, seed=0)
    make_model(cls, env).learn(96, callback=recorder)
    return recorder


@pytest.mark.parametrize(
    "action_space", [spaces.Box(-0.5, 0.5, (2,)), spaces.Discrete(3), spaces.MultiBinary(2)], ids=str
)
def test_callbacks_see_the_same_local_variables_at_the_same_moments(action_space: spaces.Space[Any]) -> None:
    ours, theirs = (recorded(cls, action_space) for cls in BOTH)
    assert ours.events == theirs.events
    np.testing.assert_equal(ours.steps, theirs.steps)
    assert ours.timeouts, "no episode was cut by its time limit"
    np.testing.assert_equal(ours.timeouts, theirs.timeouts)


def test_callbacks_find_sb3s_names() -> None:
    ours, theirs = (recorded(cls, spaces.Discrete(2)) for cls in BOTH)
    assert {"terminal_obs", "terminal_value", "idx", "done", "infos"} <= theirs.keys["rollout end"]
    for moment, names in theirs.keys.items():
        assert names - ours.keys[moment] == set(), moment


class StopAfter(BaseCallback):
    def _on_step(self) -> bool:
        return self.n_calls < 21


@pytest.mark.parametrize("make_callback", [StopAfter, lambda: StopTrainingOnMaxEpisodes(2)], ids=["steps", "episodes"])
def test_a_callback_stops_training_where_it_stops_sb3s(make_callback: Callable[[], BaseCallback]) -> None:
    ours, theirs = (make_model(cls).learn(500, callback=make_callback()) for cls in BOTH)
    assert ours.num_timesteps == theirs.num_timesteps < 500
    assert ours._n_updates == theirs._n_updates
    assert_same_weights(ours, theirs)


@pytest.mark.parametrize("form", ["function", "list"])
def test_a_callback_may_be_a_function_or_a_list(form: str) -> None:
    calls: list[int] = []

    def count(locals_: dict[str, Any], _globals: dict[str, Any]) -> bool:
        calls.append(locals_["self"].num_timesteps)
        return True

    make_model(CustomPPO).learn(16, callback=count if form == "function" else [StopAfter(), StopAfter()])
    assert calls == (list(range(1, 17)) if form == "function" else [])


class FewInfos(VecEnvWrapper):
    """Returns no infos for steps in which no episode ends."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        return observations, rewards, dones, infos if dones.any() else []


def test_infos_of_environments_that_go_on_may_be_missing_as_for_sb3() -> None:
    world = RandomWorld(spaces.Box(-1, 1, (2,)), spaces.Discrete(2))
    ours, theirs = (
        make_model(cls, FewInfos(make_vec_env(lambda: copy.deepcopy(world), n_envs=2, seed=0))).learn(96)
        for cls in BOTH
    )
    assert_same_weights(ours, theirs)
