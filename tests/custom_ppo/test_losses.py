from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from torch import Tensor
from torch.distributions import Categorical, Normal, kl_divergence

from custom_ppo.losses import (
    approx_kl,
    clip_fraction,
    clipped_surrogate,
    clipped_values,
    entropy_loss,
    half_value_loss,
    kl_penalty,
    log_prob_surrogate,
    normalize_advantages,
    pessimistic_values,
    policy_loss,
    value_loss,
)

CLIP = 0.25  # a power of two, so that 1 - CLIP and 1 + CLIP are exact


def log_probs(ratio: float) -> tuple[Tensor, Tensor]:
    """New and old log-probability of one transition, with this ratio of probabilities."""
    new = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    return new, torch.zeros(1, dtype=torch.float64)


def value_and_gradient(objective: Callable[..., Tensor], ratio: float, advantage: float, arg: float) -> tuple[Any, Any]:
    new, old = log_probs(ratio)
    value = objective(new, old, torch.tensor([advantage], dtype=torch.float64), arg)
    (gradient,) = torch.autograd.grad(value.sum(), new)
    return value.item(), gradient.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "gradient"),
    [
        pytest.param(1.1, 2.0, 2.2, 2.2, id="inside, better than expected"),
        pytest.param(0.9, -2.0, -1.8, -1.8, id="inside, worse than expected"),
        pytest.param(2.0, 2.0, 2.5, 0.0, id="above, better: has gained all that it may"),
        pytest.param(2.0, -2.0, -4.0, -4.0, id="above, worse: must come back"),
        pytest.param(0.5, 2.0, 1.0, 1.0, id="below, better: must come back"),
        pytest.param(0.5, -2.0, -1.5, 0.0, id="below, worse: has gained all that it may"),
        pytest.param(3.0, 0.0, 0.0, 0.0, id="no advantage"),
    ],
)
def test_the_clipped_surrogate_by_hand(ratio: float, advantage: float, value: float, gradient: float) -> None:
    # d (ratio * A) / d log_prob = ratio * A, so the gradient equals the value wherever it is not zero.
    assert value_and_gradient(clipped_surrogate, ratio, advantage, CLIP) == pytest.approx((value, gradient))


@pytest.mark.parametrize("ratio", [1 - CLIP, 1 + CLIP])
@pytest.mark.parametrize("advantage", [-2.0, 2.0])
def test_on_the_border_of_the_clip_the_whole_gradient_passes(ratio: float, advantage: float) -> None:
    # Both branches are equal there: each gets half the gradient, and the clamp passes its half on at its border.
    new, old = log_probs(ratio)
    rounded_ratio = torch.exp(new - old).item()
    value, gradient = value_and_gradient(clipped_surrogate, ratio, advantage, abs(rounded_ratio - 1))
    assert value == gradient == rounded_ratio * advantage


@given(st.floats(0.1, 10.0), st.floats(-5.0, 5.0), st.floats(0.01, 0.9))
def test_clipping_never_promises_more_than_the_free_surrogate(ratio: float, advantage: float, clip: float) -> None:
    value, gradient = value_and_gradient(clipped_surrogate, ratio, advantage, clip)
    assert value <= ratio * advantage + 1e-12
    wants_up, is_up = advantage > 0, ratio > 1
    if abs(ratio - 1) > clip + 1e-9 and wants_up == is_up and advantage != 0:
        assert gradient == 0.0


def test_the_kl_penalty_by_hand() -> None:
    # KL estimate at ratio 2: (2 - 1) - log 2; its derivative by log_prob is ratio - 1.
    value, gradient = value_and_gradient(kl_penalty, 2.0, 3.0, 0.5)
    assert value == pytest.approx(2 * 3 - 0.5 * (1 - math.log(2)))
    assert gradient == pytest.approx(2 * 3 - 0.5 * (2 - 1))


@given(st.floats(0.1, 10.0), st.floats(-5.0, 5.0), st.floats(0.0, 5.0))
def test_the_penalty_pulls_the_ratio_back_to_one(ratio: float, advantage: float, beta: float) -> None:
    # d/d log_prob of ratio * A - beta * (ratio - 1 - log ratio)
    _, gradient = value_and_gradient(kl_penalty, ratio, advantage, beta)
    assert gradient == pytest.approx(ratio * advantage - beta * (ratio - 1), abs=1e-9)


def test_the_kl_penalty_has_no_gradient_of_its_own_where_the_policies_are_equal() -> None:
    assert value_and_gradient(kl_penalty, 1.0, 0.0, 100.0) == (0.0, 0.0)


def of_a2c(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, limit: float) -> Tensor:
    return log_prob_surrogate(log_prob, advantages)


