from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from custom_ppo.losses import clipped_surrogate, policy_loss
from harness.crosscheck import check_gradient
from tests.harness.checks.failures import failure


def our_policy_loss(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return policy_loss(clipped_surrogate(log_prob, old_log_prob, advantages, clip_range))


def test_gradients_by_hand_come_back_in_a_dict() -> None:
    def by_hand(values: Tensor, old_values: Tensor, returns: Tensor, clip: float | None) -> dict[str, Any]:
        now, old, target = (tensor.detach().numpy() for tensor in (values, old_values, returns))
        if clip is None:
            return {"values": 2 * (now - target) / len(now)}
        inside = np.abs(now - old) <= clip
        return {"values": 2 * (np.clip(now, old - clip, old + clip) - target) * inside / len(now)}

    assert check_gradient(by_hand, "value").compared == ("gradient of values",)
    failed = failure(check_gradient, lambda *a: {"value": 0}, "value")
    assert failed.finding.text == "the function returned gradients without values"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            lambda *a: our_policy_loss(*a).detach(),
            "returned a tensor without a gradient: it was detached, or computed under no_grad",
        ),
        (lambda *a: our_policy_loss(*a).item(), "returned a float, expected a PyTorch tensor or a dict of gradients"),
        (lambda new, *a: torch.stack([new, new]).sum(1), "returned the shape [2], expected one number: the loss of"),
        (
            lambda new, *a: torch.sqrt(new).mul_(new).exp_().sum(),
            "returned a tensor that cannot be differentiated: one of",
        ),
    ],
)
def test_what_has_no_gradient_is_named(wrong: Callable[..., Any], text: str) -> None:
    assert failure(check_gradient, wrong, "policy").finding.text.startswith(f"the function {text}")
