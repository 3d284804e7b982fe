"""Mistakes in the stored rewards: their scale, and the bootstrap at a time limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.catalogue import timeouts
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import WALK, Patch, huang, with_parts, with_stored_step, wrap, wrap_steps

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["REWARDS"]


def _stored_rewards(change: Callable[[Any], Any]) -> Patch:
    """Return a patch that changes rewards where they are stored, including the bootstrap at a time limit."""
    return with_stored_step(
        lambda model, observations, step, rewards, starts: (observations, step, change(rewards), starts)
    )


def _late_rewards(model: CustomPPO) -> None:
    last: list[Any] = []

    def remember(original: Callable[..., None], observations: Any, step: Any, rewards: Any, starts: Any) -> None:
        last.append(rewards)
        late = last.pop(0) if len(last) > 1 else np.zeros_like(rewards)
        original(observations, step, late, starts)

    wrap(model.agent, "remember", remember)


def _rewards(change: Callable[[Any], Any]) -> Patch:
    """Return a patch that changes rewards where the environment returns them, before a bootstrap is added."""

    def patch(model: CustomPPO) -> None:
        wrap_steps(model, lambda observations, rewards, dones, infos: (observations, change(rewards), dones, infos))

    return patch


def _reward_alone(reward: float, terminal_value: Any, gamma: float) -> Any:
    return reward


def _undiscounted(reward: float, terminal_value: Any, gamma: float) -> Any:
    return reward + terminal_value


def _value_alone(reward: float, terminal_value: Any, gamma: float) -> Any:
    return gamma * terminal_value


def _limits(change: Callable[[CustomPPO, Any, int, dict[str, Any]], dict[str, Any]]) -> Patch:
    """Return a patch that replaces the info of every done by change(model, next observations, environment, info)."""

    def patch(model: CustomPPO) -> None:
        def changed(observations: Any, rewards: Any, dones: Any, infos: Any) -> Any:
            infos = [
                change(model, observations, i, info) if done else info
                for i, (done, info) in enumerate(zip(dones, infos, strict=True))
            ]
            return observations, rewards, dones, infos

        wrap_steps(model, changed)

    return patch


def _row(observations: Any, i: int) -> Any:
    return {key: value[i] for key, value in observations.items()} if isinstance(observations, dict) else observations[i]


def _every_end_is_a_limit(model: CustomPPO, observations: Any, i: int, info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "TimeLimit.truncated": True}


def _terminal_is_reset(model: CustomPPO, observations: Any, i: int, info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "terminal_observation": _row(observations, i)}


def _limits_exchanged(model: CustomPPO, observations: Any, i: int, info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "TimeLimit.truncated": not info.get("TimeLimit.truncated", False)}


def _value_of_last(model: CustomPPO) -> None:
    values: list[Any] = []  # for the environments whose episode met a time limit in this step, in their order
    acted: list[Any] = []

    def act(original: Callable[[Any], Any], observations: Any) -> Any:
        acted[:] = [original(observations)]
        return acted[0]

    def note(observations: Any, rewards: Any, dones: Any, infos: Any) -> Any:
        values[:] = [acted[0].values[i] for i, info in enumerate(infos) if info.get("TimeLimit.truncated", False)]
        return observations, rewards, dones, infos

    def timeout_reward(original: Callable[..., Any], reward: float, terminal_observation: Any) -> Any:
        return model.agent.recipe.timeout_reward(reward, values.pop(0), model.agent.config.gamma)

    wrap(model.agent, "act", act)
    wrap(model.agent, "timeout_reward", timeout_reward)
    wrap_steps(model, note)


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


REWARDS: tuple[Deviation, ...] = (
    Deviation(
        id="rewards_one_step_late",
        description="Each step is stored with the reward of the step before",
        stage="stored_reward",
        source=WALK,
        remedy="Store the reward that the stored action earned",
        patch=_late_rewards,
    ),
    Deviation(
        id="rewards_clipped",
        description="Rewards are clipped to -1 and 1",
        stage="stored_reward",
        source=huang("Atari detail 6"),
        remedy="Leave rewards as the environment returns them",
        shows="rewards beyond -1 and 1",
        patch=_rewards(lambda rewards: np.clip(rewards, -1, 1)),
    ),
    Deviation(
        id="rewards_clipped_with_bootstrap",
        description="Rewards are clipped to -1 and 1 where they are stored, including the bootstrap at a time limit",
        stage="stored_reward",
        source=huang("continuous detail 9"),
        remedy="Leave rewards as the environment returns them",
        shows="rewards beyond -1 and 1, or a time limit",
        patch=_stored_rewards(lambda rewards: np.clip(rewards, -1, 1)),
    ),
    Deviation(
        id="rewards_are_signs",
        description="Rewards are replaced by their signs",
        stage="stored_reward",
        source=huang("Atari detail 6"),
        remedy="Leave rewards as the environment returns them",
        shows="rewards other than -1, 0 and 1",
        patch=_rewards(np.sign),
    ),
    Deviation(
        id="rewards_are_signs_with_bootstrap",
        description="Rewards are replaced by their signs where they are stored, bootstrap at a time limit included",
        stage="stored_reward",
        source=huang("Atari detail 6"),
        remedy="Leave rewards as the environment returns them",
        shows="rewards other than -1, 0 and 1, or a time limit",
        patch=_stored_rewards(np.sign),
    ),
    Deviation(
        id="rewards_scaled_by_0-1",
        description="Rewards are divided by 10",
        stage="stored_reward",
        source=huang("continuous detail 8"),
        remedy="Leave rewards as the environment returns them",
        patch=_rewards(lambda rewards: rewards * 0.1),
    ),
    Deviation(
        id="rewards_scaled_by_0-1_with_bootstrap",
        description="Rewards are divided by 10 where they are stored, including the bootstrap at a time limit",
        stage="stored_reward",
        source=huang("continuous detail 8"),
        remedy="Leave rewards as the environment returns them",
        shows="a time limit, to be distinguished from rewards_scaled_by_0-1",
        patch=_stored_rewards(lambda rewards: 0.1 * rewards),
    ),
    Deviation(
        id="timeout_is_termination",
        description="A time limit counts as a termination: the return after it is taken as zero",
        stage="stored_reward",
        source="DLR-RM/stable-baselines3#633",
        remedy="Add gamma * V(terminal_observation) to the reward where TimeLimit.truncated is set",
        shows="a time limit",
        recipe=with_parts(timeout_reward=_reward_alone),
        hints={
            "advantages_with_timeouts": "a time limit counts as a termination: gamma * V(terminal state) is missing"
        },
        formulas={"advantages_with_timeouts": timeouts.treated_as(timeouts.any_end, timeouts.never)},
    ),
    Deviation(
        id="bootstrap_on_every_done",
        description="The last reward of every episode is bootstrapped, also after a termination",
        stage="stored_reward",
        source="DLR-RM/stable-baselines3#1864",
        remedy="Bootstrap only where TimeLimit.truncated is set",
        shows="a termination",
        patch=_limits(_every_end_is_a_limit),
        hints={
            "advantages_with_timeouts": "terminations are bootstrapped as well: V(terminal state) counts at every end"
        },
        formulas={"advantages_with_timeouts": timeouts.treated_as(timeouts.any_end, timeouts.any_end)},
    ),
    Deviation(
        id="bootstrap_on_termination_only",
        description="Terminations are bootstrapped, and time limits are not",
        stage="stored_reward",
        source=WALK,
        remedy="Bootstrap only where TimeLimit.truncated is set",
        shows="an episode that ends",
        patch=_limits(_limits_exchanged),
        hints={
            "advantages_with_timeouts": (
                "terminations are bootstrapped and time limits are not: the two flags are exchanged"
            )
        },
        formulas={"advantages_with_timeouts": timeouts.treated_as(timeouts.any_end, timeouts.terminations)},
    ),
    Deviation(
        id="bootstrap_with_reset_observation",
        description="The bootstrap at a time limit takes the value of the next episode's first observation",
        stage="stored_reward",
        source="Unity-Technologies/ml-agents#574",
        remedy='Take the value of info["terminal_observation"]',
        shows="a time limit",
        patch=_limits(_terminal_is_reset),
    ),
    Deviation(
        id="bootstrap_with_last_value",
        description="The bootstrap at a time limit takes the stored value, that of the observation before the step",
        stage="stored_reward",
        source=WALK,
        remedy='Take the value of info["terminal_observation"]',
        shows="a time limit",
        patch=_value_of_last,
    ),
    Deviation(
        id="bootstrap_with_raw_observation",
        description="The bootstrap at a time limit takes the value of the terminal observation before normalisation",
        stage="stored_reward",
        source="SB3's changelog, pre-releases of 1.0",
        remedy="Normalise the terminal observation like every other observation",
        shows="VecNormalize and a time limit",
        patch=_raw_terminal_observation,
    ),
    Deviation(
        id="bootstrap_undiscounted",
        description="The bootstrap at a time limit is V(s) instead of gamma * V(s)",
        stage="stored_reward",
        source=WALK,
        remedy="Multiply the value of the terminal observation by gamma",
        shows="a time limit",
        recipe=with_parts(timeout_reward=_undiscounted),
    ),
    Deviation(
        id="bootstrap_replaces_reward",
        description="The bootstrap at a time limit, gamma * V(s), replaces the reward instead of being added to it",
        stage="stored_reward",
        source=WALK,
        remedy="Add gamma * V(s) to the reward",
        shows="a time limit",
        recipe=with_parts(timeout_reward=_value_alone),
    ),
)