@given(st.integers(-50, 50))
def test_a2c_and_ppo_have_one_gradient_before_the_first_step(advantage: int) -> None:
    _, a2c = value_and_gradient(of_a2c, 1.0, advantage, CLIP)
    _, ppo = value_and_gradient(clipped_surrogate, 1.0, advantage, CLIP)
    assert a2c == ppo == advantage


def test_the_a2c_objective_is_the_advantage_times_the_log_probability() -> None:
    value, gradient = value_and_gradient(of_a2c, 2.0, 3.0, CLIP)
    assert (value, gradient) == (pytest.approx(3 * math.log(2)), 3.0)


def test_normalised_advantages_by_hand() -> None:
    # Mean 3, unbiased variance (4 + 0 + 4) / 2
    np.testing.assert_allclose(normalize_advantages(torch.tensor([1.0, 3.0, 5.0])), [-1, 0, 1], atol=1e-7)


def test_one_single_advantage_is_not_normalised() -> None:
    assert normalize_advantages(torch.tensor([7.0])).tolist() == [7.0]


def test_equal_advantages_become_zero_and_not_nan() -> None:
    assert normalize_advantages(torch.full((4,), 3.0)).tolist() == [0.0] * 4


def test_the_policy_loss_is_minus_the_mean() -> None:
    assert policy_loss(torch.tensor([1.0, -4.0])).item() == 1.5


def test_the_value_loss_has_no_factor_of_one_half() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = value_loss(torch.tensor([3.0, 2.0]), values)
    assert loss.item() == 2.0
    assert torch.autograd.grad(loss, values)[0].tolist() == [-2.0, 0.0]


def test_values_are_clipped_around_the_old_ones() -> None:
    old = torch.tensor([1.0, 1.0, 1.0, 1.0])
    values = torch.tensor([1.25, 3.0, -3.0, 1.5], requires_grad=True)
    clipped = clipped_values(values, old, 0.5)
    assert clipped.tolist() == [1.25, 1.5, 0.5, 1.5]
    # Outside, the value has moved enough; on the border the gradient still passes.
    assert torch.autograd.grad(clipped.sum(), values)[0].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_the_half_value_loss_has_it() -> None:
    assert half_value_loss(torch.tensor([3.0, 2.0]), torch.tensor([1.0, 2.0])).item() == 1.0


@given(st.lists(st.tuples(*[st.floats(-3.0, 3.0)] * 3), min_size=1, max_size=6), st.floats(0.1, 2.0))
def test_the_pessimistic_value_loss_is_the_larger_of_the_two(rows: list[tuple[float, ...]], clip: float) -> None:
    free, old, returns = torch.tensor(rows, dtype=torch.float64).T
    worse, clipped = pessimistic_values(free, old, clip, returns), clipped_values(free, old, clip)
    larger = torch.maximum((free - returns) ** 2, (clipped - returns) ** 2)
    torch.testing.assert_close((worse - returns) ** 2, larger)


def test_pessimistic_values_learn_unless_they_improved_by_more_than_the_clip() -> None:
    values = torch.tensor([2.0, 2.0, 0.6], requires_grad=True)
    returns = torch.tensor([3.0, -3.0, 3.0])
    worse = pessimistic_values(values, torch.zeros(3), 0.5, returns)
    # Clipped to 0.5 they would be: farther from 3, nearer to -3, farther from 3.
    assert worse.tolist() == [0.5, 2.0, 0.5]
    assert torch.autograd.grad(worse.sum(), values)[0].tolist() == [0.0, 1.0, 0.0]


def test_the_entropy_is_estimated_by_minus_log_prob_only_where_there_is_none() -> None:
    log_prob = torch.tensor([-1.0, -3.0])
    assert entropy_loss(torch.tensor([4.0, 8.0]), log_prob).item() == -6.0
    assert entropy_loss(None, log_prob).item() == -2.0


OLD: Any = Categorical(probs=torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64))
NEW: Any = Categorical(probs=torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64))
SUPPORT = torch.tensor([0, 1, 1, 2])
"""Every outcome as often as OLD makes it probable, so that a mean over it is an expectation."""


def test_approx_kl_over_the_support_is_the_kl_of_two_categoricals() -> None:
    estimate = approx_kl(NEW.log_prob(SUPPORT), OLD.log_prob(SUPPORT))
    assert estimate.item() == pytest.approx(kl_divergence(OLD, NEW).item(), rel=1e-12)


def test_the_kl_penalty_over_the_support_is_that_kl_too() -> None:
    penalty = -kl_penalty(NEW.log_prob(SUPPORT), OLD.log_prob(SUPPORT), torch.zeros(4), beta=2.0).mean()
    assert penalty.item() == pytest.approx(2 * kl_divergence(OLD, NEW).item(), rel=1e-12)


