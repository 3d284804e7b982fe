"""Rollout without modules, distributions and copies: the results of `rollout.interact` in a fraction of its time.

    actor = rollout_actor(model, memory, n_rollout_steps)  # None: the readable loop of CustomPPO.collect_rollouts
    if actor is not None:
        collect(model, actor, env, callback, memory, n_rollout_steps)

An `Actor` writes values and log-probabilities straight into the memory. Callbacks find SB3's local variables all the
same; nothing is made for them if none can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from custom_ppo.agent import PPOAgent
from custom_ppo.diagnostics import TrainingDivergedError, explain_failed_act
from custom_ppo.engines import Actor
from custom_ppo.engines.native.advantages import compiled_gae
from custom_ppo.gae import gae
from custom_ppo.memory import Observation, TrajectoryMemory
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import clipped_to_bounds
from custom_ppo.rollout import bootstrap_timeouts
from custom_ppo.sb3.buffer import RolloutMemory
from custom_ppo.sb3.exchanged_policy import PolicyActor, PolicyWatch
from custom_ppo.sb3.local_variables import LocalVariables, reads_no_locals
from custom_ppo.sb3.normalization import clip
from custom_ppo.sb3.stepping import stepper

__all__ = ["collect", "rollout_actor"]


def rollout_actor(model: Any, memory: TrajectoryMemory, n_rollout_steps: int) -> Actor | None:
    """Return the actor of the model's engine, or None if a part of the readable loop was exchanged or is watched."""
    make_actor = getattr(model.agent.engine, "actor", None)
    # An actor would write beyond the arrays; `memory.add` raises the error.
    if n_rollout_steps > memory.n_steps:
        return None
    if make_actor is None:
        return None
    if not _is_own(model.agent, PPOAgent, "act", "remember"):
        return None
    # RolloutMemory.add only renames the arguments; another memory may store something else.
    if type(memory) not in (TrajectoryMemory, RolloutMemory) or not _is_own(memory, type(memory), "add"):
        return None
    actor: Actor | None = make_actor(model.agent.policy, memory.n_envs)
    return actor


_METHODS: Mapping[type, tuple[str, ...]] = {
    PPOAgent: ("act", "remember", "finish_rollout", "value"),
    TrajectoryMemory: ("add",),
    RolloutMemory: ("add",),
    ActorCritic: ("predict_values",),
    BaseAlgorithm: ("_update_info_buffer",),
}
"""Methods that this module stands for."""

_ORIGINALS = {(cls, name): vars(cls)[name] for cls, names in _METHODS.items() for name in names}


def _is_own(obj: Any, cls: type, *names: str) -> bool:
    """Return True if obj has these methods of cls: not overridden, wrapped on the object, or patched on the class."""
    return all(getattr(getattr(obj, name), "__func__", None) is _ORIGINALS[cls, name] for name in names)


def collect(
    model: Any, actor: Actor, env: VecEnv, callback: BaseCallback, memory: TrajectoryMemory, n_rollout_steps: int
) -> bool:
    """Act for n_rollout_steps in all environments and remember it; returns False if a callback stops training.

    The rollout has begun: the memory is empty, and callback.on_rollout_start was called.
    Raises TrainingDivergedError if no action can be drawn, or a number of the rollout is not finite.
    """
    agent = model.agent
    step, env_action, n_envs = stepper(env), _env_action(agent), env.num_envs
    observed = None if reads_no_locals(callback) else LocalVariables(model, env, callback, memory, n_rollout_steps)
    rows = memory if observed is None else observed.rows
    watch = None if observed is None else PolicyWatch(agent.policy)
    noise_interval = agent.config.sde_sample_freq if agent.config.use_sde else 0
    always_update_infos = not _is_own(model, BaseAlgorithm, "_update_info_buffer")
    observations, episode_starts = model._last_obs, model._last_episode_starts
    remember_observations = _observation_writer(memory, observations)
    # Views in the shapes in which environments and policy return one step, so that rows need no reshaping.
    action_rows = memory.actions
    if isinstance(memory.action_space, spaces.Discrete):
        action_rows = action_rows[..., 0]  # [T, N, 1] -> [T, N]
    reward_rows, episode_start_rows = memory.rewards, memory.episode_starts
    actor.begin(rows)
    try:
        for t in range(n_rollout_steps):
            if noise_interval > 0 and t % noise_interval == 0:  # as in PPOAgent.act
                agent.policy.reset_noise(n_envs)
            try:
                actions = actor.act(t, observations)
            except (RuntimeError, ValueError) as error:
                diverged = _divergence(agent, observations)
                if diverged is None:
                    raise
                raise diverged from error
            env_actions = env_action(actions)
            next_observations, rewards, dones, infos = step(env_actions)
            model.num_timesteps += n_envs  # before the callbacks, which count their intervals by it
            if observed is None:
                goes_on = callback.on_step()
            else:
                results = next_observations, rewards, dones, infos
                goes_on = observed.on_step(t, observations, actions, env_actions, *results)
            if not goes_on:
                return False
            if watch is not None and watch.has_changed():
                actor, watch = PolicyActor(agent), None
                actor.begin(rows)
            if always_update_infos or _has_news(infos):
                model._update_info_buffer(infos, dones)
            if True in dones.tolist():  # a quarter of the time of dones.any()
                bootstrap_timeouts(agent, rewards, dones, infos)
            remember_observations(t, observations)
            action_rows[t] = actions
            reward_rows[t] = rewards
            episode_start_rows[t] = episode_starts
            memory.position = t + 1
            model._last_obs = observations = next_observations
            model._last_episode_starts = episode_starts = dones
    finally:
        # The actor writes a row before its step is made. One that is not remembered is left empty, as by SB3.
        if memory.position < memory.n_steps:
            _clear_row(memory, memory.position)
    values = _finish(agent, actor, observations, dones)
    if observed is not None:
        observed.show_end(actions, values)
    callback.on_rollout_end()
    return True


