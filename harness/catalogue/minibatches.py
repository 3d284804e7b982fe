"""Mistakes in the minibatches of an update: their order, size and number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from custom_ppo.agent import PPOAgent
from custom_ppo.memory import Batch
from custom_ppo.recipe import Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import (
    PPO_ONLY,
    WALK,
    Patch,
    huang,
    with_parts,
    with_settings,
    with_update_of,
    wrap,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["MINIBATCHES"]


Order = NDArray[np.int64]


def _by_torch(n: int) -> Order:
    return torch.randperm(n).numpy()


def _by_data_loader(n: int) -> Order:
    loader: Any = DataLoader(range(n), batch_size=n, shuffle=True)  # type: ignore[arg-type]
    order: Order = next(iter(loader)).numpy()
    return order


def _with_replacement(n: int) -> Order:
    return np.random.randint(0, n, size=n)  # noqa: NPY002


def _by_own_generator(model: CustomPPO) -> None:
    _keep_order(model, np.random.default_rng(model.seed).permutation)


def _ordered(make: Callable[[PPOAgent, Callable[[int], Order]], Callable[[int], Order]]) -> Patch:
    """Return a patch that calls make(agent, the recipe's order) in every update for the order of its epochs."""

    def patch(model: CustomPPO) -> None:
        agent, shuffled = model.agent, model.agent.recipe.minibatch_order
        current = [shuffled]

        def learn(original: Callable[..., None], batch: Batch, report: Any) -> None:
            current[0] = make(agent, shuffled)
            original(batch, report)

        agent.recipe = agent.recipe.replace(minibatch_order=lambda n: current[0](n))
        wrap(agent, "learn_from", learn)

    return patch


def _once(_: PPOAgent, shuffled: Callable[[int], Order]) -> Callable[[int], Order]:
    first: list[Order] = []

    def order(n: int) -> Order:
        if not first:
            first.append(shuffled(n))
        return first[0]

    return order


def _in_place(_: PPOAgent, shuffled: Callable[[int], Order]) -> Callable[[int], Order]:
    # Shuffling in place draws the same random numbers as a permutation, but starts from the epoch before's order.
    last: list[Order] = []

    def order(n: int) -> Order:
        last[:] = [last[0][shuffled(n)] if last else shuffled(n)]
        return last[0]

    return order


def _in_place_for_ever(model: CustomPPO) -> None:
    _keep_order(model, _in_place(model.agent, model.agent.recipe.minibatch_order))


def _keep_order(model: CustomPPO, order: Callable[[int], Order]) -> None:
    model.agent.recipe = model.agent.recipe.replace(minibatch_order=order)


def _by_time(agent: PPOAgent, batch: Batch) -> tuple[Batch, Recipe]:
    n_steps, n_envs = agent.memory.n_steps, agent.memory.n_envs
    by_environment = torch.arange(n_steps * n_envs, device=agent.device).reshape(n_envs, n_steps)
    return batch[by_environment.T.flatten()], agent.recipe


def _whole_ones(agent: PPOAgent, shuffled: Callable[[int], Order]) -> Callable[[int], Order]:
    size = agent.config.batch_size

    def order(n: int) -> Order:
        return shuffled(n)[: n - n % size if size is not None and size <= n else n]

    return order


def _first_one(agent: PPOAgent, shuffled: Callable[[int], Order]) -> Callable[[int], Order]:
    return lambda n: shuffled(n)[: agent.config.batch_size]


def _size_is_number(model: CustomPPO) -> None:
    if model.batch_size is not None:
        model.batch_size = max(model.n_steps * model.n_envs // model.batch_size, 2)


MINIBATCHES: tuple[Deviation, ...] = (
    Deviation(
        id="minibatches_not_shuffled",
        description="Minibatches are cut from the rollout in its order, without shuffling",
        stage="minibatch",
        source="Toni-SM/skrl#311",
        remedy="Shuffle in every epoch by np.random.permutation",
        recipe=with_parts(minibatch_order=np.arange),
    ),
    Deviation(
        id="shuffled_once_per_update",
        description="All epochs of an update use the same permutation",
        stage="minibatch",
        source="leggedrobotics/rsl_rl#148",
        remedy="Shuffle in every epoch",
        shows="more than one epoch",
        patch=_ordered(_once),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="shuffled_in_place",
        description="The indices are shuffled in place, so that each epoch shuffles the order of the one before",
        stage="minibatch",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Draw a new permutation in every epoch; it takes the same random numbers",
        shows="more than one epoch",
        patch=_ordered(_in_place),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="shuffled_in_place_for_ever",
        description="The indices are made once, and shuffled in place in every epoch of every update",
        stage="minibatch",
        source=WALK,
        remedy="Draw a new permutation in every epoch; it takes the same random numbers",
        patch=_in_place_for_ever,
    ),
    Deviation(
        id="shuffled_by_torch",
        description="Minibatches are drawn by torch.randperm, which also advances the generator of the actions",
        stage="minibatch",
        source=WALK,
        remedy="Shuffle by np.random.permutation",
        recipe=with_parts(minibatch_order=_by_torch),
    ),
    Deviation(
        id="shuffled_by_data_loader",
        description="Minibatches come from a shuffling DataLoader, which draws two seeds from torch's generator",
        stage="minibatch",
        source=WALK,
        remedy="Shuffle by np.random.permutation",
        recipe=with_parts(minibatch_order=_by_data_loader),
    ),
    Deviation(
        id="shuffled_by_own_generator",
        description="Minibatches are drawn by np.random.default_rng(seed) instead of NumPy's global generator",
        stage="minibatch",
        source=WALK,
        remedy="Shuffle by np.random.permutation (global generator), or accept another order",
        patch=_by_own_generator,
    ),
    Deviation(
        id="sampled_with_replacement",
        description="The transitions of an epoch are sampled with replacement",
        stage="minibatch",
        source="higgsfield-ai/higgsfield#7",
        remedy="Shuffle, so that each transition is in exactly one minibatch of an epoch",
        recipe=with_parts(minibatch_order=_with_replacement),
    ),
    Deviation(
        id="flattened_by_time",
        description="The rollout is flattened step by step instead of environment by environment",
        stage="batch_observation",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Swap the axes before flattening, or accept another order",
        shows="more than one environment",
        patch=with_update_of(_by_time),
    ),
    Deviation(
        id="last_partial_minibatch_dropped",
        description="The transitions after the last full minibatch of an epoch are dropped",
        stage="minibatch",
        source="DLR-RM/stable-baselines3#1025",
        remedy="Keep the last minibatch of an epoch even if it is smaller",
        shows="a batch_size that does not divide n_steps * n_envs",
        patch=_ordered(_whole_ones),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="one_minibatch_per_epoch",
        description="Only the first minibatch of every epoch is used",
        stage="minibatch",
        source="bmazoure/ppo_jax#1",
        remedy="Go through all minibatches of an epoch",
        shows="more than one minibatch",
        patch=_ordered(_first_one),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="whole_rollout_is_one_minibatch",
        description="Every epoch makes one step on the whole rollout",
        stage="minibatch",
        source=huang("core detail 6"),
        remedy="Cut the rollout into minibatches of batch_size",
        shows="more than one minibatch",
        settings=with_settings(batch_size=None),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="batch_size_is_number_of_minibatches",
        description="batch_size is taken as the number of minibatches",
        stage="minibatch",
        source="openai/baselines, ppo2 (nminibatches)",
        remedy="Put batch_size transitions into every minibatch",
        shows="a batch_size that is not the square root of n_steps * n_envs",
        patch=_size_is_number,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="batch_size_always_64",
        description="Minibatches always hold 64 transitions",
        stage="minibatch",
        source=WALK,
        remedy="Use the configured batch_size",
        shows="another batch_size, and rollouts of more than 64 transitions",
        settings=with_settings(batch_size=64),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="one_epoch_less",
        description="An update makes n_epochs - 1 epochs",
        stage="minibatch",
        source="DLR-RM/stable-baselines3#270",
        remedy="Make n_epochs epochs",
        shows="more than one epoch",
        settings=lambda given: {"n_epochs": max(given["n_epochs"] - 1, 1)},
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="one_epoch_more",
        description="An update makes n_epochs + 1 epochs",
        stage="minibatch",
        source=WALK,
        remedy="Make n_epochs epochs",
        settings=lambda given: {"n_epochs": given["n_epochs"] + 1},
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="one_epoch",
        description="An update makes one epoch instead of n_epochs",
        stage="minibatch",
        source=WALK,
        remedy="Make n_epochs epochs",
        shows="more than one epoch",
        settings=with_settings(n_epochs=1),
        algorithms=PPO_ONLY,
    ),
)