def test_approx_kl_is_the_kl_of_two_gaussians() -> None:
    old: Any = Normal(0.0, 1.0)
    new: Any = Normal(0.3, 0.9)
    n = 20_000
    samples = torch.tensor(norm.ppf((np.arange(n) + 0.5) / n))  # one from each of n equally probable intervals
    estimate = approx_kl(new.log_prob(samples), old.log_prob(samples))
    assert estimate.item() == pytest.approx(kl_divergence(old, new).item(), rel=1e-3)


@given(st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=8))
def test_approx_kl_is_never_negative(log_ratios: list[float]) -> None:
    assert approx_kl(torch.tensor(log_ratios, dtype=torch.float64), torch.zeros(len(log_ratios))).item() >= -1e-12


def test_the_clip_fraction_counts_what_is_outside_and_not_what_is_on_the_border() -> None:
    ratios = torch.tensor([0.5, 0.74, 0.9, 1.0, 1.25, 1.26, 2.0, 1.1])
    assert clip_fraction(torch.log(ratios.double()), torch.zeros(8), CLIP).item() == 4 / 8
    exactly = torch.zeros(3)
    assert clip_fraction(exactly, exactly, 0.0).item() == 0.0


def crafted(env: str, seed: int, **kwargs: Any) -> PPO:
    """SB3's PPO with a rollout of random numbers, whose ratios, advantages and values lie on all sides of the clips."""
    model = PPO("MlpPolicy", env, n_steps=24, batch_size=24, n_epochs=1, seed=seed, device="cpu", **kwargs)
    model.set_logger(Logger(None, []))
    rng = np.random.default_rng(seed)
    buffer = model.rollout_buffer
    buffer.observations = rng.normal(size=buffer.observations.shape).astype(np.float32)
    actions = np.array([model.action_space.sample() for _ in range(24)])
    buffer.actions = actions.reshape(buffer.actions.shape).astype(buffer.actions.dtype)
    tensors = torch.tensor(buffer.observations[:, 0]), torch.tensor(buffer.actions[:, 0])
    with torch.no_grad():
        # A Discrete action must be [B] and not [B, 1], or its log-probabilities broadcast to [B, B].
        acted = tensors[1].flatten() if isinstance(model.action_space, gym.spaces.Discrete) else tensors[1]
        values, log_prob, _ = model.policy.evaluate_actions(tensors[0], acted)
    spread = rng.normal(scale=0.3, size=(24, 1))
    buffer.log_probs = (log_prob.numpy()[:, None] + spread).astype(np.float32)
    buffer.values = (values.numpy() + spread).astype(np.float32)
    buffer.advantages = rng.normal(size=(24, 1)).astype(np.float32)
    buffer.returns = rng.normal(size=(24, 1)).astype(np.float32)
    buffer.full = True
    return model


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("clip_range_vf", [None, 0.2])
def test_sb3s_own_update_logs_these_losses_to_the_bit(env: str, normalize: bool, clip_range_vf: float | None) -> None:
    model = crafted(env, 3, clip_range=0.2, clip_range_vf=clip_range_vf, normalize_advantage=normalize, ent_coef=0.01)
    random_state = np.random.get_state()  # noqa: NPY002  its train() shuffles with the global generator
    batch = next(model.rollout_buffer.get(24))
    np.random.set_state(random_state)  # noqa: NPY002
    actions = batch.actions.long().flatten() if env == "CartPole-v1" else batch.actions
    values, log_prob, entropy = model.policy.evaluate_actions(batch.observations, actions)
    values = values.flatten()

    model.train()

    logged = model.logger.name_to_value
    advantages = normalize_advantages(batch.advantages) if normalize else batch.advantages
    surrogate = policy_loss(clipped_surrogate(log_prob, batch.old_log_prob, advantages, 0.2))
    bounded = values if clip_range_vf is None else clipped_values(values, batch.old_values, clip_range_vf)
    critic, entropies = value_loss(batch.returns, bounded), entropy_loss(entropy, log_prob)
    assert 0 < logged["train/clip_fraction"] < 1
    assert {
        "train/policy_gradient_loss": surrogate.item(),
        "train/value_loss": critic.item(),
        "train/entropy_loss": entropies.item(),
        "train/approx_kl": approx_kl(log_prob, batch.old_log_prob).item(),
        "train/clip_fraction": clip_fraction(log_prob, batch.old_log_prob, 0.2).item(),
        "train/loss": (surrogate + 0.01 * entropies + 0.5 * critic).item(),
    }.items() <= logged.items()
