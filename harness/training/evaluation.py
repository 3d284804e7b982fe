"""Deterministic evaluations: the episodes of SB3's `evaluate_policy`, with less work between two steps.

    with lean_predictions(model):
        episodes = evaluated(model, env, n_episodes=5)
    episodes.returns, episodes.lengths

Vector environments of one array per observation are stepped member by member: their infos are not copied, as nobody
keeps them. Everything else is left to `evaluate_policy`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from harness.training.action_masks import evaluate_policy_for
from harness.training.envs import SB3_CLASSES, lean_classes
from harness.training.lean_predictions import has_lean_predictions

__all__ = ["Episodes", "evaluated"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Episodes:
    """Episodes of an evaluation, in the order in which they ended."""

    returns: list[float] = field(default_factory=list)
    """Sum of the rewards of each episode, as Monitor rounds it."""
    lengths: list[int] = field(default_factory=list)
    """Number of steps of each episode."""
    successes: list[bool] = field(default_factory=list)
    """`is_success` of the last info of each episode that has one."""


def evaluated(model: Any, env: VecEnv, n_episodes: int) -> Episodes:
    """Play episodes with the most likely actions, and return those that `evaluate_policy` counts.

    As there, each environment plays an equal number of them, and goes on until the others have ended theirs: these
    further episodes move its random generator, and with it the first states of later evaluations.
    """
    if not _is_known(model, env):
        return _by_sb3(model, env, n_episodes)
    return _by_members(model.policy.predict, env, n_episodes)


def _by_sb3(model: Any, env: VecEnv, n_episodes: int) -> Episodes:
    """Return the episodes of SB3's own function, or of sb3_contrib's for a model that takes action masks."""
    successes: list[bool] = []

    def note_success(local: dict[str, Any], _: dict[str, Any]) -> None:
        if local["done"] and local["info"].get("is_success") is not None:
            successes.append(local["info"]["is_success"])

    returns, lengths = evaluate_policy_for(model, env)(
        model, env, n_episodes, deterministic=True, return_episode_rewards=True, callback=note_success
    )
    assert isinstance(returns, list)
    assert isinstance(lengths, list)
    return Episodes(returns, lengths, successes)


def _by_members(predict: Callable[..., tuple[Array, Any]], env: Any, n_episodes: int) -> Episodes:
    """Step the members of env one after the other, as `evaluate_policy` does through env."""
    normalization: Any = env if isinstance(env, VecNormalize) else None
    base: Any = env.venv if normalization is not None else env
    missing = [(n_episodes + i) // base.num_envs for i in range(base.num_envs)]
    n_missing = sum(missing)
    episodes = Episodes()
    observations = env.reset()
    current = base.buf_obs[None]  # [N, ...], where env.reset has written the first observations
    normalized = _normalizer(normalization)
    members = list(enumerate(base.envs))
    while n_missing:
        actions, _ = predict(observations, deterministic=True)
        for i, member in members:
            observation, _, terminated, truncated, info = member.step(actions[i])
            if terminated or truncated:
                if missing[i] and _note(episodes, info):
                    missing[i] -= 1
                    n_missing -= 1
                observation, base.reset_infos[i] = member.reset()
            current[i] = observation
        observations = normalized(current)
    return episodes


def _note(episodes: Episodes, info: dict[str, Any]) -> bool:
    """Add an ended episode; return False if only a life of several has ended, after which Monitor adds nothing."""
    success = info.get("is_success")
    if success is not None:
        episodes.successes.append(success)
    if "episode" not in info:
        return False
    episodes.returns.append(info["episode"]["r"])
    episodes.lengths.append(info["episode"]["l"])
    return True


def _normalizer(env: Any) -> Callable[[Array], Array]:
    """Return the function that normalises observations [N, ...] as a VecNormalize does whose statistics stay."""
    if env is None or not env.norm_obs:
        return lambda observations: observations
    # The operations of VecNormalize._normalize_obs, in its order and precision: float64 until the last one.
    mean, scale, limit = env.obs_rms.mean, np.sqrt(env.obs_rms.var + env.epsilon), env.clip_obs

    def normalized(observations: Array) -> Array:
        centred: Array = np.subtract(observations, mean)
        np.divide(centred, scale, centred)
        np.maximum(centred, -limit, out=centred)
        np.minimum(centred, limit, out=centred)
        return centred.astype(np.float32)

    return normalized


def _is_known(model: Any, env: Any) -> bool:
    """Return True if nobody can tell that the members of env are stepped, and not env itself."""
    if not has_lean_predictions(model) or getattr(type(model), "predict", None) is not BaseAlgorithm.predict:
        return False
    if "predict" in vars(model):
        return False
    if _is_of(env, "normalising"):
        if env.training or (env.norm_obs and type(env.obs_rms) is not RunningMeanStd):
            return False
        env = env.venv
    return _is_of(env, "stepping") and env.keys == [None] and all(isinstance(member, Monitor) for member in env.envs)


def _is_of(env: Any, kind: str) -> bool:
    """Return True if env is of one of the classes themselves, and has no methods of its own."""
    classes = {getattr(SB3_CLASSES, kind), getattr(lean_classes(), kind)}
    return type(env) in classes and not any(callable(value) for value in vars(env).values())
