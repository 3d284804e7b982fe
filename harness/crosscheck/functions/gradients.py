"""`check_gradient`: what a loss teaches the network, against the gradients that SB3's PPO computes in its update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.crosscheck.functions import sb3
from harness.crosscheck.functions.calls import as_array
from harness.crosscheck.functions.case import (
    Argument,
    Array,
    Case,
    FunctionCheck,
    Inputs,
    Outputs,
    UnusableError,
)
from harness.crosscheck.functions.cases.distributions import distribution_cases
from harness.crosscheck.functions.cases.losses import policy_cases, total_cases, value_cases
from harness.crosscheck.functions.distributions import (
    ARGUMENTS as DISTRIBUTION_ARGUMENTS,
)
from harness.crosscheck.functions.distributions import (
    PARAMETERS,
    check_known,
    log_prob_size,
    sb3_entropy,
    sb3_log_prob,
)
from harness.crosscheck.functions.losses import (
    POLICY_ARGUMENTS,
    POLICY_CALLS,
    REAL_B,
    VALUE_ARGUMENTS,
    VALUE_CALLS,
)
from harness.crosscheck.functions.mistakes.gradients import (
    entropy_mistakes,
    log_prob_mistakes,
    policy_mistakes,
    total_mistakes,
    value_mistakes,
)
from harness.crosscheck.functions.outcome import CheckReport
from harness.crosscheck.functions.verdict import Tolerance, run_check
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
UNSETTLED = ("clip range 0", "ratio beyond float32, clipped")
"""Cases whose gradient depends on how the loss is written: on the very border of the clip, and infinity times 0."""


def check_gradient(
    fn: Callable[..., Any],
    term: str = "total",
    distribution: str | None = None,
    *,
    normalize_advantage: bool = True,
    tolerance: Tolerance = "rounding",
    seed: int = 0,
) -> CheckReport:
    """Hold the gradient of a loss against SB3's autograd: a loss may have the right value and teach something else.

    term              fn, and the tensors whose gradients are compared
    "total"           fn(log_prob, old_log_prob, advantages, values, old_values, returns, entropy,
                         clip_range=..., clip_range_vf=..., ent_coef=..., vf_coef=...) -> the whole loss of a minibatch
                      log_prob, values and entropy, each [B]
    "policy"          fn(log_prob, old_log_prob, advantages, clip_range) -> loss;  log_prob
    "value"           fn(values, old_values, returns, clip_range_vf) -> loss;  values
    "log_prob"        as for check_log_prob, [B] (with `distribution`);  gradients of the sum, for each parameter
    "entropy"         as for check_entropy, [B] (with `distribution`);  the same

    In the whole loss advantages come as they are, and are normalised by the function, as SB3's train() does;
    normalize_advantage=False is for a loss that gets them normalised, or leaves them.
    A PyTorch tensor comes back, which is differentiated here. Whoever has gradients by other means (by hand, by another
    framework) returns them: a dict such as {"log_prob": [B], "values": [B], "entropy": [B]}.

    tolerance, seed, and what is returned or raised: as for `check_gae`. Cases on the very border of the clip are left
    out, as there the gradient depends on how min and clip are written, and not on what is computed.
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
        check_known("check_gradient", distribution, tuple(PARAMETERS if term == "log_prob" else _WITH_ENTROPY))
        check = _of_log_prob(distribution, seed) if term == "log_prob" else _of_entropy(distribution, seed)
    elif distribution is not None:
        raise HarnessError(f"check_gradient: the term {term!r} has no distribution, got {distribution!r}")
    else:
        check = {"total": _total, "policy": _policy, "value": _value}[term](seed, normalize_advantage)
    return run_check(check, fn, tolerance)


_WITH_ENTROPY = tuple(name for name in PARAMETERS if name != "squashed_gaussian")


