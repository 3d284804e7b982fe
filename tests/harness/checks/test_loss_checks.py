from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from custom_ppo.losses import clipped_surrogate, clipped_values, policy_loss, value_loss
from harness.crosscheck import check_clipped_loss, check_value_loss
from tests.harness.checks.failures import failure, size


def ours(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return policy_loss(clipped_surrogate(log_prob, old_log_prob, advantages, clip_range))


def our_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_range_vf: float | None) -> Tensor:
    bounded = values if clip_range_vf is None else clipped_values(values, old_values, clip_range_vf)
    return value_loss(returns, bounded)


def test_custom_ppos_losses_are_equal_to_the_bit() -> None:
    assert check_clipped_loss(ours, tolerance="exact").compared == ("loss",)
    assert check_value_loss(our_value_loss, tolerance="exact").bit_equal


def test_the_losses_of_each_transition_are_compared_one_by_one() -> None:
    def each(*arguments: Any) -> Tensor:
        return -clipped_surrogate(*arguments)

    # A minibatch of one is a number in brackets, which is taken as a number.
    assert check_clipped_loss(each, tolerance="exact").compared == ("loss", "loss of each transition")


def in_numpy(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> float:
    """Return the clipped loss by cases, in float64."""
    total = 0.0
    for new, old, advantage in zip(log_prob.tolist(), old_log_prob.tolist(), advantages.tolist(), strict=True):
        ratio = math.exp(new - old)
        bound = 1 + clip_range if advantage > 0 else 1 - clip_range
        total -= advantage * (min(ratio, bound) if advantage > 0 else max(ratio, bound))
    return total / len(advantages)


def value_in_numpy(values: Tensor, old_values: Tensor, returns: Tensor, clip_range_vf: float | None) -> Any:
    now, old, target = (np.asarray(tensor, np.float64) for tensor in (values, old_values, returns))
    if clip_range_vf is not None:
        now = np.clip(now, old - clip_range_vf, old + clip_range_vf)
    return np.mean(np.square(now - target))


@pytest.mark.parametrize("seed", range(10))
def test_float64_and_floats_are_equal_within_rounding(seed: int) -> None:
    assert 0 < check_clipped_loss(in_numpy, seed=seed).largest_ulps < 3
    assert 0 < check_value_loss(value_in_numpy, seed=seed).largest_ulps < 3


def test_the_adapter_of_the_docstring_works() -> None:
    def mine(ratio: Tensor, adv: Tensor, eps: float) -> Tensor:
        return torch.minimum(ratio * adv, ratio.clip(1 - eps, 1 + eps) * adv).mean()

    assert check_clipped_loss(lambda new, old, adv, clip: -mine(torch.exp(new - old), adv, eps=clip)).n_cases > 20


def test_a_critic_without_clipping_gets_two_arguments() -> None:
    assert check_value_loss(lambda values, returns: ((returns - values) ** 2).mean(), clipping=False).bit_equal

    failed = failure(check_value_loss, lambda values, returns: (returns - values).abs().mean(), clipping=False)
    assert failed.hint.startswith("absolute errors instead of squares")
    assert list(failed.inputs) == ["values", "returns"]


def normalizing(advantages: Tensor) -> Tensor:
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8) if len(advantages) > 1 else advantages


def biased(advantages: Tensor) -> Tensor:
    centred = advantages - advantages.mean()
    return centred / (centred.square().mean().sqrt() + 1e-8) if len(advantages) > 1 else advantages


@pytest.mark.parametrize("seed", range(5))
def test_a_loss_that_normalises_advantages_itself_is_held_against_one_that_does(seed: int) -> None:
    def right(new: Tensor, old: Tensor, a: Tensor, clip: float) -> Tensor:
        return ours(new, old, normalizing(a), clip)

    assert check_clipped_loss(right, normalize_advantage=True, tolerance="exact", seed=seed).bit_equal
    in_double = check_clipped_loss(
        lambda new, old, a, clip: right(new.double(), old.double(), a.double(), clip),
        normalize_advantage=True,
        seed=seed,
    )
    assert 0 < in_double.largest_ulps < 3


@pytest.mark.parametrize(
    ("hint", "wrong"),
    [
        ("advantages are not normalised", ours),
        (
            "advantages are normalised with n in",
            lambda n, o, a, c: ours(n, o, biased(a), c),
        ),
        ("the sign", lambda n, o, a, c: -ours(n, o, normalizing(a), c)),
        ("no clipping", lambda n, o, a, c: -(torch.exp(n - o) * normalizing(a)).mean()),
    ],
)
def test_a_wrong_loss_that_normalises_advantages_is_named(hint: str, wrong: Callable[..., Any]) -> None:
    assert failure(check_clipped_loss, wrong, normalize_advantage=True).hint.startswith(hint)


def test_a_loss_that_normalises_advantages_is_one_number() -> None:
    failed = failure(check_clipped_loss, lambda *a: -clipped_surrogate(*a), normalize_advantage=True)
    assert failed.finding.text == (
        "the function returned the loss of each transition, expected one number: the loss of the minibatch"
    )


