"""`check_clipped_loss` and `check_value_loss`: against the losses that SB3's PPO logs in its update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from custom_ppo.losses import clipped_surrogate, clipped_values, normalize_advantages
from harness.checks import sb3_reference as sb3
from harness.checks.calls import as_array
from harness.checks.case import (
    REAL,
    Argument,
    Array,
    FunctionCheck,
    Inputs,
    Outputs,
    UnusableError,
)
from harness.checks.cases.loss_minibatches import policy_cases, value_cases
from harness.checks.check_results import CheckReport
from harness.checks.known_mistakes import normalizing_policy_mistakes, policy_mistakes, value_mistakes
from harness.checks.run_check import Tolerance, run_check

__all__ = ["check_clipped_loss", "check_value_loss"]

REAL_B = replace(REAL, axes=("B",))
POLICY_ARGUMENTS = {
    "log_prob": REAL_B,
    "old_log_prob": REAL_B,
    "advantages": REAL_B,
    "clip_range": Argument(simpler=(0.5, 0.2)),
}
VALUE_ARGUMENTS = {
    "values": REAL_B,
    "old_values": REAL_B,
    "returns": REAL_B,
    "clip_range_vf": Argument(simpler=(0.5,)),
}
UNSETTLED = ("ratio beyond float32, clipped",)
"""Cases with an infinite ratio times an advantage that becomes zero by normalisation."""
POLICY_CALLS = "fn(log_prob, old_log_prob, advantages, clip_range) -> loss"
VALUE_CALLS = "fn(values, old_values, returns, clip_range_vf) -> loss"
PLAIN_VALUE_CALLS = "fn(values, returns) -> loss"


def check_clipped_loss(
    fn: Callable[..., Any], *, normalize_advantage: bool = False, tolerance: Tolerance = "rounding", seed: int = 0
) -> CheckReport:
    """Compare a function for PPO's clipped policy loss with SB3, on edge cases and random ones.

        fn(log_prob, old_log_prob, advantages, clip_range) -> loss, to be minimised

    log_prob, old_log_prob: float32 tensors [B], of the current policy and of the behaviour policy.
    advantages: float32 tensor [B], used as they are: SB3 normalises advantages before this. clip_range: a number.
    It returns a number (the mean over the minibatch), or the loss of each transition, [B], which is compared with SB3's
    loss of one transition at a time; tensors, NumPy arrays or floats.

    A function with other arguments or another sign is adapted in a line:

        check_clipped_loss(lambda new, old, adv, clip: -mine(torch.exp(new - old), adv, eps=clip))

    normalize_advantage=True is for a loss that normalises the advantages of its minibatch itself, as SB3's train()
    does; it returns one number.
    tolerance, seed, result and exceptions: as for `check_gae`. Gradients: `check_gradient(fn, "policy")`.
    """
    check = FunctionCheck(
        name="check_clipped_loss",
        calls=POLICY_CALLS,
        arguments=POLICY_ARGUMENTS,
        cases=tuple(policy_cases(seed)),
        expected=_policy_losses,
        read=_read,
        magnitude=_policy_magnitude,
        mistakes=policy_mistakes(),
        tensors=True,
    )
    return run_check(_normalizing(check) if normalize_advantage else check, fn, tolerance)


def _normalizing(check: FunctionCheck) -> FunctionCheck:
    """Return the check for losses that normalise advantages themselves."""
    return replace(
        check,
        cases=tuple(case for case in check.cases if case.name not in UNSETTLED),
        expected=lambda inputs, names: {"loss": np.asarray(sb3.update(**inputs, normalize_advantage=True).policy_loss)},
        read=_read_one_number,
        magnitude=_normalized_magnitude,
        mistakes=normalizing_policy_mistakes(),
    )


def check_value_loss(
    fn: Callable[..., Any], *, clipping: bool = True, tolerance: Tolerance = "rounding", seed: int = 0
) -> CheckReport:
    """Compare a function for the critic's loss with SB3, on edge cases and random ones.

        fn(values, old_values, returns, clip_range_vf) -> loss

    values, old_values, returns: float32 tensors [B], of the current critic, of the critic of the rollout, and targets.
    clip_range_vf: a number, or None for no clipping. SB3's loss has no factor 1/2; vf_coef is its weight.
    It returns a number (the mean over the minibatch), or the loss of each transition, [B].

    clipping=False is for critics without clipping:  fn(values, returns) -> loss.
    tolerance, seed, result and exceptions: as for `check_gae`. Gradients: `check_gradient(fn, "value")`.
    """
    check = FunctionCheck(
        name="check_value_loss",
        calls=VALUE_CALLS if clipping else PLAIN_VALUE_CALLS,
        arguments=VALUE_ARGUMENTS,
        cases=tuple(value_cases(seed, clipping=clipping)),
        expected=_value_losses,
        read=_read,
        magnitude=_value_magnitude,
        mistakes=value_mistakes(clipping=clipping),
        arrange=(lambda inputs: inputs) if clipping else values_and_returns,
        tensors=True,
    )
    return run_check(check, fn, tolerance)


def values_and_returns(inputs: Inputs) -> Inputs:
    """Return the arguments of a critic without clipping."""
    return {name: inputs[name] for name in ("values", "returns")}


def _read(result: Any, inputs: Inputs, given: Mapping[str, Any]) -> Outputs:
    """Return one number, or one for each transition; an array of one number is one number."""
    array = as_array(result, "the loss")
    if array.ndim == 0 or array.shape == (1,):
        return {"loss": array.reshape(())}
    return {"loss of each transition": array}


def _read_one_number(result: Any, inputs: Inputs, given: Mapping[str, Any]) -> Outputs:
    outputs = _read(result, inputs, given)
    if "loss" not in outputs:
        raise UnusableError("returned the loss of each transition, expected one number: the loss of the minibatch")
    return outputs


def _policy_losses(inputs: Inputs, names: Sequence[str]) -> Outputs:
    if "loss" in names:
        return {"loss": np.asarray(sb3.update(**inputs).policy_loss)}
    return {"loss of each transition": _each(inputs, lambda one: sb3.update(**one).policy_loss)}


def _value_losses(inputs: Inputs, names: Sequence[str]) -> Outputs:
    def loss(some: Inputs) -> float:
        policy = dict.fromkeys(("log_prob", "old_log_prob", "advantages"), np.zeros_like(some["values"]))
        return sb3.update(**policy, **some).value_loss

    if "loss" in names:
        return {"loss": np.asarray(loss(inputs))}
    return {"loss of each transition": _each(inputs, loss)}


def _each(inputs: Inputs, loss: Callable[[Inputs], float]) -> Array:
    """Return the loss of each transition: SB3's loss of a minibatch of one."""
    arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    size = len(next(iter(arrays.values())))
    return np.array(
        [loss({**inputs, **{name: array[i : i + 1] for name, array in arrays.items()}}) for i in range(size)]
    )


