from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, distributions
from torch.nn import functional

from custom_ppo.distributions import Bernoulli, Categorical, DiagGaussian, MultiCategorical, StateDependentNoise
from harness.crosscheck import check_entropy, check_log_prob
from harness.errors import HarnessError
from tests.harness.checks.failures import failure, size


def gsde(mean: Tensor, log_std: Tensor, features: Tensor) -> Any:
    noise = StateDependentNoise(mean.shape[1], full_std=True, use_expln=False, squash_output=False)
    return noise.distribution(mean, log_std, features)


OURS: dict[str, Callable[..., Any]] = {
    "categorical": Categorical,
    "multi_categorical": MultiCategorical,
    "bernoulli": Bernoulli,
    "diag_gaussian": DiagGaussian,
    "gsde": gsde,
}


def double(argument: Any) -> Any:
    return argument.double() if isinstance(argument, Tensor) and argument.is_floating_point() else argument


@pytest.mark.parametrize("name", OURS)
def test_custom_ppos_distributions_are_equal_to_the_bit(name: str) -> None:
    make = OURS[name]
    assert check_log_prob(lambda *a: make(*a[:-1]).log_prob(a[-1]), name, tolerance="exact").bit_equal
    assert check_entropy(lambda *a: make(*a).entropy(), name, tolerance="exact").compared == ("entropy",)
    assert check_entropy(lambda *a: make(*a).entropy().mean(), name, tolerance="exact").compared == ("mean entropy",)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", OURS)
def test_float64_is_equal_within_rounding(name: str, seed: int) -> None:
    make = OURS[name]
    log_probs = check_log_prob(lambda *a: make(*map(double, a[:-1])).log_prob(double(a[-1])), name, seed=seed)
    assert 0 < log_probs.largest_ulps < 3
    assert 0 < check_entropy(lambda *a: make(*map(double, a)).entropy(), name, seed=seed).largest_ulps < 3


