"""Play the episodes of an evaluation; the results are those of SB3's `evaluate_policy`, bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from harness.training.evaluation.actors import Actor, make_actor
from harness.training.evaluation.dynamics import dynamics_of
from harness.training.evaluation.simulations import PlainSimulation, Simulation

__all__ = ["evaluate"]

OnEnd = Callable[[dict[str, Any]], None]


def evaluate(
    model: Any, env: VecEnv, n_episodes: int, *, on_end: OnEnd = lambda _: None, last: bool = False
) -> tuple[list[float], list[int]]:
    """Return the returns and lengths of deterministic episodes, in the order in which they end.

    env: vector environment, which is reset first; episodes are divided evenly among its environments.
    on_end: called with the `info` of the last step of every counted episode.
    last: True if the environments are not used afterwards, so that those that have played their episodes may stop.
    """
    actor = _checked_actor(model, env)
    if actor is None:
        return _evaluate_with_sb3(model, env, n_episodes, on_end)
    base: Any = env.unwrapped
    observations = base.buf_obs[None].copy()
    simulation = (dynamics_of(base.envs) or PlainSimulation)(base.envs, observations)
    n_envs = env.num_envs
    targets = [(n_episodes + i) // n_envs for i in range(n_envs)]
    return _play(simulation, actor, _normalisation(env), targets, on_end, pause=last and simulation.may_pause)


def _evaluate_with_sb3(model: Any, env: VecEnv, n_episodes: int, on_end: OnEnd) -> tuple[list[float], list[int]]:
    def on_step(local: dict[str, Any], _: dict[str, Any]) -> None:
        if local["done"]:
            on_end(local["info"])

    rewards, lengths = evaluate_policy(
        model, env, n_episodes, deterministic=True, return_episode_rewards=True, callback=on_step
    )
    assert isinstance(rewards, list)
    assert isinstance(lengths, list)
    return rewards, lengths


def _checked_actor(model: Any, env: VecEnv) -> Actor | None:
    """Reset the environments and return an actor that agrees with the policy there; reset nothing if there is none."""
    if not _is_simple(env):
        return None
    actor = make_actor(model, env.num_envs)
    if actor is None:
        return None
    base: Any = env.unwrapped
    # `evaluate_policy` would reset once more, which draws random numbers: states are kept in case it must be called.
    states = [inside.np_random.bit_generator.state for inside in (member.unwrapped for member in base.envs)]
    seeds, options = list(base._seeds), list(base._options)
    observations = env.reset()
    actor.inputs[:] = observations
    expected = model.predict(observations, deterministic=True)[0]
    found = actor.actions()
    if found.dtype == expected.dtype and found.shape == expected.shape and found.tobytes() == expected.tobytes():
        return actor
    for member, state in zip(base.envs, states, strict=True):
        member.unwrapped.np_random.bit_generator.state = state
    base._seeds, base._options = seeds, options
    return None


def _is_simple(env: VecEnv) -> bool:
    """Return True if every environment is monitored, and the vector environment only normalises observations."""
    base: Any = env
    if type(env) is VecNormalize:
        if env.training or env.norm_reward or env.norm_obs_keys is not None:
            return False
        base = env.venv
    return type(base) is DummyVecEnv and all(
        type(member) is Monitor and member.results_writer is None and not member.info_keywords for member in base.envs
    )


def _normalisation(env: VecEnv) -> Callable[[NDArray[Any], NDArray[np.float32]], None]:
    """Return a function that writes the normalised observations, [N, D], into its second argument."""
    if not isinstance(env, VecNormalize) or not env.norm_obs:

        def convert(observations: NDArray[Any], inputs: NDArray[np.float32]) -> None:
            inputs[:] = observations

        return convert

    # Constants during an evaluation; the operations are those of VecNormalize._normalize_obs.
    statistics: Any = env.obs_rms
    mean, std, limit = statistics.mean, np.sqrt(statistics.var + env.epsilon), env.clip_obs

    def normalise(observations: NDArray[Any], inputs: NDArray[np.float32]) -> None:
        inputs[:] = np.minimum(np.maximum((observations - mean) / std, -limit), limit)

    return normalise


def _play(
    simulation: Simulation,
    actor: Actor,
    normalise: Callable[[NDArray[Any], NDArray[np.float32]], None],
    targets: Sequence[int],
    on_end: OnEnd,
    *,
    pause: bool,
) -> tuple[list[float], list[int]]:
    """Return returns and lengths of the first episodes of each environment; targets: their number, [N].

    pause: True to step an environment no further once its episodes are over. Its row of the batch stays, because a
        matrix product of another height may round differently.
    """
    returns: list[float] = []
    lengths: list[int] = []
    left = list(targets)
    # Lists and not running sums: Monitor adds up the rewards of an episode at its end.
    rewards: list[list[float]] = [[] for _ in targets]
    active = list(range(len(targets)))
    while any(left):
        normalise(simulation.observations, actor.inputs)
        step_rewards, ended = simulation.step(actor.actions(), active)
        for i, reward, end in zip(active, step_rewards, ended, strict=True):
            rewards[i].append(reward)
            if end:
                if left[i]:
                    left[i] -= 1
                    returns.append(round(sum(rewards[i]), 6))
                    lengths.append(len(rewards[i]))
                    on_end(simulation.infos[i])
                rewards[i] = []
        if pause and any(ended):
            active = [i for i in active if left[i]]
    return returns, lengths
