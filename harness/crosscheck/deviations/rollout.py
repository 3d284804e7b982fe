"""While acting: what the environments get, and what is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from custom_ppo.memory import TrajectoryMemory
from custom_ppo.recipe import Recipe, rescaled_to_bounds
from harness.crosscheck.deviations.deviation import Deviation
from harness.crosscheck.deviations.surgery import WALK, Surgery, huang, parts, wrap, wrap_steps

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["ROLLOUT"]


# what the environments get


def _unclipped(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
    return actions


def _tanh(recipe: Recipe) -> Recipe:
    def env_action(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
        return rescaled_to_bounds(np.tanh(actions), space) if isinstance(space, spaces.Box) else actions

    return recipe.replace(env_action=env_action)


def _rescaled(recipe: Recipe) -> Recipe:
    def env_action(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
        return rescaled_to_bounds(np.clip(actions, -1, 1), space) if isinstance(space, spaces.Box) else actions

    return recipe.replace(env_action=env_action)


# what is remembered


def _remembering(change: Callable[..., tuple[Any, ...]]) -> Surgery:
    """Surgery: change(model, observations, step, rewards, episode_starts) gives the four that are remembered."""

    def surgery(model: CustomPPO) -> None:
        wrap(model.agent, "remember", lambda original, *given: original(*change(model, *given)))

    return surgery


def _clipped_action(model: CustomPPO, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return observations, replace(step, actions=step.env_actions), rewards, starts


def _no_starts(model: CustomPPO, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return observations, step, rewards, np.zeros_like(starts)


def _clipped_return_of_step(
    model: CustomPPO, observations: Any, step: Any, rewards: Any, starts: Any
) -> tuple[Any, ...]:
    return observations, step, np.clip(rewards, -1, 1), starts


def _remembering_of_step(change: Callable[..., tuple[Any, ...]]) -> Surgery:
    """The same with what the step returned as one more argument: (next observations, rewards, dones, infos)."""

    def surgery(model: CustomPPO) -> None:
        last: list[Any] = []

        def keep(*step: Any) -> Any:
            last[:] = step
            return step

        wrap_steps(model, keep)
        wrap(model.agent, "remember", lambda original, *given: original(*change(tuple(last), *given)))

    return surgery


def _next_observation(after: Any, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return after[0], step, rewards, starts


def _dones_of_this_step(after: Any, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return observations, step, rewards, after[2]


def _late_rewards(model: CustomPPO) -> None:
    last: list[Any] = []

    def remember(original: Callable[..., None], observations: Any, step: Any, rewards: Any, starts: Any) -> None:
        last.append(rewards)
        late = last.pop(0) if len(last) > 1 else np.zeros_like(rewards)
        original(observations, step, late, starts)

    wrap(model.agent, "remember", remember)


def _truncated(info: Any) -> bool:
    return bool(info.get("TimeLimit.truncated", False))


def _ends_without_limits(model: CustomPPO) -> None:
    ended: list[Any] = []  # of the last step, True where an episode ended by itself

    def keep(observations: Any, rewards: Any, dones: Any, infos: Any) -> Any:
        ended[:] = [np.array([done and not _truncated(info) for done, info in zip(dones, infos, strict=True)])]
        return observations, rewards, dones, infos

    def remember(original: Callable[..., None], observations: Any, step: Any, rewards: Any, starts: Any) -> None:
        original(observations, step, rewards, before[0] if before else starts)
        before[:] = ended

    def finish(original: Callable[..., None], observations: Any, dones: Any) -> None:
        original(observations, ended[0])

    before: list[Any] = []
    wrap_steps(model, keep)
    wrap(model.agent, "remember", remember)
    wrap(model.agent, "finish_rollout", finish)


def _reset_at_every_rollout(model: CustomPPO) -> None:
    def collect(original: Callable[..., bool], env: Any, callback: Any) -> bool:
        model._last_obs = env.reset()
        model._last_episode_starts = np.ones((env.num_envs,), dtype=bool)
        return original(env, callback)

    wrap(model, "collect_rollouts", collect)


def _steps_of_all_environments(model: CustomPPO) -> None:
    model.n_steps = max(model.n_steps // model.n_envs, 1)
    model.rollout_buffer = TrajectoryMemory(model.n_steps, model.n_envs, model.observation_space, model.action_space)


def _in_training_mode(model: CustomPPO) -> None:
    def start(original: Callable[[], None]) -> None:
        original()
        model.policy.train(True)

    wrap(model.agent, "start_rollout", start)


# rewards


def _rewards(change: Callable[[Any], Any]) -> Surgery:
    """Surgery: rewards are changed where they come from the environment, before a bootstrap is added."""

    def surgery(model: CustomPPO) -> None:
        wrap_steps(model, lambda observations, rewards, dones, infos: (observations, change(rewards), dones, infos))

    return surgery


# time limits


def _reward_alone(reward: float, terminal_value: Any, gamma: float) -> Any:
    return reward


def _undiscounted(reward: float, terminal_value: Any, gamma: float) -> Any:
    return reward + terminal_value


def _value_alone(reward: float, terminal_value: Any, gamma: float) -> Any:
    return gamma * terminal_value


def _limits(change: Callable[[CustomPPO, Any, int, dict[str, Any]], dict[str, Any]]) -> Surgery:
    """Surgery: where an episode ended, change(model, next observations, environment, info) gives its info."""

    def surgery(model: CustomPPO) -> None:
        def changed(observations: Any, rewards: Any, dones: Any, infos: Any) -> Any:
            infos = [
                change(model, observations, i, info) if done else info
                for i, (done, info) in enumerate(zip(dones, infos, strict=True))
            ]
            return observations, rewards, dones, infos

        wrap_steps(model, changed)

    return surgery


def _row(observations: Any, i: int) -> Any:
    return {key: value[i] for key, value in observations.items()} if isinstance(observations, dict) else observations[i]


def _every_end_is_a_limit(model: CustomPPO, observations: Any, i: int, info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "TimeLimit.truncated": True}


def _terminal_is_reset(model: CustomPPO, observations: Any, i: int, info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "terminal_observation": _row(observations, i)}


def _terminal_is_last(model: CustomPPO, observations: Any, i: int, info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "terminal_observation": _row(model._last_obs, i)}


def _raw_terminal_observation(model: CustomPPO) -> None:
    normalization = model.get_vec_normalize_env()
    if normalization is None:
        return
    key = "raw terminal observation"

    def step_wait(original: Callable[[], Any]) -> Any:
        observations, rewards, dones, infos = original()
        for info in infos:
            if "terminal_observation" in info:
                info[key] = info["terminal_observation"]
        return observations, rewards, dones, infos

    def raw(_: CustomPPO, observations: Any, i: int, info: dict[str, Any]) -> dict[str, Any]:
        return {**info, "terminal_observation": info[key]} if key in info else info

    wrap(normalization.venv, "step_wait", step_wait)
    _limits(raw)(model)


# random numbers


def _draw_while_acting(draw: Callable[[], Any]) -> Surgery:
    """Surgery: a random number is drawn after every action, and thrown away."""

    def surgery(model: CustomPPO) -> None:
        def act(original: Callable[[Any], Any], observations: Any) -> Any:
            step = original(observations)
            draw()
            return step

        wrap(model.agent, "act", act)

    return surgery


ROLLOUT: tuple[Deviation, ...] = (
    Deviation(
        id="env_gets_unclipped_actions",
        description="The environment gets the Gaussian sample as it is, beyond its bounds",
        stage="env_action",
        source="thu-ml/tianshou#312",
        remedy="Clip the action to the bounds of the space for the environment, and store the sample",
        shows="Box actions and a sample outside the bounds",
        recipe=parts(env_action=_unclipped),
    ),
    Deviation(
        id="env_gets_tanh_of_actions",
        description="The environment gets tanh of the sample, scaled to its bounds; the density is not corrected",
        stage="env_action",
        source=huang("continuous detail 5"),
        remedy="Clip the action to the bounds of the space for the environment",
        shows="Box actions",
        recipe=_tanh,
    ),
    Deviation(
        id="env_gets_rescaled_actions",
        description="Samples are clipped to -1 and 1 and scaled to the bounds, instead of clipped to the bounds",
        stage="env_action",
        source=WALK,
        remedy="Clip the action to the bounds of the space for the environment",
        shows="Box actions with other bounds than -1 and 1",
        recipe=_rescaled,
    ),
    Deviation(
        id="clipped_action_stored",
        description="The action that is stored is the clipped one, with the log-probability of the sample",
        stage="stored_action",
        source="hill-a/stable-baselines#36",
        remedy="Store the sample as it was before it was clipped for the environment",
        shows="Box actions and a sample outside the bounds",
        surgery=_remembering(_clipped_action),
    ),
    Deviation(
        id="next_observation_stored",
        description="The observation that is stored is the one after the action",
        stage="stored_observation",
        source="Farama-Foundation/SuperSuit#116",
        remedy="Store the observation that the action was chosen by, as a copy",
        surgery=_remembering_of_step(_next_observation),
    ),
    Deviation(
        id="rewards_one_step_late",
        description="With every step the reward of the step before is stored",
        stage="stored_reward",
        source=WALK,
        remedy="Store the reward that the stored action earned",
        surgery=_late_rewards,
    ),
    Deviation(
        id="rewards_clipped",
        description="Rewards are clipped to -1 and 1",
        stage="stored_reward",
        source=huang("Atari detail 6"),
        remedy="Leave rewards as the environment returns them",
        shows="rewards beyond -1 and 1",
        surgery=_rewards(lambda rewards: np.clip(rewards, -1, 1)),
    ),
    Deviation(
        id="rewards_clipped_with_bootstrap",
        description="Rewards are clipped to -1 and 1 where they are stored, with the bootstrap at a time limit",
        stage="stored_reward",
        source=huang("continuous detail 9"),
        remedy="Leave rewards as the environment returns them",
        shows="rewards beyond -1 and 1, or a time limit",
        surgery=_remembering(_clipped_return_of_step),
    ),
    Deviation(
        id="rewards_are_signs",
        description="Of a reward only its sign is kept",
        stage="stored_reward",
        source=huang("Atari detail 6"),
        remedy="Leave rewards as the environment returns them",
        shows="rewards other than -1, 0 and 1",
        surgery=_rewards(np.sign),
    ),
    Deviation(
        id="rewards_scaled_by_0-1",
        description="Rewards are divided by 10",
        stage="stored_reward",
        source=huang("continuous detail 8"),
        remedy="Leave rewards as the environment returns them",
        surgery=_rewards(lambda rewards: rewards * 0.1),
    ),
    Deviation(
        id="timeout_is_termination",
        description="A time limit counts as a termination: what would have followed is worth nothing",
        stage="stored_reward",
        source="DLR-RM/stable-baselines3#633",
        remedy="Add gamma * V(terminal_observation) to the reward where TimeLimit.truncated is set",
        shows="a time limit",
        recipe=parts(timeout_reward=_reward_alone),
    ),
    Deviation(
        id="bootstrap_on_every_done",
        description="A value is added to the last reward of every episode, terminated ones too",
        stage="stored_reward",
        source="DLR-RM/stable-baselines3#1864",
        remedy="Bootstrap only where TimeLimit.truncated is set",
        shows="a termination",
        surgery=_limits(_every_end_is_a_limit),
    ),
    Deviation(
        id="bootstrap_with_reset_observation",
        description="At a time limit the value of the next episode's first observation is added",
        stage="stored_reward",
        source="Unity-Technologies/ml-agents#574",
        remedy='Take the value of info["terminal_observation"]',
        shows="a time limit",
        surgery=_limits(_terminal_is_reset),
    ),
    Deviation(
        id="bootstrap_with_last_observation",
        description="At a time limit the value of the observation before the last step is added",
        stage="stored_reward",
        source=WALK,
        remedy='Take the value of info["terminal_observation"]',
        shows="a time limit",
        surgery=_limits(_terminal_is_last),
    ),
    Deviation(
        id="bootstrap_with_raw_observation",
        description="At a time limit the value of the terminal observation is taken before it is normalised",
        stage="stored_reward",
        source="SB3's changelog, pre-releases of 1.0",
        remedy="Normalise the terminal observation like all the others",
        shows="VecNormalize and a time limit",
        surgery=_raw_terminal_observation,
    ),
    Deviation(
        id="bootstrap_undiscounted",
        description="At a time limit V(s) is added instead of gamma * V(s)",
        stage="stored_reward",
        source=WALK,
        remedy="Multiply the value of the terminal observation by gamma",
        shows="a time limit",
        recipe=parts(timeout_reward=_undiscounted),
    ),
    Deviation(
        id="bootstrap_replaces_reward",
        description="At a time limit gamma * V(s) stands in the place of the reward instead of being added",
        stage="stored_reward",
        source=WALK,
        remedy="Add gamma * V(s) to the reward",
        shows="a time limit",
        recipe=parts(timeout_reward=_value_alone),
    ),
    Deviation(
        id="episode_starts_one_step_early",
        description="With every step its own done flag is stored, as if it were that of the step before",
        stage="episode_start",
        source="DLR-RM/stable-baselines3#105",
        remedy="Store whether the stored observation is the first of an episode: the dones of the step before",
        shows="an episode that ends",
        surgery=_remembering_of_step(_dones_of_this_step),
    ),
    Deviation(
        id="episode_starts_lost",
        description="Episode starts are never stored, so that advantages flow from one episode into the one before",
        stage="episode_start",
        source="vietnh1009/Super-mario-bros-PPO-pytorch#21",
        remedy="Store the done flags of the step before with every step",
        shows="an episode that ends within a rollout; the first row only is never read",
        surgery=_remembering(_no_starts),
    ),
    Deviation(
        id="timeouts_do_not_end_episodes",
        description="Only terminations count as ends, so that advantages flow back over a time limit",
        stage="episode_start",
        source="vwxyzjn/cleanrl#198",
        remedy="Count terminated or truncated as the end of an episode, and bootstrap at a time limit",
        shows="a time limit within a rollout",
        surgery=_ends_without_limits,
    ),
    Deviation(
        id="environments_reset_at_every_rollout",
        description="Every rollout begins with a reset of the environments",
        stage="observation",
        source=WALK,
        remedy="Go on where the last rollout ended",
        surgery=_reset_at_every_rollout,
    ),
    Deviation(
        id="n_steps_of_all_environments",
        description="n_steps are shared by all environments, so that each makes n_steps / n_envs",
        stage="last_value",
        source=WALK,
        remedy="Let each environment make n_steps",
        shows="more than one environment",
        surgery=_steps_of_all_environments,
    ),
    Deviation(
        id="collects_in_training_mode",
        description="The networks stay in training mode while acting",
        stage="action",
        source="DLR-RM/stable-baselines3#535",
        remedy="Call policy.set_training_mode(False) before a rollout, and (True) before an update",
        shows="dropout or batch normalisation",
        surgery=_in_training_mode,
    ),
    Deviation(
        id="torch_drawn_while_acting",
        description="After every action one more number is drawn from torch's generator",
        stage="acting_randomness",
        source=WALK,
        remedy="Draw from a generator of your own, or not at all",
        surgery=_draw_while_acting(lambda: torch.rand(1)),
    ),
    Deviation(
        id="numpy_drawn_while_acting",
        description="After every action one number is drawn from NumPy's global generator",
        stage="acting_randomness",
        source=WALK,
        remedy="Draw from a generator of your own, or not at all",
        surgery=_draw_while_acting(lambda: np.random.rand()),  # noqa: NPY002
    ),
)