def _observation_writer(memory: TrajectoryMemory, like: Observation) -> Callable[[int, Any], None]:
    """Return the function that writes observations in the memory's row of a step.

    like: observations of one step, in the shapes of all others.
    """
    arrays = memory.observations
    if not isinstance(arrays, dict):
        assert not isinstance(like, dict)
        return arrays.reshape(-1, *like.shape).__setitem__
    assert isinstance(like, dict)
    # [T, N, 1] -> [T, N] for Discrete parts
    rows = [(key, array.reshape(-1, *like[key].shape)) for key, array in arrays.items()]

    def write(step: int, observations: Any) -> None:
        for key, array in rows:
            array[step] = observations[key]

    return write


def _env_action(agent: PPOAgent) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the function that makes environments' actions of sampled ones [N, ...]."""
    space, recipe = agent.memory.action_space, agent.recipe
    shape = space.shape or ()
    if recipe.env_action is not clipped_to_bounds:
        return lambda actions: recipe.env_action(actions.reshape(-1, *shape), space)
    if not isinstance(space, spaces.Box):
        return lambda actions: actions
    low, high = space.low, space.high
    if len(shape) == 1:
        return lambda actions: clip(actions, low, high)
    return lambda actions: clip(actions.reshape(-1, *shape), low, high)  # [N, A] -> [N, ...]


def _divergence(agent: PPOAgent, observations: Observation) -> TrainingDivergedError | None:
    """Return the error that `PPOAgent.act` raises if no action can be drawn because a number is not finite."""
    parameters, memory = agent.policy.parameters(), agent.memory
    return explain_failed_act(observations, parameters, iteration=agent.iteration, memory=memory)


def _has_news(infos: Any) -> bool:
    """Return True if an info holds what `_update_info_buffer` collects."""
    for info in infos:  # noqa: SIM110  a generator costs more than this loop
        if "episode" in info or "is_success" in info:
            return True
    return False


def _clear_row(memory: TrajectoryMemory, step: int) -> None:
    """Set what an actor writes in one row to zero, as it is after a reset."""
    memory.values[step] = 0
    memory.log_probs[step] = 0


def _finish(agent: PPOAgent, actor: Actor, observations: Observation, dones: NDArray[np.bool_]) -> Tensor:
    """Estimate the advantages, and return the values of the last observations, [N, 1]."""
    own = _is_own(agent, PPOAgent, "finish_rollout", "value") and _is_own(agent.policy, ActorCritic, "predict_values")
    if not own:
        return agent.finish_rollout(observations, dones)
    last_values = actor.values(observations)
    config = agent.config
    # NumPy's numbers would make the advantages float64 until they are stored, as in SB3.
    plain = agent.recipe.advantages is gae and type(config.gamma) is float and type(config.gae_lambda) is float
    agent.estimate_advantages(last_values, dones, compiled_gae() if plain else None)
    return torch.from_numpy(last_values).unsqueeze(1)  # [N] -> [N, 1]