def squashed(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    normal = distributions.Normal(mean, log_std.exp())
    transformed = distributions.TransformedDistribution(normal, distributions.TanhTransform())
    return transformed.log_prob(actions).sum(dim=1)


def test_a_squashed_gaussian_is_pytorchs_transformed_one_within_rounding() -> None:
    # SB3 adds 1e-6 to 1 - a^2; for the actions of the check that is within what rounding does to 1 - a^2.
    assert check_log_prob(squashed, "squashed_gaussian").largest_ulps > 1


def test_the_adapter_of_the_docstring_works() -> None:
    def mine(mean: Tensor, std: Tensor, actions: Tensor) -> Tensor:
        return distributions.Independent(distributions.Normal(mean, std), 1).log_prob(actions)

    def adapted(mean: Tensor, log_std: Tensor, a: Tensor) -> Tensor:
        return mine(mean, log_std.exp().expand_as(mean), a)

    assert check_log_prob(adapted, "diag_gaussian").n_cases > 10


def normal(change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> tuple[str, Callable[..., Any]]:
    return "diag_gaussian", change


LOG_2PI = math.log(2 * math.pi)
LOG_PROBS: dict[str, tuple[str, Callable[..., Any]]] = {
    "the logits are not normalised": ("categorical", lambda logits, a: logits[torch.arange(len(a)), a]),
    "the softmax runs over the batch": (
        "categorical",
        lambda logits, a: functional.log_softmax(logits, 0)[torch.arange(len(a)), a],
    ),
    "the sign": ("categorical", lambda logits, a: functional.cross_entropy(logits, a, reduction="none")),
    "log(softmax(...)), which underflows": (
        "categorical",
        lambda logits, a: torch.log(functional.softmax(logits, 1))[torch.arange(len(a)), a],
    ),
    "every action of the batch for every row": (
        "categorical",
        lambda logits, a: distributions.Categorical(logits=logits).log_prob(a[:, None]),
    ),
    "only the first component": (
        "multi_categorical",
        lambda logits, nvec, a: Categorical(logits[:, : nvec[0]]).log_prob(a[:, 0]),
    ),
    "the mean over the components": (
        "multi_categorical",
        lambda logits, nvec, a: MultiCategorical(logits, nvec).log_prob(a) / len(nvec),
    ),
    "switches that are off are left out": (
        "bernoulli",
        lambda logits, a: (a * torch.log(torch.sigmoid(logits))).sum(1),
    ),
    "on and off are exchanged": ("bernoulli", lambda logits, a: Bernoulli(-logits).log_prob(a)),
    "the components of an action are not added up": normal(
        lambda mean, log_std, a: distributions.Normal(mean, log_std.exp()).log_prob(a)
    ),
    "log_std is taken as the logarithm of the variance": normal(
        lambda mean, log_std, a: distributions.Normal(mean, log_std.exp().sqrt()).log_prob(a).sum(1)
    ),
    "the variance is taken as the standard deviation": normal(
        lambda mean, log_std, a: distributions.Normal(mean, log_std.exp() ** 2).log_prob(a).sum(1)
    ),
    "the constant -log(2 pi) / 2 of each component is missing": normal(
        lambda mean, log_std, a: (-((a - mean) ** 2) / (2 * log_std.exp() ** 2) - log_std).sum(1)
    ),
    "- log_std is missing": normal(
        lambda mean, log_std, a: (-((a - mean) ** 2) / (2 * log_std.exp() ** 2) - LOG_2PI / 2).sum(1)
    ),
    "actions are clipped to [-1, 1] first": normal(
        lambda mean, log_std, a: distributions.Normal(mean, log_std.exp()).log_prob(a.clip(-1, 1)).sum(1)
    ),
    "neither artanh nor the change of variables": (
        "squashed_gaussian",
        lambda mean, log_std, a: distributions.Normal(mean, log_std.exp()).log_prob(a).sum(1),
    ),
    "the change of variables is missing": (
        "squashed_gaussian",
        lambda mean, log_std, a: distributions.Normal(mean, log_std.exp()).log_prob(torch.atanh(a)).sum(1),
    ),
    "the standard deviation lacks its root": (
        "gsde",
        lambda mean, log_std, f, a: distributions.Normal(mean, f**2 @ log_std.exp() ** 2 + 1e-6).log_prob(a).sum(1),
    ),
}


@pytest.mark.parametrize("name", LOG_PROBS)
def test_a_wrong_log_probability_is_caught_and_named(name: str) -> None:
    distribution, wrong = LOG_PROBS[name]
    failed = failure(check_log_prob, wrong, distribution)

    assert failed.hint.startswith(name)
    assert failed.hint.endswith("cases)")
    assert size(failed) <= 12


ENTROPIES: dict[str, tuple[str, Callable[..., Any]]] = {
    "the sign": ("categorical", lambda logits: -Categorical(logits).entropy()),
    "the entropy in bits": ("categorical", lambda logits: Categorical(logits).entropy() / math.log(2)),
    "the logits are not normalised": ("categorical", lambda logits: -(logits.softmax(1) * logits).sum(1)),
    "an impossible choice gives 0 * -inf = NaN": (
        "categorical",
        lambda logits: -(logits.softmax(1) * logits.log_softmax(1)).sum(1),
    ),
    "the mean over the components": (
        "diag_gaussian",
        lambda mean, log_std: distributions.Normal(mean, log_std.exp()).entropy().mean(1),
    ),
    "log_std alone": ("diag_gaussian", lambda mean, log_std: log_std.sum().expand(len(mean))),
    "log_std is taken as the logarithm of the variance": (
        "diag_gaussian",
        lambda mean, log_std: distributions.Normal(mean, log_std.exp().sqrt()).entropy().sum(1),
    ),
    "only -p log p": (
        "bernoulli",
        lambda logits: -(torch.sigmoid(logits) * functional.logsigmoid(logits)).sum(1),
    ),
    "one softmax over all components": ("multi_categorical", lambda logits, nvec: Categorical(logits).entropy()),
}


@pytest.mark.parametrize("name", ENTROPIES)
def test_a_wrong_entropy_is_caught_and_named(name: str) -> None:
    distribution, wrong = ENTROPIES[name]
    failed = failure(check_entropy, wrong, distribution)

    assert failed.hint.startswith(name)
    assert failed.hint.endswith("cases)")


@pytest.mark.parametrize(
    ("check", "distribution", "message"),
    [
        (
            check_log_prob,
            "catagorical",
            "check_log_prob: unknown distribution 'catagorical', did you mean categorical?; there are categorical, "
            "multi_categorical, bernoulli, diag_gaussian, squashed_gaussian, gsde",
        ),
        (
            check_entropy,
            "squashed_gaussian",
            "check_entropy: SB3 has no closed form for the entropy of 'squashed_gaussian': it cannot be checked",
        ),
    ],
)
def test_a_distribution_that_cannot_be_checked_is_an_error_of_one_line(
    check: Callable[..., Any], distribution: str, message: str
) -> None:
    with pytest.raises(HarnessError) as error:
        check(lambda *_: None, distribution)
    assert str(error.value) == message
