"""Changes of a model between two trainings, and training that diverges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

from custom_ppo import CustomPPO
from custom_ppo.diagnostics import TrainingDivergedError
from custom_ppo.recipe import SB3_PPO
from tests.custom_ppo.sb3.models import BOTH, assert_same_weights, make_model, weights
from tests.probe_envs import BrokenWorld


def set_attributes(model: Any) -> None:
    numbers = {"ent_coef": 0.1, "vf_coef": 2.0, "n_epochs": 3, "max_grad_norm": 0.1, "target_kl": 0.01, "batch_size": 8}
    for name, value in numbers.items():
        setattr(model, name, value)
    model.normalize_advantage = False
    model.clip_range = lambda _: 0.1
    model.lr_schedule = lambda _: 1e-2


def set_optimizer(model: Any) -> None:
    model.policy.optimizer = torch.optim.SGD(model.policy.parameters(), lr=0.1)


def set_environment(model: Any) -> None:
    model.set_env(make_vec_env("CartPole-v1", seed=77))


def set_policy(model: Any) -> None:
    torch.manual_seed(3)
    model.policy = type(model.policy)(model.observation_space, model.action_space, model.lr_schedule, net_arch=[4])


def wrap_policy(model: Any) -> None:
    evaluate = model.policy.evaluate_actions

    def doubled(*args: Any) -> Any:
        values, log_prob, entropy = evaluate(*args)
        return 2 * values, log_prob, entropy

    model.policy.evaluate_actions = doubled


def replace_head(model: Any) -> None:
    torch.manual_seed(3)
    model.policy.action_net = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 2))
    model.policy.optimizer = torch.optim.Adam(model.policy.parameters())


def train_some_parameters(model: Any) -> None:
    model.policy.optimizer = torch.optim.Adam(list(model.policy.parameters())[:4])


@pytest.mark.parametrize(
    "change",
    [
        set_attributes,
        set_optimizer,
        set_environment,
        set_policy,
        wrap_policy,
        replace_head,
        train_some_parameters,
    ],
)
def test_changes_between_two_trainings_act_as_in_sb3(change: Callable[[Any], None]) -> None:
    models = []
    for cls in BOTH:
        model = make_model(cls, make_vec_env("CartPole-v1", seed=1)).learn(64)
        before = weights(model)
        change(model)
        model.learn(64)
        assert any(name not in before or not torch.equal(t, before[name]) for name, t in weights(model).items())
        models.append(model)
    assert_same_weights(*models)


def test_a_changed_discount_acts_at_once_where_sb3s_buffer_keeps_the_old_one() -> None:
    model = make_model(CustomPPO).learn(16)
    model.gamma = 0.0
    model.learn(16)
    memory = model.rollout_buffer
    np.testing.assert_array_equal(memory.advantages, memory.rewards - memory.values)


def test_a_model_may_be_made_without_an_environment_or_networks() -> None:
    model = CustomPPO("MlpPolicy", None, _init_setup_model=False)  # type: ignore[arg-type]
    assert model.get_env() is None


def test_training_that_diverged_stops_with_its_reason() -> None:
    with pytest.raises(TrainingDivergedError) as error:
        make_model(CustomPPO, BrokenWorld(nan_reward_at=20)).learn(64)
    assert str(error.value) == (
        "iteration 2: the reward of step 4 of 16, environment 0, is nan: the environment returned it"
    )


def test_a_loss_that_is_not_finite_is_located_in_its_minibatch() -> None:
    losses = iter(range(1000))

    def exploding(returns: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        # Two epochs of one minibatch in each iteration: the sixth loss is that of iteration 3.
        return SB3_PPO.value_loss(returns, values) * (torch.nan if next(losses) == 5 else 1.0)

    with pytest.raises(TrainingDivergedError, match=r"^iteration 3, epoch 2, minibatch 1: the loss is nan \(policy "):
        make_model(CustomPPO, recipe=SB3_PPO.replace(value_loss=exploding)).learn(64)
