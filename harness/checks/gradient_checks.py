"""`check_gradient`: gradients of a loss, against those that SB3's PPO computes in its update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.checks import sb3_reference as sb3
from harness.checks.case import Argument, Array, FunctionCheck, Inputs
from harness.checks.cases.loss_minibatches import policy_cases, total_cases, value_cases
from harness.checks.check_results import CheckReport
from harness.checks.differentiation import gradient_check
from harness.checks.distribution_checks import PARAMETERS, WITH_ENTROPY, check_known
from harness.checks.distribution_gradient_checks import entropy_gradient, log_prob_gradient
from harness.checks.known_mistakes import (
    policy_gradient_mistakes,
    total_gradient_mistakes,
    value_gradient_mistakes,
)
from harness.checks.loss_checks import POLICY_ARGUMENTS, POLICY_CALLS, REAL_B, VALUE_ARGUMENTS, VALUE_CALLS
from harness.checks.run_check import Tolerance, run_check
from harness.errors import HarnessError, did_you_mean

__all__ = ["check_gradient"]

TERMS = ("total", "policy", "value", "log_prob", "entropy")
TOTAL_CALLS = (
    "fn(log_prob, old_log_prob, advantages, values, old_values, returns, entropy, "
    "clip_range=..., clip_range_vf=..., ent_coef=..., vf_coef=...) -> loss"
)
TOTAL_ARGUMENTS = {
    **dict.fromkeys(("log_prob", "old_log_prob", "advantages", "values", "old_values", "returns", "entropy"), REAL_B),
    "clip_range": Argument(simpler=(0.5, 0.2)),
    "clip_range_vf": Argument(simpler=(None, 0.5)),
    "ent_coef": Argument(simpler=(0.0, 1.0)),
    "vf_coef": Argument(simpler=(0.0, 1.0)),
}
KEYWORDS = frozenset({"clip_range", "clip_range_vf", "ent_coef", "vf_coef"})


def check_gradient(
    fn: Callable[..., Any],
    term: str = "total",
    distribution: str | None = None,
    *,
    normalize_advantage: bool = True,
    tolerance: Tolerance = "rounding",
    seed: int = 0,
) -> CheckReport:
    """Compare the gradients of a loss with SB3's, since a loss with the right value may have wrong gradients.

    term              fn, and the tensors whose gradients are compared
    "total"           fn(log_prob, old_log_prob, advantages, values, old_values, returns, entropy,
                         clip_range=..., clip_range_vf=..., ent_coef=..., vf_coef=...) -> the whole loss of a minibatch
                      log_prob, values and entropy, each [B]
    "policy"          fn(log_prob, old_log_prob, advantages, clip_range) -> loss;  log_prob
    "value"           fn(values, old_values, returns, clip_range_vf) -> loss;  values
    "log_prob"        as for check_log_prob, [B] (with `distribution`);  gradients of the sum, for each parameter
    "entropy"         as for check_entropy, [B] (with `distribution`);  the same

    The whole loss is given advantages that are not normalised, and normalises them itself, as SB3's train() does;
    normalize_advantage=False is for a loss that does not normalise them.
    The function returns a PyTorch tensor, which is differentiated here, or gradients that were computed by other means
    (by hand, by another framework): a dict {"log_prob": [B], "values": [B], "entropy": [B]}.

    tolerance, seed, result and exceptions: as for `check_gae`. Cases exactly at the edge of the clip range are left
    out, since the gradient there depends on how min and clip are written.
    """
    if term not in TERMS:
        raise HarnessError(
            f"check_gradient: unknown term {term!r}{did_you_mean(str(term), TERMS)}; there are {', '.join(TERMS)}"
        )
    if term in ("log_prob", "entropy"):
        if distribution is None:
            raise HarnessError(
                f"check_gradient: the term {term!r} needs a distribution: one of {', '.join(PARAMETERS)}"
            )
        check_known("check_gradient", distribution, tuple(PARAMETERS if term == "log_prob" else WITH_ENTROPY))
        check = log_prob_gradient(distribution, seed) if term == "log_prob" else entropy_gradient(distribution, seed)
    elif distribution is not None:
        raise HarnessError(f"check_gradient: the term {term!r} has no distribution, got {distribution!r}")
    else:
        check = {"total": _total, "policy": _policy, "value": _value}[term](seed, normalize_advantage)
    return run_check(check, fn, tolerance)


def _policy(seed: int, normalize_advantage: bool) -> FunctionCheck:
    def size(inputs: Inputs, name: str) -> Array:
        return _ratio_size(inputs, np.abs(inputs["advantages"]))

    return gradient_check(
        POLICY_CALLS,
        POLICY_ARGUMENTS,
        policy_cases(seed),
        ("log_prob",),
        lambda inputs: {"log_prob": sb3.update(**inputs).gradients["log_prob"]},
        size,
        policy_gradient_mistakes(),
    )


def _ratio_size(inputs: Inputs, advantages: Array) -> Array:
    """Return A * ratio * (1 + |log ratio|) / B: the rounding error of the log ratio is multiplied by the ratio."""
    log_ratios = inputs["log_prob"].astype(np.float64) - inputs["old_log_prob"]
    sizes = advantages * np.exp(np.minimum(log_ratios, 60)) * (1 + np.abs(log_ratios)) / len(log_ratios)
    return np.asarray(sizes, np.float64)


def _value(seed: int, normalize_advantage: bool) -> FunctionCheck:
    def expected(inputs: Inputs) -> Mapping[str, Array]:
        policy = dict.fromkeys(("log_prob", "old_log_prob", "advantages"), np.zeros_like(inputs["values"]))
        return {"values": sb3.update(**policy, **inputs, vf_coef=1.0).gradients["values"]}

    return gradient_check(
        VALUE_CALLS,
        VALUE_ARGUMENTS,
        value_cases(seed, clipping=True),
        ("values",),
        expected,
        lambda inputs, name: _value_size(inputs),
        value_gradient_mistakes(),
    )


def _value_size(inputs: Inputs) -> Array:
    values, old, returns = (np.abs(inputs[name].astype(np.float64)) for name in ("values", "old_values", "returns"))
    return np.asarray((values + old + returns) / len(values))


def _total(seed: int, normalize_advantage: bool) -> FunctionCheck:
    def size(inputs: Inputs, name: str) -> Array:
        if name == "entropy":
            return np.asarray(0.0)
        if name == "values":
            return np.asarray(inputs["vf_coef"] * _value_size(inputs))
        advantages = np.abs(inputs["advantages"].astype(np.float64))
        if normalize_advantage and len(advantages) > 1:
            advantages = np.full_like(advantages, advantages.max() / (inputs["advantages"].std(ddof=1) + 1e-8))
        return _ratio_size(inputs, advantages)

    check = gradient_check(
        TOTAL_CALLS,
        TOTAL_ARGUMENTS,
        total_cases(seed),
        ("log_prob", "values", "entropy"),
        lambda inputs: sb3.update(**inputs, normalize_advantage=normalize_advantage).gradients,
        size,
        total_gradient_mistakes(normalize_advantage=normalize_advantage),
    )
    return replace(check, keywords=KEYWORDS)
