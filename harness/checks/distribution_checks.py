"""`check_log_prob` and `check_entropy`: against SB3's distributions over actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.checks import sb3_reference as sb3
from harness.checks.calls import as_array
from harness.checks.case import (
    REAL,
    Argument,
    Array,
    FunctionCheck,
    Inputs,
    Outputs,
)
from harness.checks.cases.action_distributions import distribution_cases
from harness.checks.check_results import CheckReport
from harness.checks.known_mistakes import entropy_mistakes, log_prob_mistakes
from harness.checks.run_check import Tolerance, run_check
from harness.errors import HarnessError, did_you_mean

__all__ = ["PARAMETERS", "WITH_ENTROPY", "check_entropy", "check_log_prob"]

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "categorical": ("logits",),
    "multi_categorical": ("logits", "nvec"),
    "bernoulli": ("logits",),
    "diag_gaussian": ("mean", "log_std"),
    "squashed_gaussian": ("mean", "log_std"),
    "gsde": ("mean", "log_std", "features"),
}
"""Parameters of each distribution, in the order in which they are passed."""

WITH_ENTROPY = tuple(name for name in PARAMETERS if name != "squashed_gaussian")
"""Distributions whose entropy has a closed form."""

CHOICES = Argument(axes=("B", ""), simpler=(0.0, 1.0), rounded=True)
COMPONENTS = replace(REAL, axes=("B", "A"))
ARGUMENTS: Mapping[str, Mapping[str, Argument]] = {
    "categorical": {"logits": CHOICES, "actions": Argument(axes=("B",), simpler=(0,))},
    "multi_categorical": {"logits": CHOICES, "nvec": Argument(), "actions": Argument(axes=("B", ""), simpler=(0,))},
    "bernoulli": {"logits": COMPONENTS, "actions": Argument(axes=("B", "A"), simpler=(0.0, 1.0))},
    "diag_gaussian": {"mean": COMPONENTS, "log_std": replace(REAL, axes=("A",)), "actions": COMPONENTS},
    "squashed_gaussian": {
        "mean": COMPONENTS,
        "log_std": replace(REAL, axes=("A",)),
        "actions": Argument(axes=("B", "A"), simpler=(0.0, 0.5)),
    },
    "gsde": {
        "mean": COMPONENTS,
        "log_std": replace(REAL, axes=("F", "A")),
        "features": Argument(axes=("B", "F"), simpler=(1.0, 0.0), rounded=True),
        "actions": COMPONENTS,
    },
}


def check_log_prob(
    fn: Callable[..., Any], distribution: str, *, tolerance: Tolerance = "rounding", seed: int = 0
) -> CheckReport:
    """Compare a function for log-probabilities of actions with one of SB3's distributions.

        distribution          the function is called as                shapes (float32 tensors)
        "categorical"         fn(logits, actions)                      [B, n], integers [B]
        "multi_categorical"   fn(logits, nvec, actions)                [B, sum(nvec)], a list, integers [B, len(nvec)]
        "bernoulli"           fn(logits, actions)                      [B, n] log-odds of 1, 0 or 1 [B, n]
        "diag_gaussian"       fn(mean, log_std, actions)               [B, A], [A], [B, A]
        "squashed_gaussian"   fn(mean, log_std, actions)               the same, with actions tanh(Gaussian) in (-1, 1)
        "gsde"                fn(mean, log_std, features, actions)     [B, A], [F, A], [B, F], [B, A]

    It returns the log-probability (or density) of each row's action, [B]: components are independent, and add up.
    A function with other parameters is adapted in a line, for instance one that takes a standard deviation per row:

        check_log_prob(lambda mean, log_std, a: mine(mean, log_std.exp().expand_as(mean), a), "diag_gaussian")

    tolerance, seed, result and exceptions: as for `check_gae`.
    Gradients: `check_gradient(fn, "log_prob", distribution)`.
    """
    check_known("check_log_prob", distribution, tuple(PARAMETERS))
    check = FunctionCheck(
        name="check_log_prob",
        calls=f"fn({', '.join(PARAMETERS[distribution])}, actions) -> log-probabilities [B]",
        arguments=ARGUMENTS[distribution],
        cases=tuple(distribution_cases(distribution, seed)),
        expected=lambda inputs, names: {"log_prob": _numpy(sb3_log_prob(distribution, inputs))},
        read=lambda result, inputs, given: {"log_prob": as_array(result, "the log-probabilities")},
        magnitude=lambda inputs, expected: {"log_prob": log_prob_size(distribution, inputs)},
        mistakes=log_prob_mistakes(distribution),
        tensors=True,
    )
    return run_check(check, fn, tolerance)


def check_entropy(
    fn: Callable[..., Any], distribution: str, *, tolerance: Tolerance = "rounding", seed: int = 0
) -> CheckReport:
    """Compare a function for entropies with one of SB3's distributions, named as for `check_log_prob`.

        fn(logits), fn(logits, nvec) or fn(mean, log_std) -> entropy in nats

    It returns the entropy of each row, [B], or their mean as one number, which is compared with the entropy that SB3's
    PPO logs. The entropy of a squashed Gaussian has no closed form, and is not checked.
    tolerance, seed, result and exceptions: as for `check_gae`.
    """
    check_known("check_entropy", distribution, WITH_ENTROPY)
    names = PARAMETERS[distribution]
    check = FunctionCheck(
        name="check_entropy",
        calls=f"fn({', '.join(names)}) -> entropies [B], or their mean",
        arguments=ARGUMENTS[distribution],
        cases=tuple(distribution_cases(distribution, seed)),
        expected=lambda inputs, wanted: _entropies(distribution, inputs, wanted),
        read=_read_entropy,
        magnitude=lambda inputs, expected: _entropy_size(distribution, inputs),
        mistakes=entropy_mistakes(distribution),
        arrange=lambda inputs: {name: inputs[name] for name in names},
        tensors=True,
    )
    return run_check(check, fn, tolerance)


def check_known(check: str, distribution: str, known: Sequence[str]) -> None:
    """Raise HarnessError unless the distribution is one of `known`."""
    if distribution in known:
        return
    if distribution in PARAMETERS:
        raise HarnessError(f"{check}: SB3 has no closed form for the entropy of {distribution!r}: it cannot be checked")
    raise HarnessError(
        f"{check}: unknown distribution {distribution!r}{did_you_mean(str(distribution), known)}; "
        f"there are {', '.join(known)}"
    )


def tensors_of(inputs: Inputs) -> dict[str, Any]:
    """Return the inputs with tensors in place of arrays."""
    return {name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}


def sb3_log_prob(distribution: str, inputs: Inputs) -> Tensor:
    """Return SB3's log-probabilities, [B]; inputs: arrays, or tensors that may require gradients."""
    tensors = tensors_of(inputs)
    return sb3.distribution(distribution, [tensors[name] for name in PARAMETERS[distribution]]).log_prob(
        tensors["actions"]
    )


