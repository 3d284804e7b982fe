"""Rollout: act -> step -> bootstrap at time limits -> remember, in N environments at once.

    agent.start_rollout()
    for transition in interact(agent, env, observations, episode_starts):
        ...                                         # log, or stop
    agent.finish_rollout(transition.next_observations, transition.dones)

`bootstrap_timeouts` explains PPO's best-known trap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from custom_ppo.agent import PPOAgent, Step
from custom_ppo.memory import Observation

__all__ = ["Environments", "GymnasiumEnvironments", "Transition", "bootstrap_timeouts", "interact"]

Infos = list[dict[str, Any]]


class Environments(Protocol):
    """N environments that begin a new episode by themselves, such as a VecEnv of SB3 or `GymnasiumEnvironments`."""

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[np.bool_], Infos]:
        """Return observations [N, ...], rewards [N], dones [N] and one info per environment.

        Where done, the observation is the first of the next episode, and the info holds the last one of the old episode
        as "terminal_observation", and "TimeLimit.truncated": True if a time limit cut it.
        """
        ...


@dataclass(frozen=True)
class Transition:
    """One step in N environments, before it is remembered."""

    observations: Observation
    """s_t, [N, ...]"""
    step: Step
    """Actions sampled in s_t, their log-probabilities, and V(s_t)."""
    next_observations: Observation
    """s_{t+1}, [N, ...], or the first observation of the next episode if done."""
    rewards: NDArray[Any]
    """r_t as the environments returned it, [N]"""
    dones: NDArray[np.bool_]
    """True if the episode ended with this step, by termination or by a time limit, [N]"""
    infos: Infos


def interact(
    agent: PPOAgent,
    env: Environments,
    observations: Observation,
    episode_starts: NDArray[np.bool_],
    n_steps: int | None = None,
) -> Iterator[Transition]:
    """Let the agent act and remember, from these observations on; yield every step before it is remembered.

    observations, episode_starts: [N, ...] and [N], the states to begin with and True where an episode begins there.
    n_steps: steps per environment; the default fills the agent's memory.
    A caller that stops early leaves the last step unremembered.
    """
    for _ in range(agent.memory.n_steps if n_steps is None else n_steps):
        step = agent.act(observations)
        # Two actions of one sample: the environment makes the clipped one, the memory keeps the unclipped one, as
        # step.log_probs is the density of that (SB3, OnPolicyAlgorithm.collect_rollouts).
        next_observations, rewards, dones, infos = env.step(step.env_actions)
        # Before the bootstrap, as SB3 calls its callbacks: they see the rewards of the environment.
        yield Transition(observations, step, next_observations, rewards, dones, infos)
        bootstrap_timeouts(agent, rewards, dones, infos)
        agent.remember(observations, step, rewards, episode_starts)
        # The done of this step says that the *next* observation is the first of an episode: a flag stored one step too
        # early or too late lets advantages flow from one episode into another.
        observations, episode_starts = next_observations, dones


def bootstrap_timeouts(agent: PPOAgent, rewards: NDArray[Any], dones: NDArray[np.bool_], infos: Infos) -> None:
    """Add gamma * V(s_terminal) to the rewards [N] of those steps at which a time limit cut an episode, in place.

    A time limit is no part of the task: the episode would have gone on, and counting nothing for the rest of it teaches
    the critic that good states are worth little (Pardo et al. 2018, arXiv 1712.00378).
    """
    for index, done in enumerate(dones):
        if not done:  # before the info is read, as an environment that goes on may have none
            continue
        info = infos[index]
        # The trap: the state to judge is the one that the episode ended in. The observation that `step` returned is the
        # first of the next episode already, and its value is a plausible number that is wrong.
        terminal_observation = info.get("terminal_observation")
        if terminal_observation is not None and info.get("TimeLimit.truncated", False):
            # State by state, as in SB3: the values of a whole batch may differ in the last bit.
            rewards[index] = agent.timeout_reward(rewards[index], agent.terminal_value(terminal_observation))


class GymnasiumEnvironments:
    """Vector environment of Gymnasium as `Environments`.

    It must reset its environments in the step that ends an episode. Gymnasium's default is the step after it, which
    inserts a transition whose action is ignored, and PPO would learn from it.
    Raises ValueError if it resets them at another moment.
    """

    def __init__(self, env: Any) -> None:
        mode = getattr(env.metadata.get("autoreset_mode"), "name", None)
        if mode != "SAME_STEP":
            raise ValueError(
                f"the environments must be reset in the step that ends an episode, got autoreset_mode {mode}: "
                'make them with gymnasium.make_vec(..., vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})'
            )
        self.env = env

    def reset(self, seed: int | None = None) -> Any:
        """Return the first observations [N, ...]."""
        return self.env.reset(seed=seed)[0]

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[np.bool_], Infos]:
        """Make one step; see `Environments.step`."""
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        final = info.get("final_obs", [None] * len(rewards))
        # A state that is terminal at the moment of the time limit has no future to bootstrap (SB3's DummyVecEnv).
        infos: Infos = [
            {"terminal_observation": final[i], "TimeLimit.truncated": bool(truncated[i] and not terminated[i])}
            for i in range(len(rewards))
        ]
        # A copy in float32, as SB3's environments return: the bootstrap is added in place, and rounded in float32.
        return observations, rewards.astype(np.float32), terminated | truncated, infos