def _policy_magnitude(inputs: Inputs, expected: Outputs) -> Outputs:
    """Return the size of each transition's loss, times 1 + |log ratio|: exp magnifies the rounding of its argument."""
    log_prob, old, advantages = (torch.from_numpy(inputs[name]) for name in ("log_prob", "old_log_prob", "advantages"))
    sizes = clipped_surrogate(log_prob, old, advantages, inputs["clip_range"]).abs() * (1 + (log_prob - old).abs())
    return _sizes(sizes.numpy())


def _normalized_magnitude(inputs: Inputs, expected: Outputs) -> Outputs:
    """Return the size of losses of normalised advantages, including the rounding error of the subtracted mean."""
    advantages = torch.from_numpy(inputs["advantages"])
    normalized = normalize_advantages(advantages)
    if len(advantages) > 1:
        normalized = normalized + torch.sign(normalized) * advantages.abs().max() / (advantages.std() + 1e-8)
    return _policy_magnitude({**inputs, "advantages": normalized.numpy()}, expected)


def _value_magnitude(inputs: Inputs, expected: Outputs) -> Outputs:
    """Return the size of squared errors, with the rounding errors of their operands."""
    values, old, returns = (torch.from_numpy(inputs[name]).double() for name in ("values", "old_values", "returns"))
    clip_range_vf = inputs["clip_range_vf"]
    clipped = values if clip_range_vf is None else clipped_values(values, old, clip_range_vf)
    errors = (returns - clipped).abs()
    moved = old.abs() + (values - old).abs() if clip_range_vf is not None else torch.zeros_like(old)
    return _sizes((errors**2 + errors * (returns.abs() + values.abs() + moved) * 0.5).numpy())


def _sizes(each: Array) -> Outputs:
    sizes = np.nan_to_num(np.asarray(each, np.float64), posinf=0.0)
    return {"loss": np.asarray(sizes.mean()), "loss of each transition": sizes}
