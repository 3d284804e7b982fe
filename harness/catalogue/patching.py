"""Tools for deviations: how a model, its agent or its environments are changed from outside, one object at a time.

Whatever is wrapped keeps its name and its arguments, so that wrappings can be put around each other.
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
    "at_every_epoch",
    "huang",
    "learning_with",
    "objective",
    "parts",
    "policy_settings",
    "reduction",
    "remembering",
    "settings",
    "together",
    "wrap",
    "wrap_engine",
    "wrap_steps",
]

Surgery = Callable[["CustomPPO"], None]
Steps = tuple[Any, Any, Any, Any]
"""Observations, rewards, dones and infos of N environments."""

PPO_ONLY = ("ppo",)
A2C_ONLY = ("a2c",)

WALK = "walk through SB3's source"


def huang(detail: str) -> str:
    """A detail of Huang et al., by its group and number there."""
    return f"Huang et al. 2022, The 37 Implementation Details of PPO, {detail}"


# settings and recipes


def settings(**changed: Any) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """Other values, whatever was asked for."""
    return lambda _: changed


def policy_settings(**changed: Any) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """Other policy_kwargs, the rest of them as they were."""
    return lambda given: {"policy_kwargs": {**(given.get("policy_kwargs") or {}), **changed}}


def parts(**changed: Any) -> Callable[[Recipe], Recipe]:
    """Other parts, whatever stood there."""
    return lambda recipe: recipe.replace(**changed)


def together(*recipes: Callable[[Recipe], Recipe]) -> Callable[[Recipe], Recipe]:
    """Apply one change of a recipe after the other."""

    def changed(recipe: Recipe) -> Recipe:
        for change in recipes:
            recipe = change(recipe)
        return recipe

    return changed


def objective(
    changed: Callable[[Tensor, Tensor, Tensor, float], Tensor],
) -> Callable[[Recipe], Recipe]:
    """Recipe: another objective of the policy's loss, with the same limit and reduction."""
    return lambda recipe: recipe.replace(policy_loss=recipe.policy_loss.replace(objective=changed))


def reduction(changed: Callable[[Tensor], Tensor]) -> Callable[[Recipe], Recipe]:
    """Recipe: another reduction [B] -> loss of the policy's objective."""
    return lambda recipe: recipe.replace(policy_loss=recipe.policy_loss.replace(reduction=changed))


# surgery


def wrap(owner: Any, method: str, wrapper: Callable[..., Any]) -> None:
    """Let `owner.method(...)` be `wrapper(original, ...)`, for this one object."""
    setattr(owner, method, partial(wrapper, getattr(owner, method)))


def wrap_engine(model: CustomPPO, method: str, wrapper: Callable[..., Any]) -> None:
    """Wrap a method of the engine of every update, as each update has an engine of its own."""

    def choose(original: Callable[[], Engine]) -> Engine:
        engine = original()
        wrap(engine, method, wrapper)
        return engine

    wrap(model, "choose_engine", choose)


class _Environments:
    """The environments as a deviating loop sees them: what a step returns is changed on its way."""

    def __init__(self, env: Any, change: Callable[..., Steps]) -> None:
        self._env = env
        self._change = change

    def step(self, actions: Any) -> Steps:
        """A step of the environments, changed."""
        return self._change(*self._env.step(actions))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)


def wrap_steps(model: CustomPPO, change: Callable[..., Steps]) -> None:
    """Let change(observations, rewards, dones, infos) be what the environments return while acting."""

    def collect(original: Callable[..., bool], env: Any, *more: Any, **named: Any) -> bool:
        return original(_Environments(env, change), *more, **named)

    wrap(model, "collect_rollouts", collect)


def remembering(change: Callable[..., tuple[Any, ...]]) -> Surgery:
    """Surgery: change(model, observations, step, rewards, episode_starts) gives the four that are remembered."""

    def surgery(model: CustomPPO) -> None:
        wrap(model.agent, "remember", lambda original, *given: original(*change(model, *given)))

    return surgery


def learning_with(change: Callable[[PPOAgent, Batch], tuple[Batch, Recipe]]) -> Surgery:
    """Surgery: an update learns from another batch, or by another recipe, made anew for it from the agent's own.

    The recipe serves the loop over epochs and minibatches, and not the loss, which the engine has taken already.
    """

    def surgery(model: CustomPPO) -> None:
        def learn(original: Callable[..., None], batch: Batch, report: Any) -> None:
            agent = model.agent
            recipe = agent.recipe
            batch, agent.recipe = change(agent, batch)
            try:
                original(batch, report)
            finally:
                agent.recipe = recipe

        wrap(model.agent, "learn_from", learn)

    return surgery


def at_every_epoch(prepare: Callable[[PPOAgent, Batch, int], None]) -> Surgery:
    """Surgery: prepare(agent, batch, epoch) before the minibatches of an epoch, counted from 0; it may write into
    the tensors of the batch, which are copies of what the memory holds.
    """

    def change(agent: PPOAgent, batch: Batch) -> tuple[Batch, Recipe]:
        recipe, epochs = agent.recipe, itertools.count()

        def order(n: int) -> Any:
            prepare(agent, batch, next(epochs))
            return recipe.minibatch_order(n)

        return batch, recipe.replace(minibatch_order=order)

    return learning_with(change)


def action_dimensions(space: spaces.Space[Any]) -> int:
    """Numbers that make up one action, 1 for Discrete."""
    return int(np.prod(space.shape)) if space.shape else 1
