"""Building blocks of deviations: functions that make a change of settings, of a recipe, or of one model (patches).

A wrapped method keeps its name and its arguments, so that several deviations can wrap it one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from torch import Tensor

from custom_ppo.agent import PPOAgent
from custom_ppo.engines import Engine
from custom_ppo.memory import Batch
from custom_ppo.recipe import Recipe

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = [
    "A2C_ONLY",
    "PPO_ONLY",
    "WALK",
    "action_dimensions",
    "before_each_epoch",
    "huang",
    "one_after_another",
    "with_objective",
    "with_parts",
    "with_policy_kwargs",
    "with_reduction",
    "with_settings",
    "with_stored_step",
    "with_update_of",
    "wrap",
    "wrap_engine",
    "wrap_steps",
]

Patch = Callable[["CustomPPO"], None]
"""Change of a model that was just made; see `Deviation.patch`."""
Steps = tuple[Any, Any, Any, Any]
"""Observations, rewards, dones and infos of N environments."""

PPO_ONLY = ("ppo",)
A2C_ONLY = ("a2c",)

WALK = "walk through SB3's source"
"""Source of a deviation that was found by going through SB3's code line by line, looking for other ways to write it."""


def huang(detail: str) -> str:
    """Return a source: a detail of Huang et al., by its group and number there."""
    return f"Huang et al. 2022, The 37 Implementation Details of PPO, {detail}"


# settings and recipes


def with_settings(**changed: Any) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """Return a change of settings to these values, which override the user's."""
    return lambda _: changed


def with_policy_kwargs(**changed: Any) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """Return a change of settings to these policy_kwargs, which override the user's; others are kept."""
    return lambda given: {"policy_kwargs": {**(given.get("policy_kwargs") or {}), **changed}}


def with_parts(**changed: Any) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe that replaces these parts."""
    return lambda recipe: recipe.replace(**changed)


def one_after_another(*recipes: Callable[[Recipe], Recipe]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe that makes these changes, the first one first."""

    def changed(recipe: Recipe) -> Recipe:
        for change in recipes:
            recipe = change(recipe)
        return recipe

    return changed


def with_objective(
    changed: Callable[[Tensor, Tensor, Tensor, float], Tensor],
) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe that replaces the objective of the policy's loss, and keeps limit and reduction."""
    return lambda recipe: recipe.replace(policy_loss=recipe.policy_loss.replace(objective=changed))


def with_reduction(changed: Callable[[Tensor], Tensor]) -> Callable[[Recipe], Recipe]:
    """Return a change of a recipe that replaces the reduction [B] -> loss of the policy's objective."""
    return lambda recipe: recipe.replace(policy_loss=recipe.policy_loss.replace(reduction=changed))


# patches


def wrap(owner: Any, method: str, wrapper: Callable[..., Any]) -> None:
    """Replace `owner.method(...)` by `wrapper(original, ...)`, on this one object."""
    setattr(owner, method, partial(wrapper, getattr(owner, method)))


def wrap_engine(model: CustomPPO, method: str, wrapper: Callable[..., Any]) -> None:
    """Wrap a method of the engine of every update, as each update has an engine of its own."""

    def choose(original: Callable[[], Engine]) -> Engine:
        engine = original()
        wrap(engine, method, wrapper)
        return engine

    wrap(model, "choose_engine", choose)


class _Environments:
    """Environments whose steps return changed results; all other attributes are those of the original environments."""

    def __init__(self, env: Any, change: Callable[..., Steps]) -> None:
        self._env = env
        self._change = change

    def step(self, actions: Any) -> Steps:
        """Return change(observations, rewards, dones, infos) of a step of the original environments."""
        return self._change(*self._env.step(actions))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)


def wrap_steps(model: CustomPPO, change: Callable[..., Steps]) -> None:
    """Make the environments return change(observations, rewards, dones, infos) while a rollout is collected."""

    def collect(original: Callable[..., bool], env: Any, *more: Any, **named: Any) -> bool:
        return original(_Environments(env, change), *more, **named)

    wrap(model, "collect_rollouts", collect)


def with_stored_step(change: Callable[..., tuple[Any, ...]]) -> Patch:
    """Return a patch that stores other steps.

    change: from (model, observations, step, rewards, episode_starts) to the last four as they are stored.
    """

    def patch(model: CustomPPO) -> None:
        wrap(model.agent, "remember", lambda original, *given: original(*change(model, *given)))

    return patch


def with_update_of(change: Callable[[PPOAgent, Batch], tuple[Batch, Recipe]]) -> Patch:
    """Return a patch that gives every update another batch or another recipe.

    change: from the agent and its batch to those of this update. The recipe serves the loop over epochs and
    minibatches; the loss comes from the engine, which was made with the agent's own recipe before.
    """

    def patch(model: CustomPPO) -> None:
        def learn(original: Callable[..., None], batch: Batch, report: Any) -> None:
            agent = model.agent
            recipe = agent.recipe
            batch, agent.recipe = change(agent, batch)
            try:
                original(batch, report)
            finally:
                agent.recipe = recipe

        wrap(model.agent, "learn_from", learn)

    return patch


def before_each_epoch(prepare: Callable[[PPOAgent, Batch, int], None]) -> Patch:
    """Return a patch that calls prepare(agent, batch, epoch) before the minibatches of each epoch, counted from 0.

    It may write into the tensors of the batch, which are copies of the memory's.
    """

    def change(agent: PPOAgent, batch: Batch) -> tuple[Batch, Recipe]:
        recipe, epochs = agent.recipe, itertools.count()

        def order(n: int) -> Any:
            prepare(agent, batch, next(epochs))
            return recipe.minibatch_order(n)

        return batch, recipe.replace(minibatch_order=order)

    return with_update_of(change)


def action_dimensions(space: spaces.Space[Any]) -> int:
    """Return the number of components of an action, 1 for Discrete."""
    return int(np.prod(space.shape)) if space.shape else 1
