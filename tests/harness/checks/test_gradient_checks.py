from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from custom_ppo.losses import clipped_surrogate, clipped_values, normalize_advantages, policy_loss, value_loss
from harness.crosscheck import check_gradient
from harness.errors import HarnessError
from tests.harness.checks.failures import failure


def our_policy_loss(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return policy_loss(clipped_surrogate(log_prob, old_log_prob, advantages, clip_range))


def our_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_range_vf: float | None) -> Tensor:
    bounded = values if clip_range_vf is None else clipped_values(values, old_values, clip_range_vf)
    return value_loss(returns, bounded)


def total(
    policy: Callable[..., Tensor] = our_policy_loss,
    value: Callable[..., Tensor] = our_value_loss,
    normalize: Callable[[Tensor], Tensor] = normalize_advantages,
    entropy_sign: float = -1.0,
    half: float = 1.0,
    number: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> Callable[..., Tensor]:
    """Return a whole loss with these parts."""

    def loss(
        *tensors: Tensor, clip_range: float, clip_range_vf: float | None, ent_coef: float, vf_coef: float
    ) -> Tensor:
        log_prob, old_log_prob, advantages, values, old_values, returns, entropy = map(number, tensors)
        return (
            policy(log_prob, old_log_prob, normalize(advantages), clip_range)
            + ent_coef * entropy_sign * entropy.mean()
            + half * vf_coef * value(values, old_values, returns, clip_range_vf)
        )

    return loss


def test_custom_ppos_whole_loss_has_sb3s_gradients_to_the_bit() -> None:
    report = check_gradient(total(), tolerance="exact")

    assert report.compared == ("gradient of log_prob", "gradient of values", "gradient of entropy")
    assert check_gradient(total(normalize=lambda a: a), normalize_advantage=False, tolerance="exact").bit_equal


@pytest.mark.parametrize(("term", "ours"), [("policy", our_policy_loss), ("value", our_value_loss)])
def test_custom_ppos_terms_have_sb3s_gradients_to_the_bit(term: str, ours: Callable[..., Tensor]) -> None:
    assert check_gradient(ours, term, tolerance="exact").bit_equal


@pytest.mark.parametrize("seed", range(5))
def test_float64_has_the_same_gradients_within_rounding(seed: int) -> None:
    assert 0 < check_gradient(total(number=lambda tensor: tensor.double()), seed=seed).largest_ulps < 3


def one_detached(new: Tensor, old: Tensor, a: Tensor, clip: float) -> Tensor:
    ratio = torch.exp(new - old)
    return -torch.min(ratio.detach() * a, ratio.clip(1 - clip, 1 + clip) * a).mean()


TOTALS: dict[str, Callable[..., Any]] = {
    "advantages are not normalised": total(normalize=lambda a: a),
    "advantages are normalised with n instead of n - 1": total(
        normalize=lambda a: (a - a.mean()) / (a.std(correction=0) + 1e-8) if len(a) > 1 else a
    ),
    "advantages are centred, but not divided": total(normalize=lambda a: a - a.mean() if len(a) > 1 else a),
    "advantages are divided by their variance": total(
        normalize=lambda a: (a - a.mean()) / (a.var() + 1e-8) if len(a) > 1 else a
    ),
    "advantages are normalised with an epsilon of 1e-5": total(
        normalize=lambda a: (a - a.mean()) / (a.std() + 1e-5) if len(a) > 1 else a
    ),
    "advantages are normalised without the 1e-8": total(
        normalize=lambda a: (a - a.mean()) / a.std() if len(a) > 1 else a
    ),
    "a minibatch of one transition is normalised as well": total(normalize=lambda a: (a - a.mean()) / (a.std() + 1e-8)),
    "the entropy has the wrong sign": total(entropy_sign=1.0),
    "the entropy term is missing": total(entropy_sign=0.0),
    "vf_coef is applied, and a factor 1/2": total(half=0.5),
    "the value loss is missing": total(half=0.0),
    "policy loss: no clipping": total(policy=lambda new, old, a, clip: -(torch.exp(new - old) * a).mean()),
    "value loss: clip_range_vf is ignored": total(value=lambda v, old, r, clip: ((v - r) ** 2).mean()),
}


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize("name", TOTALS)
def test_a_wrong_whole_loss_is_caught_and_named(name: str) -> None:
    hint = failure(check_gradient, TOTALS[name]).hint

    assert hint.startswith(name)
    assert hint.endswith("cases)")


def test_two_mistakes_in_one_loss_get_a_name_each() -> None:
    hint = failure(check_gradient, total(entropy_sign=1.0, half=0.5)).hint

    assert "gradient of values: vf_coef is applied, and a factor 1/2 as well" in hint
    assert "gradient of entropy: the entropy has the wrong sign" in hint


def test_a_loss_of_the_right_value_that_teaches_something_else_is_caught() -> None:
    failed = failure(check_gradient, one_detached, "policy")
    assert failed.hint.startswith("the unclipped branch is detached: only clip(ratio) * A has a gradient")


def test_gradients_are_wanted_even_under_no_grad() -> None:
    with torch.no_grad():
        assert check_gradient(total(), tolerance="exact").bit_equal


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("polcy",),
            "check_gradient: unknown term 'polcy', did you mean policy?; "
            "there are total, policy, value, log_prob, entropy",
        ),
        (
            ("entropy",),
            "check_gradient: the term 'entropy' needs a distribution: one of categorical, multi_categorical, "
            "bernoulli, diag_gaussian, squashed_gaussian, gsde",
        ),
        (("value", "categorical"), "check_gradient: the term 'value' has no distribution, got 'categorical'"),
    ],
)
def test_a_term_that_does_not_exist_is_an_error_of_one_line(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(HarnessError) as error:
        check_gradient(total(), *arguments)
    assert str(error.value) == message
