from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from torch import nn

from custom_ppo import CustomPPO, losses
from custom_ppo.recipe import (
    SB3_A2C,
    SB3_PPO,
    Recipe,
    adam,
    bootstrapped_reward,
    clip_global_norm,
    clipped_to_bounds,
    exceeds_target,
    rescaled_to_bounds,
    rmsprop,
    shuffled,
)

BOX = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 10.0], np.float32))


def test_replacing_a_part_leaves_the_others_and_the_original() -> None:
    changed = SB3_PPO.replace(policy_objective=losses.kl_penalty)
    assert changed.differs_in(SB3_PPO) == ("policy_objective",)
    assert Recipe() == SB3_PPO


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(TypeError, match="'policy_los'"):
        SB3_PPO.replace(policy_los=losses.policy_loss)


def test_recipes_differ_in_parts_and_not_in_names() -> None:
    assert SB3_PPO.replace(name="other").differs_in(SB3_PPO) == ()
    assert SB3_PPO.differs_in(SB3_PPO) == ()


def test_a2c_is_ppo_with_another_objective_and_optimiser() -> None:
    assert SB3_A2C.differs_in(SB3_PPO) == ("policy_objective", "optimizer")


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_the_a2c_recipe_trains_to_sb3_a2cs_bits(env: str) -> None:
    theirs = A2C("MlpPolicy", env, seed=1, device="cpu").learn(200)
    ours = CustomPPO(
        "MlpPolicy",
        env,
        recipe=SB3_A2C,
        learning_rate=7e-4,
        n_steps=5,
        batch_size=None,
        n_epochs=1,
        gae_lambda=1.0,
        normalize_advantage=False,
        seed=1,
        device="cpu",
    ).learn(200)
    for name, expected in theirs.policy.state_dict().items():
        assert torch.equal(ours.policy.state_dict()[name], expected), name


def test_actions_are_clipped_to_the_bounds_of_a_box() -> None:
    actions = np.array([[-3.0, -3.0], [0.5, 20.0]], np.float32)
    assert clipped_to_bounds(actions, BOX).tolist() == [[-1.0, 0.0], [0.5, 10.0]]
    assert actions.tolist() == [[-3.0, -3.0], [0.5, 20.0]], "the memory keeps the actions as they were sampled"


def test_choices_are_passed_on_as_they_are() -> None:
    actions = np.array([1, 0])
    assert clipped_to_bounds(actions, spaces.Discrete(2)) is actions


def test_squashed_actions_are_stretched_over_the_bounds() -> None:
    actions = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]], np.float32)
    assert rescaled_to_bounds(actions, BOX).tolist() == [[-1.0, 0.0], [0.0, 5.0], [1.0, 10.0]]


def test_squashed_actions_are_stretched_as_sb3_does() -> None:
    theirs: Any = PPO("MlpPolicy", "Pendulum-v1", use_sde=True, policy_kwargs={"squash_output": True}, device="cpu")
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 1)).astype(np.float32)
    np.testing.assert_array_equal(
        rescaled_to_bounds(actions, theirs.action_space), theirs.policy.unscale_action(actions)
    )


def test_a_timeout_adds_the_discounted_value_of_where_it_cut() -> None:
    assert bootstrapped_reward(1.0, torch.tensor([10.0]), 0.5).item() == 6.0


def test_every_transition_comes_once_per_epoch_in_numpys_global_order() -> None:
    np.random.seed(4)  # noqa: NPY002
    order = shuffled(20)
    np.random.seed(4)  # noqa: NPY002
    np.testing.assert_array_equal(order, np.random.permutation(20))  # noqa: NPY002
    assert sorted(order) == list(range(20))


@pytest.mark.parametrize(("kl", "stops"), [(0.0149, False), (0.0151, True), (float("nan"), False)])
def test_an_update_stops_at_one_and_a_half_times_the_target(kl: float, stops: bool) -> None:
    assert exceeds_target(np.array(kl, np.float32), 0.01) is stops


def test_the_border_of_early_stopping_is_drawn_in_float32() -> None:
    border = np.array(1.5 * 0.1, np.float32)
    assert float(border) > 1.5 * 0.1, "the example must be one that is rounded up"
    assert not exceeds_target(border, 0.1)


def test_gradients_are_scaled_together() -> None:
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    for parameter, gradient in zip(parameters, (3.0, 4.0), strict=True):
        parameter.grad = torch.tensor([gradient])
    clip_global_norm(parameters, 1.0)
    assert [p.grad.item() for p in parameters if p.grad is not None] == pytest.approx([0.6, 0.8], abs=1e-5)
    clip_global_norm(parameters, 10.0)
    assert [p.grad.item() for p in parameters if p.grad is not None] == pytest.approx([0.6, 0.8], abs=1e-5)


def test_optimisers_are_set_as_sb3_sets_them() -> None:
    for ours, model in ((adam, PPO), (rmsprop, A2C)):
        theirs = model("MlpPolicy", "CartPole-v1", device="cpu").policy.optimizer
        made = ours([nn.Parameter(torch.zeros(1))], lr=theirs.defaults["lr"])
        assert type(made) is type(theirs)
        assert made.defaults == theirs.defaults
