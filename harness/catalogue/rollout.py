"""Mistakes in the rollout: the actions passed to the environments, and the steps that are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from custom_ppo.gae import gae
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.recipe import Recipe, rescaled_to_bounds
from harness.catalogue import timeouts
from harness.catalogue.deviation import Deviation
from harness.catalogue.estimates import Array, Estimates
from harness.catalogue.patching import WALK, Patch, huang, with_parts, with_stored_step, wrap, wrap_steps

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["ROLLOUT"]


def _unclipped(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
    return actions


def _squashed(*, scaled: bool) -> Callable[[Recipe], Recipe]:
    def env_action(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
        if not isinstance(space, spaces.Box):
            return actions
        squashed: NDArray[Any] = np.tanh(actions)
        return rescaled_to_bounds(squashed, space) if scaled else squashed

    return with_parts(env_action=env_action)


def _rescaled(recipe: Recipe) -> Recipe:
    def env_action(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
        return rescaled_to_bounds(np.clip(actions, -1, 1), space) if isinstance(space, spaces.Box) else actions

    return recipe.replace(env_action=env_action)


def _clipped_action(model: CustomPPO, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return observations, replace(step, actions=step.env_actions), rewards, starts


def _no_starts(model: CustomPPO, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return observations, step, rewards, np.zeros_like(starts)


def _remembering_of_step(change: Callable[..., tuple[Any, ...]]) -> Patch:
    """Return a patch that stores other steps.

    change: from (what the environments returned, observations, step, rewards, episode_starts) to the last four as they
    are stored.
    """

    def patch(model: CustomPPO) -> None:
        last: list[Any] = []

        def keep(*step: Any) -> Any:
            last[:] = step
            return step

        wrap_steps(model, keep)
        wrap(model.agent, "remember", lambda original, *given: original(*change(tuple(last), *given)))

    return patch


def _next_observation(after: Any, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return after[0], step, rewards, starts


def _dones_of_this_step(after: Any, observations: Any, step: Any, rewards: Any, starts: Any) -> tuple[Any, ...]:
    return observations, step, rewards, after[2]


def _truncated(info: Any) -> bool:
    return bool(info.get("TimeLimit.truncated", False))


def _ends_without_limits(*, at_the_end: bool) -> Patch:
    """Return a patch that stores only terminations as ends; at_the_end: also after the last step of a rollout."""

    def patch(model: CustomPPO) -> None:
        ended: list[Any] = []  # flags [N] of the last step, True where an episode terminated

        def keep(observations: Any, rewards: Any, dones: Any, infos: Any) -> Any:
            before[:] = ended
            ended[:] = [np.array([done and not _truncated(info) for done, info in zip(dones, infos, strict=True)])]
            return observations, rewards, dones, infos

        def remember(original: Callable[..., None], observations: Any, step: Any, rewards: Any, starts: Any) -> None:
            original(observations, step, rewards, before[0] if before else starts)

        before: list[Any] = []
        wrap_steps(model, keep)
        wrap(model.agent, "remember", remember)
        if at_the_end:
            wrap(model.agent, "finish_rollout", lambda original, observations, dones: original(observations, ended[0]))

    return patch


def _reset_between_rollouts(model: CustomPPO) -> None:
    def collect(original: Callable[..., bool], env: Any, *more: Any, **named: Any) -> bool:
        if model.num_timesteps > 0:
            model._last_obs = env.reset()
            model._last_episode_starts = np.ones((env.num_envs,), dtype=bool)
        return original(env, *more, **named)

    wrap(model, "collect_rollouts", collect)


def _steps_of_all_environments(model: CustomPPO) -> None:
    model.n_steps = max(model.n_steps // model.n_envs, 1)
    model.rollout_buffer = TrajectoryMemory(model.n_steps, model.n_envs, model.observation_space, model.action_space)


def _in_training_mode(model: CustomPPO) -> None:
    def start(original: Callable[[], None]) -> None:
        original()
        model.policy.train(True)

    wrap(model.agent, "start_rollout", start)


def _draw_while_acting(draw: Callable[[], Any]) -> Patch:
    """Return a patch that draws a random number after every action, and discards it."""

    def patch(model: CustomPPO) -> None:
        def act(original: Callable[[Any], Any], observations: Any) -> Any:
            step = original(observations)
            draw()
            return step

        wrap(model.agent, "act", act)

    return patch


def _gae_without_starts(
    rewards: Array, values: Array, starts: Array, last: Array, dones: Array, **discounts: float
) -> Estimates:
    return gae(rewards, values, np.zeros_like(starts), last, dones, **discounts)


ROLLOUT: tuple[Deviation, ...] = (
    Deviation(
        id="env_gets_unclipped_actions",
        description="The environment gets the unclipped Gaussian sample, which may lie outside its bounds",
        stage="env_action",
        source="thu-ml/tianshou#312",
        remedy="Clip the action to the bounds of the space for the environment, and store the sample",
        shows="Box actions and a sample outside the bounds",
        recipe=with_parts(env_action=_unclipped),
    ),
    Deviation(
        id="env_gets_unscaled_tanh_of_actions",
        description="The environment gets tanh of the sample; the density is not corrected",
        stage="env_action",
        source=huang("continuous detail 5"),
        remedy="Clip the action to the bounds of the space for the environment",
        shows="Box actions",
        recipe=_squashed(scaled=False),
    ),
    Deviation(
        id="env_gets_tanh_of_actions",
        description="The environment gets tanh of the sample, scaled to its bounds; the density is not corrected",
        stage="env_action",
        source=huang("continuous detail 5"),
        remedy="Clip the action to the bounds of the space for the environment",
        shows="Box actions",
        recipe=_squashed(scaled=True),
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
        description="The stored action is the clipped one, with the log-probability of the sample",
        stage="stored_action",
        source="hill-a/stable-baselines#36",
        remedy="Store the sample before it is clipped for the environment",
        shows="Box actions and a sample outside the bounds",
        patch=with_stored_step(_clipped_action),
    ),
    Deviation(
        id="next_observation_stored",
        description="The stored observation is the one after the action",
        stage="stored_observation",
        source="Farama-Foundation/SuperSuit#116",
        remedy="Store a copy of the observation in which the action was sampled",
        patch=_remembering_of_step(_next_observation),
    ),
    Deviation(
        id="episode_starts_one_step_early",
        description="Each step is stored with its own done flag instead of that of the step before",
        stage="episode_start",
        source="DLR-RM/stable-baselines3#105",
        remedy="Store with each observation the dones of the step before: 1 for the first of an episode",
        shows="an episode that ends",
        patch=_remembering_of_step(_dones_of_this_step),
    ),
    Deviation(
        id="episode_starts_lost",
        description="Episode starts are never stored, so that advantages leak from one episode into the one before",
        stage="episode_start",
        source="vietnh1009/Super-mario-bros-PPO-pytorch#21",
        remedy="Store the done flags of the step before with every step",
        shows="an episode that ends within a rollout; the first row is never read",
        patch=with_stored_step(_no_starts),
        hints={"advantages": "episode_starts are ignored: only the end of the rollout is masked"},
        formulas={"advantages": _gae_without_starts},
    ),
    Deviation(
        id="timeouts_do_not_end_episodes",
        description="Only terminations count as ends of episodes, so that advantages leak back across a time limit",
        stage="episode_start",
        source="vwxyzjn/cleanrl#198",
        remedy="Count terminated or truncated as the end of an episode, and bootstrap at a time limit",
        shows="a time limit within a rollout",
        patch=_ends_without_limits(at_the_end=True),
        hints={
            "advantages_with_timeouts": (
                "time limits do not end episodes: the next episode's first value is added to V(terminal state)"
            )
        },
        formulas={"advantages_with_timeouts": timeouts.treated_as(timeouts.terminations, timeouts.time_limits)},
    ),
    Deviation(
        id="timeouts_start_no_episode",
        description="No episode start is stored after a time limit, except for one at the end of a rollout",
        stage="episode_start",
        source="vwxyzjn/cleanrl#198",
        remedy="Count terminated or truncated as the end of an episode, and bootstrap at a time limit",
        shows="a time limit within a rollout",
        patch=_ends_without_limits(at_the_end=False),
    ),
    Deviation(
        id="environments_reset_between_rollouts",
        description="The environments are reset before every rollout but the first",
        stage="observation",
        source=WALK,
        remedy="Continue from the last observation of the rollout before",
        patch=_reset_between_rollouts,
    ),
    Deviation(
        id="n_steps_of_all_environments",
        description="n_steps counts the steps of all environments, so that each makes n_steps / n_envs",
        stage="last_value",
        source=WALK,
        remedy="Make n_steps in each environment",
        shows="more than one environment",
        patch=_steps_of_all_environments,
    ),
    Deviation(
        id="collects_in_training_mode",
        description="The networks stay in training mode while acting",
        stage="action",
        source="DLR-RM/stable-baselines3#535",
        remedy="Call policy.set_training_mode(False) before a rollout, and (True) before an update",
        shows="dropout or batch normalisation",
        patch=_in_training_mode,
    ),
    Deviation(
        id="torch_drawn_while_acting",
        description="One more number is drawn from torch's global generator after every action",
        stage="acting_randomness",
        source=WALK,
        remedy="Draw from a generator of your own, or not at all",
        patch=_draw_while_acting(lambda: torch.rand(1)),
    ),
    Deviation(
        id="numpy_drawn_while_acting",
        description="One number is drawn from NumPy's global generator after every action",
        stage="acting_randomness",
        source=WALK,
        remedy="Draw from a generator of your own, or not at all",
        patch=_draw_while_acting(lambda: np.random.rand()),  # noqa: NPY002
    ),
)