def surrogate(change: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """Return a loss that is change(ratio, advantages, clip range)."""
    return lambda new, old, a, clip: change((new - old).exp(), a, clip)


def clipped(ratio: Tensor, clip: float) -> Tensor:
    return ratio.clip(1 - clip, 1 + clip)


POLICY: dict[str, Callable[..., Any]] = {
    "the sign": surrogate(lambda r, a, c: torch.minimum(r * a, clipped(r, c) * a).mean()),
    "a sum over the minibatch instead of its mean": surrogate(
        lambda r, a, c: torch.maximum(-r * a, -clipped(r, c) * a).sum()
    ),
    "no clipping": surrogate(lambda r, a, c: -(r * a).mean()),
    "max where min belongs": surrogate(lambda r, a, c: -torch.maximum(r * a, clipped(r, c) * a).mean()),
    "only the clipped branch": surrogate(lambda r, a, c: -(clipped(r, c) * a).mean()),
    "clipped from above only": surrogate(lambda r, a, c: -torch.minimum(r * a, r.clip(max=1 + c) * a).mean()),
    "clipped from below only": surrogate(lambda r, a, c: -torch.minimum(r * a, r.clip(min=1 - c) * a).mean()),
    "clip_range is ignored": surrogate(lambda r, a, c: -torch.minimum(r * a, clipped(r, 0.2) * a).mean()),
    "min of the ratios": surrogate(lambda r, a, c: -(torch.minimum(r, clipped(r, c)) * a).mean()),
    "the ratio is upside down": lambda new, old, a, c: ours(old, new, a, c),
    "the ratio lacks its exponential": lambda new, old, a, c: (
        -torch.minimum((new - old) * a, clipped(new - old, c) * a).mean()
    ),
    "the ratio is a quotient of probabilities": lambda new, old, a, c: (
        -torch.minimum(new.exp() / old.exp() * a, clipped(new.exp() / old.exp(), c) * a).mean()
    ),
    "A2C's objective": lambda new, old, a, c: -(a * new).mean(),
    "advantages are normalised inside the loss; SB3": lambda new, old, a, c: ours(
        new, old, (a - a.mean()) / (a.std() + 1e-8) if len(a) > 1 else a, c
    ),
    "dual clip for good actions as well": surrogate(
        lambda r, a, c: -torch.maximum(torch.minimum(r * a, clipped(r, c) * a), 3 * a).mean()
    ),
    "shapes [B, 1] and [B]": lambda new, old, a, c: ours(new[:, None], old[:, None], a, c),
}


@pytest.mark.parametrize("name", POLICY)
def test_a_wrong_policy_loss_is_caught_and_named(name: str) -> None:
    failed = failure(check_clipped_loss, POLICY[name])

    assert failed.hint.startswith(name)
    assert failed.hint.endswith("cases)")
    assert size(failed) <= 6  # at most two transitions


def squares(change: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """Return a value loss that is right without clipping, and `change` with it."""
    return lambda v, old, r, clip: our_value_loss(v, old, r, None) if clip is None else change(v, old, r, clip)


VALUE: dict[str, Callable[..., Any]] = {
    "a factor 1/2": lambda *arguments: our_value_loss(*arguments) / 2,
    "a sum over the minibatch": lambda v, old, r, c: our_value_loss(v, old, r, c) * len(v),
    "clip_range_vf is ignored": lambda v, old, r, c: our_value_loss(v, old, r, None),
    "the larger of clipped and unclipped error counts, as in OpenAI's": squares(
        lambda v, old, r, c: torch.maximum((v - r) ** 2, (old + (v - old).clip(-c, c) - r) ** 2).mean()
    ),
    "the smaller of clipped and unclipped": squares(
        lambda v, old, r, c: torch.minimum((v - r) ** 2, (old + (v - old).clip(-c, c) - r) ** 2).mean()
    ),
    "values are clipped around the returns": squares(
        lambda v, old, r, c: ((r + (v - r).clip(-c, c) - r) ** 2).mean()
    ),
    "the loss is clipped": squares(lambda v, old, r, c: ((v - r) ** 2).clip(max=c).mean()),
    "absolute errors": lambda v, old, r, c: (
        (v if c is None else old + (v - old).clip(-c, c)) - r
    ).abs().mean(),
    "the sign": lambda *arguments: -our_value_loss(*arguments),
    "shapes [B, 1] and [B]": lambda v, old, r, c: our_value_loss(v[:, None], old[:, None], r, c),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", VALUE)
def test_a_wrong_value_loss_is_caught_and_named(name: str) -> None:
    failed = failure(check_value_loss, VALUE[name])

    assert failed.hint.startswith(name)
    assert failed.hint.endswith("cases)")
    assert size(failed) <= 6


def test_the_smallest_input_of_a_forgotten_minimum_is_one_transition() -> None:
    failed = failure(check_clipped_loss, POLICY["max where min belongs"])

    assert failed.case == "good action, far more likely"
    assert {name: np.size(value) for name, value in failed.inputs.items()} == {
        "log_prob": 1,
        "old_log_prob": 1,
        "advantages": 1,
        "clip_range": 1,
    }


def test_a_quotient_of_probabilities_is_right_until_it_underflows() -> None:
    failed = failure(check_clipped_loss, POLICY["the ratio is a quotient of probabilities"])

    assert failed.wrong == ["probabilities below float32", "densities beyond float32"]
    assert failed.finding.kind == "not a number"