def gradients(result: Any, given: Mapping[str, Any], leaves: Sequence[str], *, one_number: bool) -> Outputs:
    """Gradients of what a function returned with respect to its arguments; raises UnusableError when there are none."""
    if isinstance(result, Mapping):
        if missing := [name for name in leaves if name not in result]:
            raise UnusableError(f"returned gradients without {', '.join(missing)}")
        return {gradient_of(name): as_array(result[name], f"the gradient of {name}") for name in leaves}
    if not isinstance(result, Tensor):
        raise UnusableError(
            f"returned a {type(result).__name__}, expected a PyTorch tensor "
            f"or a dict of gradients with {', '.join(leaves)}"
        )
    if one_number and result.numel() != 1:
        raise UnusableError(f"returned the shape {list(result.shape)}, expected one number: the loss of the minibatch")
    rows = len(given[leaves[0]])
    if not one_number and result.shape != (rows,):
        raise UnusableError(f"returned the shape {list(result.shape)}, expected one number for each row, [{rows}]")
    if not result.requires_grad:
        raise UnusableError("returned a tensor without a gradient: it was detached, or computed under no_grad")
    try:
        found = torch.autograd.grad(result.sum(), [given[name] for name in leaves], allow_unused=True)
    except RuntimeError as error:
        raise UnusableError(f"returned what cannot be differentiated: {' '.join(str(error).split())}") from error
    return {
        gradient_of(name): np.zeros(given[name].shape) if gradient is None else as_array(gradient, name)
        for name, gradient in zip(leaves, found, strict=True)
    }


def gradient_of(name: str) -> str:
    """What the gradient of an argument is called in reports."""
    return f"gradient of {name}"


def _check(
    calls: str,
    arguments: Mapping[str, Argument],
    cases: Iterator[Case],
    leaves: tuple[str, ...],
    expected: Callable[[Inputs], Mapping[str, Array]],
    size: Callable[[Inputs, str], Array],
    mistakes: Mapping[str, Callable[..., Tensor]],
    *,
    one_number: bool = True,
    arrange: Callable[[Inputs], Inputs] = dict,
) -> FunctionCheck:
    """A check of gradients. expected: from inputs to SB3's gradient of each leaf; size: of the terms of one of them."""
    check = FunctionCheck(
        name="check_gradient",
        calls=calls,
        arguments=arguments,
        cases=tuple(case for case in cases if case.name not in UNSETTLED),
        expected=lambda inputs, names: {gradient_of(name): array for name, array in expected(inputs).items()},
        read=lambda result, inputs, given: gradients(result, given, leaves, one_number=one_number),
        magnitude=lambda inputs, found: {
            gradient_of(name): np.abs(found[gradient_of(name)]) + size(inputs, name) for name in leaves
        },
        arrange=arrange,
        tensors=True,
        leaves=frozenset(leaves),
    )

    def numbers(formula: Callable[..., Tensor], inputs: Inputs) -> Outputs:
        given = {
            name: torch.from_numpy(value.copy()).requires_grad_(name in leaves)
            if isinstance(value, np.ndarray)
            else value
            for name, value in inputs.items()
        }
        try:
            return gradients(formula(**given), given, leaves, one_number=one_number)
        except UnusableError as error:
            raise ValueError(str(error)) from error

    return replace(
        check,
        mistakes={
            text: lambda inputs, formula=formula: numbers(formula, arrange(inputs))  # type: ignore[misc]
            for text, formula in mistakes.items()
        },
    )


def _policy(seed: int, normalize_advantage: bool) -> FunctionCheck:
    def size(inputs: Inputs, name: str) -> Array:
        return _ratio_size(inputs, np.abs(inputs["advantages"]))

    return _check(
        POLICY_CALLS,
        POLICY_ARGUMENTS,
        policy_cases(seed),
        ("log_prob",),
        lambda inputs: {"log_prob": sb3.update(**inputs).gradients["log_prob"]},
        size,
        policy_mistakes(),
    )


