"""Users who exchange arrays of a rollout, or the order of minibatches, get the results and errors of every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback

from custom_ppo import CustomPPO
from custom_ppo.recipe import SB3_PPO
from tests.probe_envs import RandomWorld

Change = Callable[[Any], None]
FAST = ("fused", "auto")


class AtTheEnd(BaseCallback):
    """Callback that changes the rollout before the update."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.change(self.model)


def world(actions: spaces.Space[Any]) -> gym.Env[Any, Any]:
    return RandomWorld(spaces.Box(-1, 1, (3,)), actions, 7)


def trained(engine: Any, actions: spaces.Space[Any], change: Change, **kwargs: Any) -> CustomPPO:
    model = CustomPPO(
        "MlpPolicy",
        world(actions),
        n_steps=32,
        batch_size=16,
        n_epochs=2,
        seed=0,
        device="cpu",
        engine=engine,
        **kwargs,
    )
    return model.learn(96, callback=AtTheEnd(change))


def reset_moments(optimizer: Any, parameter: torch.nn.Parameter) -> None:
    optimizer.state[parameter] = {}


def set_steps(optimizer: Any, parameter: torch.nn.Parameter) -> None:
    optimizer.state[parameter]["step"].fill_(1)


@pytest.mark.parametrize("change_state", [reset_moments, set_steps], ids=["reset", "step"])
@pytest.mark.parametrize("engine", FAST)
def test_one_weight_may_have_made_fewer_steps(engine: str, change_state: Callable[..., None]) -> None:
    def change(model: Any) -> None:
        if model.num_timesteps == 64:
            change_state(model.policy.optimizer, model.policy.action_net.weight)

    actions = spaces.Box(-1, 1, (2,))
    assert_same(trained(engine, actions, change), trained("autograd", actions, change))


def assert_same(ours: CustomPPO, theirs: CustomPPO) -> None:
    for a, b in zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert str(ours.policy.optimizer.state_dict()) == str(theirs.policy.optimizer.state_dict())


@pytest.mark.parametrize("name", ["advantages", "returns", "log_probs"])
@pytest.mark.parametrize("engine", FAST)
def test_numbers_of_float64_are_learned_from_in_float64(engine: str, name: str) -> None:
    def change(model: Any) -> None:
        if model.num_timesteps == 64:  # the updates before and after this one are made by the engine itself
            setattr(model.rollout_buffer, name, getattr(model.rollout_buffer, name) * np.float64(1.1))

    actions = spaces.Box(-1, 1, (2,))
    assert_same(trained(engine, actions, change), trained("autograd", actions, change))


@pytest.mark.parametrize("action", [-1, 2, 10**9, np.nan])
@pytest.mark.parametrize("space", [spaces.Discrete(2), spaces.MultiDiscrete([2, 2])], ids=["Discrete", "MultiDiscrete"])
@pytest.mark.parametrize("engine", FAST)
def test_an_unknown_choice_raises_an_error(engine: str, space: spaces.Space[Any], action: float) -> None:
    def change(model: Any) -> None:
        if model.num_timesteps == 64:
            buffer = model.rollout_buffer
            buffer.actions = buffer.actions.astype(np.float32)
            buffer.actions[5] = action

    with pytest.raises(RuntimeError, match="out of bounds for dimension 1 with size 2"):
        trained(engine, space, change)


@pytest.mark.parametrize(
    "order",
    [
        lambda n: np.arange(n)[::2].copy(),
        lambda n: np.arange(n).repeat(3),
        lambda n: np.arange(n).astype(np.int32),
        lambda n: np.stack([np.arange(n)] * 2, 1)[:, 0],
    ],
    ids=["part", "repeated", "int32", "strided"],
)
@pytest.mark.parametrize("engine", FAST)
def test_every_order_of_indices_is_followed(engine: str, order: Callable[[int], Any]) -> None:
    recipe = SB3_PPO.replace(minibatch_order=order)
    actions = spaces.Discrete(2)
    ours, theirs = (trained(name, actions, lambda model: None, recipe=recipe) for name in (engine, "autograd"))
    assert_same(ours, theirs)


@pytest.mark.parametrize("offset", [-1, 1])
@pytest.mark.parametrize("engine", ["autograd", *FAST])
def test_an_index_without_a_transition_raises_an_error(engine: str, offset: int) -> None:
    recipe = SB3_PPO.replace(minibatch_order=lambda n: np.arange(n) + offset)
    with pytest.raises(IndexError, match=r"out of range|out of bounds"):
        trained(engine, spaces.Discrete(2), lambda model: None, recipe=recipe)


@pytest.mark.parametrize("engine", FAST)
def test_networks_of_many_layers_learn(engine: str) -> None:
    kwargs = {"policy_kwargs": {"net_arch": [4] * 70, "activation_fn": torch.nn.SiLU}}
    actions = spaces.MultiDiscrete([2] * 120)
    ours, theirs = (trained(name, actions, lambda model: None, **kwargs) for name in (engine, "autograd"))
    assert_same(ours, theirs)