def sb3_entropy(distribution: str, inputs: Inputs) -> Tensor:
    """Return SB3's entropies, [B]."""
    tensors = tensors_of(inputs)
    entropy = sb3.distribution(distribution, [tensors[name] for name in PARAMETERS[distribution]]).entropy()
    assert entropy is not None
    return entropy


def _numpy(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().numpy())


def _entropies(distribution: str, inputs: Inputs, wanted: Sequence[str]) -> Outputs:
    entropy = _numpy(sb3_entropy(distribution, inputs))
    if "entropy" in wanted:
        return {"entropy": entropy}
    nothing = np.zeros_like(entropy)
    logged = sb3.update(log_prob=nothing, old_log_prob=nothing, advantages=nothing, entropy=entropy).entropy_loss
    return {"mean entropy": np.asarray(-logged)}


def _read_entropy(result: Any, inputs: Inputs, given: Mapping[str, Any]) -> Outputs:
    array = as_array(result, "the entropy")
    return {"mean entropy" if array.ndim == 0 else "entropy": array}


def log_prob_size(distribution: str, inputs: Inputs) -> Array:
    """Return the size of the terms that add up to each log-probability, [B]."""
    if distribution in ("categorical", "multi_categorical", "bernoulli"):
        logits = inputs["logits"].astype(np.float64)
        return np.asarray(np.abs(np.where(np.isfinite(logits), logits, 0)).sum(axis=1) + logits.shape[1])
    mean, log_std, actions = (inputs[name].astype(np.float64) for name in ("mean", "log_std", "actions"))
    jacobian = np.zeros_like(mean)
    if distribution == "gsde":
        log_std = 0.5 * np.log(inputs["features"].astype(np.float64) ** 2 @ np.exp(2 * log_std) + 1e-6)
    if distribution == "squashed_gaussian":
        jacobian = 1 / (1 - actions**2)  # 1 - a^2 loses digits as a nears 1, and so does artanh a
        actions = np.arctanh(actions)
        jacobian = jacobian * (1 + np.abs(actions - mean) * np.exp(-2 * log_std))
    squares = (actions - mean) ** 2 / np.exp(2 * log_std)
    return np.asarray((squares + np.abs(log_std) + 1 + jacobian).sum(axis=1))


def _entropy_size(distribution: str, inputs: Inputs) -> Outputs:
    size = log_prob_size(distribution, {**inputs, "actions": inputs["mean"]} if "mean" in inputs else inputs)
    return {"entropy": size, "mean entropy": np.asarray(size.mean())}
