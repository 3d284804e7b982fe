"""The loss of a minibatch and its gradient have autograd's bits, for the objectives of all presets."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from custom_ppo.config import PPOConfig, UpdateConfig
from custom_ppo.engines.native.learner import TERMS, _numbers
from custom_ppo.losses import approx_kl, clip_fraction
from custom_ppo.memory import Batch
from custom_ppo.recipe import CLEANRL_PPO, PPO_PENALTY, SB3_A2C, SB3_PPO, Recipe
from tests.custom_ppo.engines.native.primitives import call

RECIPES = {recipe.name: recipe for recipe in (SB3_PPO, SB3_A2C, PPO_PENALTY, CLEANRL_PPO)}

CONFIGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "entropy": {"ent_coef": 0.013},
    "clipped values": {"clip_range_vf": 0.1, "ent_coef": 0.01},
    "advantages as they are": {"normalize_advantage": False, "clip_range": 0.1},
    "no critic": {"vf_coef": 0.0, "clip_range_vf": 0.2},
    "other weights": {"vf_coef": 0.37, "ent_coef": -0.1, "clip_range": 0.33, "normalize_advantage": False},
}

BETAS = [0.0, 0.7, 3.0]


@dataclasses.dataclass
class Example:
    """Outputs of the networks for a minibatch, which have a gradient, and what is known of it."""

    log_prob: Tensor
    values: Tensor
    entropy: Tensor
    batch: Batch


def example(n: int, config: UpdateConfig) -> Example:
    """Return n transitions, among which are ties and numbers within some last bits of both clips' bounds."""
    rng = np.random.default_rng(n)

    def normal(scale: float) -> Tensor:
        return torch.from_numpy(rng.normal(0, scale, n).astype(np.float32))

    def at_bounds(low: float, high: float) -> Tensor:
        """Return changes that are zero, at a bound up to some last bits, and any."""
        bounds = rng.choice(np.array([low, high], np.float32), n) * (1 + rng.integers(-2, 3, n) * np.float32(2**-23))
        kinds = [np.zeros(n), bounds, rng.normal(0, 2 * high, n)]
        return torch.from_numpy(np.choose(rng.integers(3, size=n), kinds).astype(np.float32))

    clip_range, clip_range_vf = config.clip_range, config.clip_range_vf or 0.1
    log_prob, values, entropy = (normal(scale).requires_grad_() for scale in (1, 1, 1))
    old_log_prob = (log_prob - at_bounds(np.log(1 - clip_range), np.log(1 + clip_range))).detach()
    old_values = (values - at_bounds(-clip_range_vf, clip_range_vf)).detach()
    # Returns that equal V, that lie half-way between V and its clipped counterpart, and any.
    half_way = (values + old_values + torch.clamp(values - old_values, -clip_range_vf, clip_range_vf)).detach() / 2
    kind = torch.from_numpy(rng.integers(3, size=n))
    returns = torch.where(kind == 0, values.detach(), torch.where(kind == 1, half_way, normal(2)))
    advantages = torch.where(torch.from_numpy(rng.integers(4, size=n)) == 0, torch.zeros(n), normal(1))
    nothing = torch.empty(n, 0)
    return Example(log_prob, values, entropy, Batch(nothing, nothing, old_values, old_log_prob, advantages, returns))


def by_autograd(given: Example, config: UpdateConfig, recipe: Recipe, has_entropy: bool) -> list[Tensor]:
    """Return the terms of the loss, and its gradient by log_prob, by the values and by the entropy."""
    batch, values = given.batch, given.values
    advantages = batch.advantages
    if config.normalize_advantage:
        advantages = recipe.normalize_advantages(advantages)
    policy_loss = recipe.policy_loss(given.log_prob, batch.old_log_prob, advantages, config)
    if config.clip_range_vf is not None:
        values = recipe.clip_values(values, batch, config.clip_range_vf)
    value_loss = recipe.value_loss(batch.returns, values)
    entropy_loss = recipe.entropy_loss(given.entropy if has_entropy else None, given.log_prob)
    loss = policy_loss + config.ent_coef * entropy_loss + config.vf_coef * value_loss
    leaves = [given.log_prob, given.values, *([given.entropy] if has_entropy else [])]
    gradients = torch.autograd.grad(loss, leaves)
    fraction = clip_fraction(given.log_prob, batch.old_log_prob, config.clip_range)
    kl = approx_kl(given.log_prob, batch.old_log_prob)
    terms = torch.stack([policy_loss, value_loss, entropy_loss, fraction, kl, loss])
    return [terms.detach(), *gradients]


def by_kernels(given: Example, config: UpdateConfig, recipe: Recipe, has_entropy: bool) -> list[Tensor]:
    batch, n = given.batch, len(given.batch)
    columns = (given.log_prob, batch.old_log_prob, batch.advantages, given.values, batch.old_values, batch.returns,
               given.entropy)  # fmt: skip
    columns = tuple(column.detach().clone() for column in columns)
    terms, grad_log_prob, grad_values, grad_entropy = (torch.empty(size) for size in (len(TERMS.names or ()), n, n, 1))
    call(
        "loss", ctypes.byref(_numbers(config, recipe)), has_entropy, n,
        (ctypes.c_void_p * 7)(*(column.data_ptr() for column in columns)),
        terms, grad_log_prob, grad_values, grad_entropy,
    )  # fmt: skip
    gradients = [grad_log_prob, grad_values, *([grad_entropy.expand(n)] if has_entropy else [])]
    return [terms, *gradients]


@pytest.mark.parametrize("has_entropy", [True, False])
@pytest.mark.parametrize("name", list(CONFIGS))
@pytest.mark.parametrize("recipe", list(RECIPES))
def test_the_loss_and_its_gradient_have_autograds_bits(recipe: str, name: str, has_entropy: bool) -> None:
    for n in (1, 2, 3, 7, 8, 9, 31, 64, 100, 256, 1000, 5000):
        config = dataclasses.replace(PPOConfig(**CONFIGS[name]).at(1.0), beta=BETAS[n % 3])
        given = example(n, config)
        outcomes = [run(given, config, RECIPES[recipe], has_entropy) for run in (by_kernels, by_autograd)]
        for what, ours, theirs in zip(("terms", "log_prob", "values", "entropy"), *outcomes, strict=False):
            assert torch.equal(ours, theirs), f"{what} of {n} transitions"


def test_the_examples_meet_all_branches_and_ties() -> None:
    config = PPOConfig(clip_range_vf=0.1).at(1.0)
    given = example(5000, config)
    batch = given.batch
    ratio = torch.exp(given.log_prob - batch.old_log_prob)
    moved = given.values - batch.old_values
    free = (batch.returns - given.values).abs()
    clipped = (batch.returns - batch.old_values - torch.clamp(moved, -0.1, 0.1)).abs()
    for examples in (
        ratio == 1, ratio == np.float32(0.8), ratio == np.float32(1.2), (ratio < 0.8) & (batch.advantages < 0),
        (ratio > 1.2) & (batch.advantages > 0), batch.advantages == 0, moved == 0, moved.abs() == np.float32(0.1),
        (moved.abs() > 0.1) & (free > clipped), (moved.abs() > 0.1) & (free < clipped),
        (moved.abs() > 0.1) & (free == clipped), batch.returns == given.values,
    ):  # fmt: skip
        assert examples.any()