def _ratio_size(inputs: Inputs, advantages: Array) -> Array:
    """A * ratio * (1 + |log ratio|) / B: the rounding of log ratio is multiplied by the ratio."""
    log_ratios = inputs["log_prob"].astype(np.float64) - inputs["old_log_prob"]
    sizes = advantages * np.exp(np.minimum(log_ratios, 60)) * (1 + np.abs(log_ratios)) / len(log_ratios)
    return np.asarray(sizes, np.float64)


def _value(seed: int, normalize_advantage: bool) -> FunctionCheck:
    def expected(inputs: Inputs) -> Mapping[str, Array]:
        policy = dict.fromkeys(("log_prob", "old_log_prob", "advantages"), np.zeros_like(inputs["values"]))
        return {"values": sb3.update(**policy, **inputs, vf_coef=1.0).gradients["values"]}

    return _check(
        VALUE_CALLS,
        VALUE_ARGUMENTS,
        value_cases(seed, clipping=True),
        ("values",),
        expected,
        lambda inputs, name: _value_size(inputs),
        value_mistakes(),
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

    check = _check(
        TOTAL_CALLS,
        TOTAL_ARGUMENTS,
        total_cases(seed),
        ("log_prob", "values", "entropy"),
        lambda inputs: sb3.update(**inputs, normalize_advantage=normalize_advantage).gradients,
        size,
        total_mistakes(normalize_advantage),
    )
    return replace(check, keywords=KEYWORDS)


def _leaves(distribution: str) -> tuple[str, ...]:
    # Features are detached: gSDE's noise shall not teach them.
    return tuple(name for name in PARAMETERS[distribution] if name not in ("nvec", "features"))


def _autograd(function: Callable[[str, Inputs], Tensor], distribution: str) -> Callable[[Inputs], Mapping[str, Array]]:
    """SB3's distribution, differentiated by PyTorch."""
    leaves = _leaves(distribution)

    def expected(inputs: Inputs) -> Mapping[str, Array]:
        tensors = {name: torch.from_numpy(inputs[name].copy()).requires_grad_() for name in leaves}
        total = function(distribution, {**inputs, **tensors}).sum()
        found = torch.autograd.grad(total, list(tensors.values()), allow_unused=True)
        return {
            name: np.zeros(inputs[name].shape, np.float32) if gradient is None else gradient.numpy()
            for name, gradient in zip(leaves, found, strict=True)
        }

    return expected


def _sizes(distribution: str) -> Callable[[Inputs, str], Array]:
    """Log-probabilities are at least as large as their gradients' terms, for spreads around 1."""

    def size(inputs: Inputs, name: str) -> Array:
        total = float(log_prob_size(distribution, inputs).sum())
        spread = np.exp(-float(inputs["log_std"].min())) if "log_std" in inputs else 1.0
        return np.asarray(total * max(spread, 1.0))

    return size


def _of_log_prob(distribution: str, seed: int) -> FunctionCheck:
    return _check(
        f"fn({', '.join(PARAMETERS[distribution])}, actions) -> log-probabilities [B]",
        DISTRIBUTION_ARGUMENTS[distribution],
        distribution_cases(distribution, seed),
        _leaves(distribution),
        _autograd(sb3_log_prob, distribution),
        _sizes(distribution),
        log_prob_mistakes(distribution),
        one_number=False,
    )


def _of_entropy(distribution: str, seed: int) -> FunctionCheck:
    names = PARAMETERS[distribution]
    return _check(
        f"fn({', '.join(names)}) -> entropies [B]",
        DISTRIBUTION_ARGUMENTS[distribution],
        distribution_cases(distribution, seed),
        _leaves(distribution),
        _autograd(sb3_entropy, distribution),
        lambda inputs, name: _sizes(distribution)({**inputs, "actions": inputs.get("mean", inputs["actions"])}, name),
        entropy_mistakes(distribution),
        one_number=False,
        arrange=lambda inputs: {name: inputs[name] for name in names},
    )
