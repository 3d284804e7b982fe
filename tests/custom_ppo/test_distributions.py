from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from stable_baselines3.common import distributions as sb3
from torch import Tensor, distributions

from custom_ppo.distributions import (
    Bernoulli,
    Categorical,
    DiagGaussian,
    Distribution,
    MultiCategorical,
    StateDependentNoise,
)

NVEC = [2, 3]


@dataclass(frozen=True)
class Pair:
    """One of our distributions and SB3's, both made of copies of the same parameters."""

    ours: Distribution
    theirs: sb3.Distribution
    our_parameters: list[Tensor]
    their_parameters: list[Tensor]


def categorical(a: list[Tensor], b: list[Tensor]) -> tuple[Distribution, sb3.Distribution]:
    return Categorical(a[0]), sb3.CategoricalDistribution(5).proba_distribution(b[0])


def multi_categorical(a: list[Tensor], b: list[Tensor]) -> tuple[Distribution, sb3.Distribution]:
    return MultiCategorical(a[0], NVEC), sb3.MultiCategoricalDistribution(NVEC).proba_distribution(b[0])


def bernoulli(a: list[Tensor], b: list[Tensor]) -> tuple[Distribution, sb3.Distribution]:
    return Bernoulli(a[0]), sb3.BernoulliDistribution(5).proba_distribution(b[0])


def gaussian(a: list[Tensor], b: list[Tensor]) -> tuple[Distribution, sb3.Distribution]:
    return DiagGaussian(a[0], a[1]), sb3.DiagGaussianDistribution(5).proba_distribution(b[0], b[1])


def make(
    build: Callable[[list[Tensor], list[Tensor]], tuple[Distribution, sb3.Distribution]], scale: float, n: int
) -> Pair:
    torch.manual_seed(7)
    values = [scale * torch.randn(n, 5), 0.5 * torch.randn(5)]
    ours = [value.clone().requires_grad_() for value in values]
    theirs = [value.clone().requires_grad_() for value in values]
    return Pair(*build(ours, theirs), ours, theirs)


def make_gsde(n: int, n_matrices: int, log_std: float, **switches: bool) -> Pair:
    """State-dependent noise: means [n, 2], log_std of 6 features, features [n, 6]."""
    torch.manual_seed(7)
    mean, features = torch.randn(n, 2), torch.randn(n, 6)
    # Both sides of zero: expln treats them differently.
    log_stds = log_std + torch.randn(6, 2 if switches["full_std"] else 1)
    ours = [mean.clone().requires_grad_(), log_stds.clone().requires_grad_()]
    theirs = [mean.clone().requires_grad_(), log_stds.clone().requires_grad_()]
    noise = StateDependentNoise(2, **switches)
    reference = sb3.StateDependentNoiseDistribution(2, **switches)
    reference.latent_sde_dim = 6
    torch.manual_seed(8)
    noise.resample(ours[1], n_matrices)
    torch.manual_seed(8)
    reference.sample_weights(theirs[1], n_matrices)
    return Pair(
        noise.distribution(ours[0], ours[1], features),
        reference.proba_distribution(theirs[0], theirs[1], features),
        ours,
        theirs,
    )


PAIRS: Mapping[str, Callable[[], Pair]] = {
    f"{build.__name__}, scale {scale}, batch {n}": partial(make, build, scale, n)
    for build in (categorical, multi_categorical, bernoulli, gaussian)
    for scale in (0.1, 30.0)
    for n in (1, 8)
} | {
    f"gSDE, full_std {full}, expln {expln}, squash {squash}, {n} states, {m} matrices": partial(
        make_gsde, n, m, -0.5, full_std=full, use_expln=expln, squash_output=squash
    )
    for full in (False, True)
    for expln in (False, True)
    for squash in (False, True)
    for n, m in ((4, 4), (8, 1), (1, 1))
}


@pytest.fixture(params=list(PAIRS))
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]()


