from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from torch import nn

from custom_ppo import CustomPPO, PPOConfig, losses
from custom_ppo.config import InvalidConfigError
from custom_ppo.recipe import (
    CLEANRL_PPO,
    PPO_PENALTY,
    PRESETS,
    SB3_A2C,
    SB3_PPO,
    PolicyLoss,
    Recipe,
    adam,
    adapted_penalty,
    bootstrapped_reward,
    clip_global_norm,
    clipped_to_bounds,
    exceeds_target,
    named_recipe,
    rescaled_to_bounds,
    reward_alone,
    rmsprop,
    shuffled,
)
from tests.custom_ppo.loops import Loop, make_agent
from tests.probe_envs import ContextReward, RandomWorld

BOX = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 10.0], np.float32))


def test_replacing_a_part_leaves_the_others_and_the_original() -> None:
    changed = SB3_PPO.replace(policy_loss=PolicyLoss(losses.kl_penalty, limited_by="beta"))
    assert changed.differs_in(SB3_PPO) == ("policy_loss",)
    assert Recipe() == SB3_PPO


def test_a_policy_loss_is_its_objective_under_one_limit_then_reduced() -> None:
    def objective(log_prob: Any, old_log_prob: Any, advantages: Any, limit: float) -> Any:
        return log_prob + 10 * old_log_prob + 100 * advantages + 1000 * limit

    config = PPOConfig(clip_range=lambda progress: progress).at(0.5, beta=0.25)
    new, old, advantages = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0])
    for limited_by, limit in (("clip_range", 0.5), ("beta", 0.25)):
        loss = PolicyLoss(objective, limited_by=limited_by, reduction=lambda each: each.sum())  # type: ignore[arg-type]
        assert loss(new, old, advantages, config).item() == 531 + 642 + 2 * 1000 * limit


def test_a_recipe_that_was_saved_and_loaded_is_the_same_recipe() -> None:
    for recipe in PRESETS.values():
        assert pickle.loads(pickle.dumps(recipe)).differs_in(recipe) == ()


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(TypeError, match="'policy_los'"):
        SB3_PPO.replace(policy_los=losses.policy_loss)


def test_recipes_differ_in_parts_and_not_in_names() -> None:
    assert SB3_PPO.replace(name="other").differs_in(SB3_PPO) == ()
    assert SB3_PPO.differs_in(SB3_PPO) == ()


def test_a2c_is_ppo_with_another_objective_and_optimiser() -> None:
    assert SB3_A2C.differs_in(SB3_PPO) == ("policy_loss", "optimizer")


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


# Presets


def test_a_preset_is_found_by_its_name_and_a_recipe_by_itself() -> None:
    assert list(PRESETS) == ["ppo", "a2c", "ppo_penalty", "cleanrl_ppo"]
    assert [named_recipe(name) for name in PRESETS] == [SB3_PPO, SB3_A2C, PPO_PENALTY, CLEANRL_PPO]
    own = SB3_PPO.replace(name="own")
    assert named_recipe(own) is own


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ppo_penality", "there is no recipe 'ppo_penality', did you mean 'ppo_penalty'?"),
        (3, "there is no recipe 3, expected one of ppo, a2c, ppo_penalty, cleanrl_ppo, or a Recipe"),
        (None, "there is no recipe None, expected one of ppo, a2c, ppo_penalty, cleanrl_ppo, or a Recipe"),
        ("x", "there is no recipe 'x', expected one of ppo, a2c, ppo_penalty, cleanrl_ppo, or a Recipe"),
    ],
)
def test_an_unknown_preset_is_answered_with_the_known_ones(name: Any, message: str) -> None:
    with pytest.raises(InvalidConfigError) as error:
        named_recipe(name)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("kl", "target", "beta"),
    [
        (0.0, 0.3, 1.0),
        (0.19, 0.3, 1.0),
        (0.21, 0.3, 2.0),
        (0.3, 0.3, 2.0),
        (0.44, 0.3, 2.0),
        (0.46, 0.3, 4.0),
        (0.006, None, 1.0),
        (0.007, None, 2.0),
        (0.014, None, 2.0),
        (0.016, None, 4.0),
    ],
)
def test_the_penalty_is_halved_kept_or_doubled_as_the_paper_says(kl: float, target: float | None, beta: float) -> None:
    assert adapted_penalty(2.0, kl, target) == beta


