"""Callbacks that exchange parts of the policy between two steps of a rollout act on the next step, as in SB3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from custom_ppo import CustomPPO
from custom_ppo.engines import FusedEngine
from custom_ppo.sb3.exchanged_policy import PolicyWatch
from tests.probe_envs import RandomWorld

ACTIONS = [spaces.Discrete(3), spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (2, 2))]


def exchange_data(policy: Any) -> None:
    for parameter in policy.parameters():
        parameter.data = parameter.data.clone() * 0.5


def exchange_layer(policy: Any) -> None:
    layer = nn.Linear(64, policy.action_net.out_features)
    nn.init.constant_(layer.weight, 0.01)
    nn.init.zeros_(layer.bias)
    policy.action_net = layer


def exchange_weight(policy: Any) -> None:
    policy.value_net.weight = nn.Parameter(torch.full((1, 64), 0.1))


def add_hook(policy: Any) -> None:
    policy.action_net.register_forward_hook(lambda module, inputs, output: 2 * output)


def wrap_forward(policy: Any) -> None:
    forward = policy.forward
    policy.forward = lambda *args, **kwargs: (lambda a, v, p: (a, 2 * v, p))(*forward(*args, **kwargs))


CHANGES: list[Callable[[Any], None]] = [exchange_data, exchange_layer, exchange_weight, add_hook, wrap_forward]


class AtStep(BaseCallback):
    def __init__(self, change: Callable[[Any], None]) -> None:
        super().__init__()
        self.change = change

    def _on_step(self) -> bool:
        if self.n_calls == 40:  # of 32 steps in a rollout
            self.change(self.model.policy)
        return True


def learned(cls: type[BaseAlgorithm], actions: spaces.Space[Any], change: Callable[[Any], None], **kwargs: Any) -> Any:
    env = RandomWorld(spaces.Box(-1, 1, (3,)), actions, 7)
    model: Any = cls("MlpPolicy", env, n_steps=32, batch_size=16, n_epochs=2, seed=0, device="cpu", **kwargs)  # type: ignore[call-arg]
    return model.learn(128, callback=AtStep(change))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("actions", ACTIONS, ids=["Discrete", "Box", "matrix"])
def test_the_next_step_is_made_by_the_changed_policy(actions: spaces.Space[Any], change: Callable[[Any], None]) -> None:
    ours, theirs = learned(CustomPPO, actions, change), learned(PPO, actions, change)
    for a, b in zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (ours._last_obs == theirs._last_obs).all()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_policy_is_noticed(change: Callable[[Any], None]) -> None:
    policy = CustomPPO("MlpPolicy", "CartPole-v1", device="cpu").policy
    watch = PolicyWatch(policy)
    assert not watch.has_changed()
    change(policy)
    assert watch.has_changed()


def test_training_in_place_is_no_exchange() -> None:
    model = CustomPPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu").learn(16)
    watch = PolicyWatch(model.policy)
    model.learn(16)
    model.policy.load_state_dict(model.policy.state_dict())
    assert not watch.has_changed()


def test_more_steps_than_the_memory_holds_raise_an_error() -> None:
    def change(policy: Any) -> None:
        model.n_steps = 64

    model = CustomPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, seed=0, device="cpu")
    with pytest.raises(IndexError, match="the memory holds n_steps=32 steps and is full"):
        model.learn(200, callback=AtStep(change))


@pytest.mark.filterwarnings("error:the compiled kernels do not give")
def test_activations_that_follow_each_other_are_left_to_another_engine() -> None:
    model = CustomPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, device="cpu")
    model.policy.mlp_extractor.policy_net.append(torch.nn.ReLU())
    model.learn(32)
    assert type(model.agent.engine) is FusedEngine