def assert_same(ours: Tensor | None, theirs: Tensor | None) -> None:
    if ours is None or theirs is None:
        assert ours is theirs
    else:
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def drawn(sample: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """A sample, and the generator's state after it."""
    torch.manual_seed(3)
    return sample().detach(), torch.get_rng_state()


def gradients(value: Tensor, parameters: list[Tensor]) -> list[Tensor | None]:
    return list(torch.autograd.grad(value.sum(), parameters, allow_unused=True))


def test_samples_are_sb3s_and_leave_the_generator_where_sb3_does(pair: Pair) -> None:
    ours, our_state = drawn(pair.ours.sample)
    theirs, their_state = drawn(pair.theirs.sample)
    assert_same(ours, theirs)
    assert torch.equal(our_state, their_state)


def test_the_mode_is_sb3s(pair: Pair) -> None:
    assert_same(pair.ours.mode(), pair.theirs.mode())


def test_actions_are_the_mode_when_deterministic_and_a_sample_when_not(pair: Pair) -> None:
    assert torch.equal(pair.ours.get_actions(deterministic=True), pair.ours.mode())
    ours, _ = drawn(lambda: pair.ours.get_actions(deterministic=False))
    assert torch.equal(ours, drawn(pair.ours.sample)[0])


def test_torchs_own_distribution_is_the_one_that_sb3_holds(pair: Pair) -> None:
    ours, theirs = (
        found if isinstance(found, list) else [found] for found in (pair.ours.distribution, pair.theirs.distribution)
    )
    assert [type(part) for part in ours] == [type(part) for part in theirs]
    for our, their in zip(ours, theirs, strict=True):
        for name in ("mean", "stddev") if isinstance(our, distributions.Normal) else ("probs", "logits"):
            torch.testing.assert_close(getattr(our, name), getattr(their, name))


def test_log_probabilities_and_their_gradients_are_sb3s(pair: Pair) -> None:
    actions, _ = drawn(pair.theirs.sample)
    ours, theirs = pair.ours.log_prob(actions), pair.theirs.log_prob(actions)
    assert ours.shape == (len(actions),)
    assert_same(ours, theirs)
    for a, b in zip(gradients(ours, pair.our_parameters), gradients(theirs, pair.their_parameters), strict=True):
        assert_same(a, b)


def test_entropies_and_their_gradients_are_sb3s(pair: Pair) -> None:
    ours, theirs = pair.ours.entropy(), pair.theirs.entropy()
    assert_same(ours, theirs)
    if ours is not None and theirs is not None:
        for a, b in zip(gradients(ours, pair.our_parameters), gradients(theirs, pair.their_parameters), strict=True):
            assert_same(a, b)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_plain_distributions_are_torchs(scale: float) -> None:
    torch.manual_seed(0)
    logits, log_std = scale * torch.randn(6, 4), torch.randn(4)
    choices, switches = torch.randint(4, (6,)), torch.randint(2, (6, 4)).float()
    normal = distributions.Independent(distributions.Normal(logits, torch.ones(6, 4) * log_std.exp()), 1)
    cases: list[tuple[Distribution, Any, Tensor]] = [
        (Categorical(logits), distributions.Categorical(logits=logits), choices),
        (Bernoulli(logits), distributions.Independent(distributions.Bernoulli(logits=logits), 1), switches),
        (DiagGaussian(logits, log_std), normal, torch.randn(6, 4)),
    ]
    for ours, theirs, actions in cases:
        assert_same(drawn(ours.sample)[0], drawn(theirs.sample)[0])
        assert_same(ours.log_prob(actions), theirs.log_prob(actions))
        assert_same(ours.entropy(), theirs.entropy())
        assert_same(ours.mode().float(), theirs.mode.float())


def test_an_impossible_choice_has_no_part_in_the_entropy() -> None:
    distribution = Categorical(torch.tensor([[0.0, 0.0, -math.inf]]))
    assert distribution.entropy().item() == pytest.approx(math.log(2))
    assert distribution.log_prob(torch.tensor([2])).item() == -math.inf


def test_probabilities_of_a_whole_space_add_up_to_one() -> None:
    torch.manual_seed(0)
    every = torch.cartesian_prod(torch.arange(2), torch.arange(3))
    multi = MultiCategorical(torch.randn(1, 5).expand(6, 5), NVEC)
    assert multi.log_prob(every).exp().sum().item() == pytest.approx(1.0)
    switches = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    assert Bernoulli(torch.randn(1, 3).expand(8, 3)).log_prob(switches).exp().sum().item() == pytest.approx(1.0)


def test_the_density_of_a_squashed_action_integrates_to_one() -> None:
    noise = StateDependentNoise(1, full_std=True, use_expln=False, squash_output=True)
    features, n = torch.ones(1, 1), 20_001
    grid = torch.linspace(-0.9999, 0.9999, n)[:, None]
    density = noise.distribution(torch.full((n, 1), 0.3), torch.full((1, 1), -0.7), features.expand(n, 1))
    assert torch.trapezoid(density.log_prob(grid).exp(), grid[:, 0]).item() == pytest.approx(1.0, abs=1e-3)


def test_gsde_repeats_its_noise_until_it_is_drawn_again() -> None:
    noise = StateDependentNoise(2, full_std=True, use_expln=False, squash_output=False)
    log_std, features = torch.zeros(3, 2), torch.randn(4, 3)
    noise.resample(log_std, n_envs=4)
    first = noise.noise(features)
    assert torch.equal(noise.noise(features), first)
    noise.resample(log_std, n_envs=4)
    assert not torch.equal(noise.noise(features), first)


def test_gsdes_noise_does_not_teach_the_features() -> None:
    noise = StateDependentNoise(2, full_std=True, use_expln=False, squash_output=False)
    features, log_std = torch.randn(4, 3, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    distribution = noise.distribution(torch.zeros(4, 2), log_std, features)
    value = distribution.log_prob(torch.ones(4, 2)).sum()
    by_features, by_log_std = gradients(value, [features, log_std])
    assert by_features is None
    assert by_log_std is not None
    assert by_log_std.any()
