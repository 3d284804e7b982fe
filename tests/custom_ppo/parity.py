"""Comparison of two trainings: all results that can differ, and the first that does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecNormalize

__all__ = ["Logged", "Outcome", "assert_identical", "differences", "outcome_of", "train"]


@dataclass(frozen=True)
class Outcome:
    """All results of a training that can differ."""

    model: Any
    logs: list[dict[str, Any]]
    random_states: list[Any]


class Logged(BaseCallback):
    """Callback that keeps the values of the logger after every update."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._keep()

    def _on_training_end(self) -> None:
        self._keep()

    def _keep(self) -> None:
        if self.logger.name_to_value:
            self.rows.append(dict(self.logger.name_to_value))


def outcome_of(model: Any, log: Logged) -> Outcome:
    """Return the results of a training that has just ended."""
    return Outcome(model, log.rows, [torch.get_rng_state().numpy(), np.random.get_state(), random.getstate()])  # noqa: NPY002


def train(
    cls: type[Any],
    env: str | Callable[[], gym.Env[Any, Any]],
    n_envs: int,
    *,
    policy: Any = "MlpPolicy",
    normalize: bool = False,
    evaluate: bool = False,
    parts: int = 1,
    n_iterations: int = 20,
    wrap: Callable[[VecEnv], VecEnv] = lambda vec_env: vec_env,
    in_processes: bool = False,
    **kwargs: Any,
) -> Outcome:
    """Train; in_processes: whether every environment gets a process of its own (SubprocVecEnv)."""
    kwargs = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "seed": 0, "device": "cpu", **kwargs}
    own_processes = {"vec_env_cls": SubprocVecEnv, "vec_env_kwargs": {"start_method": "fork"}} if in_processes else {}
    vec_env = wrap(make_vec_env(env, n_envs=n_envs, seed=kwargs["seed"], **own_processes))
    if normalize:
        vec_env = VecNormalize(vec_env, gamma=kwargs.get("gamma", 0.99))
    model = cls(policy, vec_env, **kwargs)
    log = Logged()
    callbacks: list[BaseCallback] = [log]
    if evaluate:
        eval_env = make_vec_env(env, n_envs=1, seed=123)
        callbacks.append(EvalCallback(eval_env, eval_freq=40, n_eval_episodes=2, deterministic=True, verbose=0))
    for part in range(parts):
        model.learn(
            kwargs["n_steps"] * n_envs * n_iterations // parts,
            callback=CallbackList(callbacks),
            log_interval=None,
            reset_num_timesteps=part == 0,
        )
    outcome = outcome_of(model, log)
    vec_env.close()
    return outcome


def differences(ours: Outcome, theirs: Outcome) -> Iterator[str]:
    """Return all differences between two trainings, in words.

    Compared are weights, the optimiser's state, logged values, random generators, and where the environments stand.
    """
    yield from _unequal("weights", *(outcome.model.policy.state_dict() for outcome in (ours, theirs)))
    our_optimizer, their_optimizer = (outcome.model.policy.optimizer.state_dict() for outcome in (ours, theirs))
    if our_optimizer["param_groups"] != their_optimizer["param_groups"]:
        yield f"settings of the optimiser: {our_optimizer['param_groups']} != {their_optimizer['param_groups']}"
    states = ({f"{i}": s for i, s in optimizer["state"].items()} for optimizer in (our_optimizer, their_optimizer))
    our_state, their_state = states
    for index in their_state:
        yield from _unequal(f"optimiser, parameter {index}", our_state.get(index, {}), their_state[index])
    if len(ours.logs) != len(theirs.logs):
        yield f"rows of the log: {len(ours.logs)} != {len(theirs.logs)}"
    for number, (our_row, their_row) in enumerate(zip(ours.logs, theirs.logs, strict=False)):
        yield from _unequal(f"log {number}", our_row, their_row)
    for name, our, their in zip(("torch", "NumPy", "Python"), ours.random_states, theirs.random_states, strict=True):
        if not _equal(our, their):
            yield f"random generator of {name}"
    for name in ("num_timesteps", "_n_updates"):
        our, their = getattr(ours.model, name), getattr(theirs.model, name)
        if our != their:
            yield f"{name}: {our} != {their}"
    yield from _unequal("environments", *(_where_it_stands(outcome.model) for outcome in (ours, theirs)))


def _where_it_stands(model: Any) -> dict[str, Any]:
    """Return the last observations, the episodes that ended, and the statistics of VecNormalize."""
    state = {
        "last observation": model._last_obs,
        "episode starts": model._last_episode_starts,
        "episodes": [(episode["r"], episode["l"]) for episode in model.ep_info_buffer or ()],
    }
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        names = ("obs_rms", "ret_rms", "returns", "old_obs", "old_reward")
        state |= {name: _plain(getattr(normalize, name, None)) for name in names}
    return state


def _plain(value: Any) -> Any:
    """Return running statistics as numbers, one entry for each key of a Dict."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return vars(value) if isinstance(value, RunningMeanStd) else value


def _unequal(where: str, ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    if list(ours) != list(theirs):
        yield f"{where}: names {list(ours)} != {list(theirs)}"
        return
    yield from (f"{where}: {name}" for name in theirs if not _equal(ours[name], theirs[name]))


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, torch.Tensor):
        return torch.equal(ours, theirs)
    try:
        np.testing.assert_equal(ours, theirs)  # NaN equals NaN
    except AssertionError:
        return False
    return True


def assert_identical(ours: Outcome, theirs: Outcome) -> None:
    """Raise AssertionError with all differences."""
    assert theirs.logs, "nothing was compared"
    found = list(differences(ours, theirs))
    assert not found, "\n".join(found)