@pytest.mark.parametrize(("learning_rate", "betas"), [(0.0, [1.0, 0.5, 0.25]), (0.03, [1.0, 2.0, 4.0])])
def test_the_agent_pays_the_penalty_that_followed_from_its_last_update(
    learning_rate: float, betas: list[float]
) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    paid: list[float] = []

    def objective(*arguments: Any) -> torch.Tensor:
        paid.append(arguments[-1])
        return losses.kl_penalty(*arguments)

    config = PPOConfig(n_steps=32, batch_size=64, n_epochs=10, learning_rate=learning_rate, target_kl=0.003)
    recipe = PPO_PENALTY.replace(policy_loss=PPO_PENALTY.policy_loss.replace(objective=objective))
    agent = make_agent(ContextReward(), config, n_envs=4, recipe=recipe)
    loop = Loop(ContextReward, n_envs=4)
    reports = []
    for _ in betas:
        loop.collect(agent)
        reports.append(agent.update(1.0))
    assert [report.config.beta for report in reports] == betas
    assert [report.n_epochs for report in reports] == [10] * 3, "the penalty, and not a stop, holds the policy back"
    assert paid == [beta for beta in betas for _ in range(20)]


@pytest.mark.parametrize("name", ["ppo_penalty", "cleanrl_ppo"])
def test_a_preset_learns_which_action_is_right(name: str) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    config = PPOConfig(n_steps=32, batch_size=64, n_epochs=10, learning_rate=1e-2, clip_range_vf=0.2)
    agent: Any = make_agent(ContextReward(), config, n_envs=4, recipe=PRESETS[name], net_arch=[16])
    loop = Loop(ContextReward, n_envs=4)
    for _ in range(15):
        loop.collect(agent)
        agent.update(1.0)
    probabilities = agent.policy.get_distribution(torch.tensor([[-1.0], [1.0]])).distribution.probs[:, 1].tolist()
    assert probabilities[0] < 0.1
    assert probabilities[1] > 0.9


def test_cleanrls_reward_is_what_the_environment_gave() -> None:
    assert reward_alone(1.0, torch.tensor([10.0]), 0.5) == 1.0


def test_under_cleanrls_recipe_a_timeout_adds_nothing_to_the_reward() -> None:
    class OneAStep(RandomWorld):
        def reward(self, action: Any) -> float:
            return 1.0

    rewards = []
    for recipe in (CLEANRL_PPO, SB3_PPO):
        env = OneAStep(BOX, spaces.Discrete(2), time_limit=2)
        model = CustomPPO("MlpPolicy", env, recipe=recipe, n_steps=16, batch_size=16, seed=0, device="cpu").learn(16)
        rewards.append(model.rollout_buffer.rewards)
    assert np.all(rewards[0] == 1.0)
    assert np.any(rewards[1] != 1.0)


@pytest.mark.parametrize("clip_range_vf", [None, 0.05])
def test_cleanrls_gradient_is_that_of_its_loss_written_out(clip_range_vf: float | None) -> None:
    torch.manual_seed(0)
    config = PPOConfig(n_steps=32, ent_coef=0.01, vf_coef=0.7)
    agent: Any = make_agent(ContextReward(), config, recipe=CLEANRL_PPO)
    Loop(ContextReward).collect(agent)
    batch = agent.memory.flatten(agent.device)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    numbers = replace(config, clip_range=0.1, clip_range_vf=clip_range_vf).at(1.0)
    agent.engine.backward(agent.engine.forward(batch, numbers), numbers)
    gradients = [parameter.grad.clone() for parameter in agent.policy.parameters()]

    # The names and the signs of cleanrl/ppo.py
    distribution = agent.policy.get_distribution(batch.observations).distribution
    new_value = agent.policy.predict_values(batch.observations).view(-1)
    ratio = (distribution.log_prob(batch.actions) - batch.old_log_prob).exp()
    advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
    pg_loss = torch.max(-advantages * ratio, -advantages * torch.clamp(ratio, 0.9, 1.1)).mean()
    v_loss = (new_value - batch.returns) ** 2
    if clip_range_vf is not None:
        moved = torch.clamp(new_value - batch.old_values, -clip_range_vf, clip_range_vf)
        assert not torch.equal(moved, new_value - batch.old_values), "nothing is clipped"
        v_loss = torch.max(v_loss, (batch.old_values + moved - batch.returns) ** 2)
    loss = pg_loss - 0.01 * distribution.entropy().mean() + 0.7 * 0.5 * v_loss.mean()
    expected = torch.autograd.grad(loss, list(agent.policy.parameters()))
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted)
