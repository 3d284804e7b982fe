from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from custom_ppo.distributions import Bernoulli, Categorical, DiagGaussian, MultiCategorical
from harness.crosscheck import check_gradient
from tests.harness.checks.failures import failure


@pytest.mark.parametrize(
    ("distribution", "make"),
    [
        ("categorical", Categorical),
        ("multi_categorical", MultiCategorical),
        ("bernoulli", Bernoulli),
        ("diag_gaussian", DiagGaussian),
    ],
)
def test_custom_ppos_distributions_have_sb3s_gradients_to_the_bit(distribution: str, make: Callable[..., Any]) -> None:
    log_prob = check_gradient(lambda *a: make(*a[:-1]).log_prob(a[-1]), "log_prob", distribution, tolerance="exact")
    entropy = check_gradient(lambda *a: make(*a).entropy(), "entropy", distribution, tolerance="exact")
    assert log_prob.compared == entropy.compared
    assert all(name.startswith("gradient of ") for name in log_prob.compared)


def test_a_spread_that_is_not_learnt_is_caught_though_its_values_are_right() -> None:
    def fixed_spread(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
        return DiagGaussian(mean, log_std.detach()).log_prob(actions)

    failed = failure(check_gradient, fixed_spread, "log_prob", "diag_gaussian")
    assert failed.hint.startswith("log_std is detached: it is never trained")
    assert failed.finding.wrong == {"gradient of log_std"}


def test_a_distribution_returns_one_number_for_each_row() -> None:
    failed = failure(check_gradient, lambda logits: Categorical(logits).entropy().mean(), "entropy", "categorical")
    assert failed.finding.text == "the function returned the shape [], expected one number for each row, [1]"
